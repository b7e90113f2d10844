//! Reads and judges the files on a thread of its own, and remembers what it made of them.
//!
//! One thread, because the allocator keeps a pool for each: were every load done by another
//! thread, each pool would grow to the size of a load, and the daemon with every edit.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use tokio::sync::{mpsc, oneshot};

use crate::config::Memory;

/// The thread; it ends when this is dropped and its work is done.
pub struct Loader(mpsc::UnboundedSender<Work>);

type Work = Box<dyn FnOnce(&mut Memory) + Send>;

impl Loader {
    /// Starts the thread; fails if the system gives none.
    pub fn start() -> io::Result<Loader> {
        let (work, mut waiting) = mpsc::unbounded_channel::<Work>();
        let carry_out = move || {
            let mut memory = Memory::default();
            while let Some(work) = waiting.blocking_recv() {
                work(&mut memory);
            }
        };
        thread::Builder::new().name("config".into()).spawn(carry_out)?;
        Ok(Loader(work))
    }

    /// Does this with what earlier loads have left. A panic in it is the caller's, and nothing is
    /// remembered after it.
    pub async fn load<T: Send + 'static>(
        &self,
        load: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> T {
        let (told, done) = oneshot::channel::<Result<T, Box<dyn Any + Send>>>();
        let work = move |memory: &mut Memory| {
            let result = catch_unwind(AssertUnwindSafe(|| load(memory)));
            if result.is_err() {
                *memory = Memory::default();
            }
            // Nobody may wait any more.
            drop(told.send(result));
        };
        drop(self.0.send(Box::new(work)));
        match done.await {
            Ok(Ok(value)) => value,
            Ok(Err(panic)) => resume_unwind(panic),
            // The thread ends only after us.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_the_callers_and_the_next_load_is_done() {
        let loader = std::sync::Arc::new(Loader::start().unwrap());
        let panicking = loader.clone();
        let task =
            tokio::spawn(
                async move { panicking.load(|_| -> u8 { panic!("a load that fails") }).await },
            );
        assert!(task.await.unwrap_err().is_panic());
        assert_eq!(loader.load(|_| 7).await, 7);
    }
}
