//! `postroom notify`: who would be told of an event, and why.

use clap::{Args, Subcommand};

use super::client::{ServerArgs, query, segment};
use super::output::{Format, clean};
use super::{Exit, Failure, output, wait_for};
use crate::http::dto::audience::{AudienceView, PersonView};

/// Options of `notify`.
#[derive(Args)]
pub struct NotifyArgs {
    #[command(subcommand)]
    command: NotifyCommand,
}

#[derive(Subcommand)]
enum NotifyCommand {
    /// Say who would be told of an event on a ticket, who would not, and which line decides it
    #[command(
        after_help = "Examples:\n  postroom notify explain 2026112210000018 ticketCreated\n  \
                            postroom notify explain 2026112210000018 noteAdded --by alice"
    )]
    Explain {
        /// Ticket number
        number: String,
        /// The event, as in `subscriptions`: ticketCreated, followUpLocked, noteAdded, ...
        event: String,
        /// User who does it; nobody is told of what he did himself
        #[arg(long, value_name = "USER")]
        by: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
        /// How to write the answer
        #[arg(long, value_name = "FORMAT", default_value = "human")]
        format: Format,
    },
}

/// Explains.
pub fn run(args: NotifyArgs) -> Result<Exit, Failure> {
    let NotifyCommand::Explain { number, event, by, server, format } = args.command;
    let path = format!("/api/v1/tickets/{}/audience", segment(&number));
    let path = query(&path, &[("event", Some(event)), ("by", by)]);
    let audience: AudienceView = wait_for(server.client()?.get(&path))?;
    match format {
        Format::Json => output::json(&audience),
        Format::Human => output::print(&shown(&audience)),
    }
    Ok(Exit::Fine)
}

fn shown(audience: &AudienceView) -> String {
    let told = audience.people.iter().filter(|person| person.told);
    let rest = audience.people.iter().filter(|person| !person.told);
    let rows: Vec<Vec<String>> = told.chain(rest).map(row).collect();
    output::whole_table(&["WHO", "TOLD", "WHEN", "WHY", "DECIDED BY"], &rows)
}

fn row(person: &PersonView) -> Vec<String> {
    let rule = person.rules.last();
    let decided = rule.map_or("-".into(), |rule| match &rule.place {
        Some(place) => format!("{place} {}", rule.path),
        None => rule.path.clone(),
    });
    let when = match (&person.mail_after, person.told) {
        (Some(at), _) => format!("mail {}", output::time(at)),
        (None, true) => "at once".into(),
        (None, false) => "-".into(),
    };
    let told = if person.told { person.channels.join("+") } else { "no".into() };
    [person.who.clone(), told, when, person.why.clone(), decided].map(|text| clean(&text)).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::dto::audience::RuleView;

    #[test]
    fn those_who_are_told_come_first() {
        let person = |who: &str, told: bool| PersonView {
            who: who.into(),
            customer: false,
            told,
            channels: if told { vec!["mail".into(), "web".into()] } else { Vec::new() },
            mail_after: told.then(|| "2026-11-24T22:00:00Z".into()),
            reason: String::new(),
            why: "x".into(),
            rules: vec![RuleView { path: "users.a".into(), place: Some("p.yaml:3".into()) }],
        };
        let people = vec![person("bob", false), person("alice", true)];
        let text = shown(&AudienceView { ticket: "1".into(), event: "noteAdded".into(), people });
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("alice  mail+web"), "{text}");
        assert!(lines[2].starts_with("bob") && lines[2].contains("no"), "{text}");
        assert!(lines[1].ends_with("p.yaml:3 users.a"), "{text}");
    }
}
