//! Commands on a ticket, under what runs now.

use super::daemon::Daemon;
use crate::core::ticket::{Actor, Command, Ticket};
use crate::store::{CommandError, Once};

impl Daemon {
    /// Carries commands out on one ticket, all or none, and answers with the ticket afterwards.
    /// With `once`, a request that is made again within a day is answered as before and changes
    /// nothing.
    pub async fn command(
        &self,
        number: &str,
        commands: Vec<Command>,
        actor: Actor,
        once: Option<Once>,
    ) -> Result<Ticket, CommandError> {
        let (config, now) = (self.running.load().config.clone(), self.clock.now());
        let done = self.store.command_once(config, number, commands, actor, now, once);
        let carried = done.await?;
        self.metrics.owing(&carried.owing);
        Ok(carried.ticket)
    }
}
