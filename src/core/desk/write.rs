//! What people write on a ticket: notes and answers to the customer, as they are shown before and
//! as they go out.

use std::collections::BTreeSet;

use super::Work;
use crate::core::address::Address;
use crate::core::config::{Config, Language};
use crate::core::language;
use crate::core::mail::{REFERENCES_MAX, SUBJECT_CHARS_MAX};
use crate::core::render::{self, Letter, Stationery, clean};
use crate::core::ticket::{Actor, Article, ArticleKind, Refused, State, Ticket};

/// Characters of a note or an answer.
pub const TEXT_CHARS_MAX: usize = clean::BLOCK_CHARS_MAX;

/// An answer as somebody writes it.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// Text.
    pub text: &'a str,
    /// Recipients; empty means the customer.
    pub to: &'a [Address],
    /// Copies.
    pub cc: &'a [Address],
    /// Subject; `None` keeps the ticket's title.
    pub subject: Option<&'a str>,
}

/// An answer as it goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// From which address; `None` if nothing can send it.
    pub from: Option<Address>,
    /// To whom.
    pub to: Vec<Address>,
    /// Copies.
    pub cc: Vec<Address>,
    /// Subject without the number of the ticket.
    pub subject: String,
    /// Text with what stands around it.
    pub text: String,
    /// The language of the customer.
    pub language: Language,
}

/// What an answer becomes before it is sent: by the same rules it is shown beforehand.
///
/// `articles` are those of the ticket, oldest first.
pub fn compose(
    config: &Config,
    ticket: &Ticket,
    articles: &[Article],
    actor: &Actor,
    answer: Answer<'_>,
) -> Result<Composed, Refused> {
    let text = written(answer.text, "an answer")?;
    let language = language_of(config, ticket, articles);
    let customer = ticket.customer.as_ref().map(|customer| customer.answer_to().clone());
    let to = match answer.to {
        [] => customer.into_iter().collect(),
        named => named.to_vec(),
    };
    if to.len() + answer.cc.len() > render::LETTER_RECIPIENTS_MAX {
        let max = render::LETTER_RECIPIENTS_MAX;
        return Err(Refused::Invalid(format!("an answer goes to at most {max} addresses")));
    }
    Ok(Composed {
        from: render::letter_from(config, ticket).cloned(),
        to,
        cc: answer.cc.to_vec(),
        subject: clean::line(answer.subject.unwrap_or(&ticket.title), SUBJECT_CHARS_MAX),
        text: render::answer(config, ticket, language, &author_name(config, actor), &text),
        language,
    })
}

/// The language in which the customer of a ticket is answered; these are its articles.
pub fn language_of(config: &Config, ticket: &Ticket, articles: &[Article]) -> Language {
    let customer = ticket.customer.as_ref().map(|customer| &customer.address);
    customer.map_or(config.desk.language, |address| {
        language::of_customer(config, address, articles.iter())
    })
}

/// Name of who writes, as customers see it.
pub fn author_name(config: &Config, actor: &Actor) -> String {
    match actor {
        Actor::Agent(name) => {
            let full_name = config.users.get(name).map(|user| &user.full_name);
            full_name.filter(|full| !full.is_empty()).unwrap_or(name).clone()
        }
        Actor::Token(name) => name.clone(),
        Actor::Customer(address) => address.to_string(),
        Actor::System => config.desk.name.clone(),
    }
}

impl Work<'_> {
    pub(super) fn note(&mut self, subject: &str, text: &str, visible: bool) -> Result<(), Refused> {
        let text = written(text, "a note")?;
        let subject = clean::line(subject, SUBJECT_CHARS_MAX);
        let mut article = self.article(ArticleKind::Note, subject, text);
        article.visible_for_customer = visible;
        self.add(article, String::new());
        self.show_activity();
        Ok(())
    }

    pub(super) fn reply(
        &mut self,
        text: &str,
        to: &[Address],
        cc: &[Address],
        subject: Option<&str>,
    ) -> Result<(), Refused> {
        let (config, articles) = (self.config, &self.facts.articles);
        let answer = Answer { text, to, cc, subject };
        let composed = compose(config, &self.ticket, articles, self.actor, answer)?;
        let Composed { subject, text, to, .. } = composed;
        let author = self.author_name();
        // What the customer never saw would be a gap in his thread.
        let shown = self.facts.articles.iter().filter(|article| article.visible_for_customer);
        let thread: Vec<String> = shown.filter_map(|article| article.message_id.clone()).collect();
        let letter = Letter {
            files: &[],
            author: &author,
            subject: &subject,
            text: &text,
            to: &to,
            cc,
            thread: &thread,
        };
        let stationery =
            Stationery { config: self.config, key: &self.facts.desk_key, now: self.now };
        let owed = render::letter(stationery, &letter, &self.ticket, &mut self.next);
        let Some(first) = owed.first() else { return Err(self.why_no_letter(&to, cc)) };

        let mut article = self.article(ArticleKind::MailOut, subject, text);
        article.visible_for_customer = true;
        article.to = list(&to);
        article.cc = list(cc);
        article.message_id = Some(first.message_id.clone());
        article.references = thread[thread.len().saturating_sub(REFERENCES_MAX)..].to_vec();
        let recipients: BTreeSet<Address> =
            owed.iter().map(|mail| mail.recipient.clone()).collect();
        let why = format!("to {}", list(&recipients));
        for recipient in recipients {
            self.ticket.let_take_part(recipient);
        }
        self.owed.extend(owed);
        self.add(article, why);
        if self.ticket.state == State::New {
            self.change_state(State::Open, "answered".into());
        }
        self.show_activity();
        Ok(())
    }

    fn why_no_letter(&self, to: &[Address], cc: &[Address]) -> Refused {
        let ours = |address: &Address| self.config.system_addresses.contains_key(address);
        Refused::Invalid(match (to.is_empty() && cc.is_empty(), to.iter().chain(cc).all(ours)) {
            (true, _) => "the ticket has no customer; name a recipient".into(),
            (false, true) => "all recipients are addresses of this desk".into(),
            (false, false) => format!(
                "nothing can send: queue {:?} has neither an enabled sender nor an address; \
                 declare senders.default",
                self.ticket.queue
            ),
        })
    }
}

/// A text a person wrote, clean and not empty.
fn written(text: &str, what: &str) -> Result<String, Refused> {
    if text.chars().count() > TEXT_CHARS_MAX {
        let why = format!("{what} has at most {TEXT_CHARS_MAX} characters");
        return Err(Refused::Invalid(why));
    }
    let text = clean::block(text, TEXT_CHARS_MAX);
    if text.trim().is_empty() {
        return Err(Refused::Invalid(format!("{what} needs a text")));
    }
    Ok(text)
}

fn list<'a>(addresses: impl IntoIterator<Item = &'a Address>) -> String {
    addresses.into_iter().map(Address::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::core::desk::act;
    use crate::core::desk::trying::{
        bob, check, check_refused, facts, note, reply, run, told, words,
    };
    use crate::core::outgoing::{OutgoingId, OutgoingKind};
    use crate::core::ticket::samples::{address, config, now, ticket};
    use crate::core::ticket::{ArticleId, AuthorKind, Command, Watcher, What};

    #[test]
    fn a_note() {
        let effects = run(ticket(), note("he called\r\nagain\0", false)).unwrap();
        let added = &effects[0].articles[0];
        assert_eq!((added.id, added.kind), (ArticleId(50), ArticleKind::Note));
        assert_eq!((added.text.as_str(), added.subject.as_str()), ("he called\nagain", "call"));
        assert_eq!((added.from.as_str(), added.author), ("Bob", AuthorKind::Agent));
        assert!(!added.visible_for_customer && added.message_id.is_none());
        let what = What::ArticleAdded { article: ArticleId(50), kind: ArticleKind::Note };
        check(ticket(), note("x", true), &[what], ticket());
    }

    #[test]
    fn a_note_tells_the_owner() {
        let owned = Ticket { owner: Some("alice".into()), ..ticket() };
        let effects = run(owned, note("he called", false)).unwrap();
        assert_eq!(told(&effects[0]), ["noteAdded alice"]);
        assert_eq!(effects[0].owed[0].recipient, address("alice@agents.test"));
    }

    #[test]
    fn a_note_without_text() {
        check_refused(note(" \r\n\0", false), "needs a text");
        check_refused(note(&"x".repeat(TEXT_CHARS_MAX + 1), false), "at most 200000 characters");
    }

    #[test]
    fn a_reply() {
        let new = Ticket { state: State::New, ..ticket() };
        let effects = run(new, reply(&[], None)).unwrap();
        let effect = &effects[0];
        assert_eq!(
            words(effect),
            [
                "ArticleAdded { article: ArticleId(50), kind: MailOut } (to eve@cust.test)",
                "State { from: New, to: Open } (answered)",
            ]
        );
        assert_eq!((effect.ticket.state, effect.ticket.owner.as_ref()), (State::Open, None));
        let (mail, added) = (&effect.owed[0], &effect.articles[0]);
        assert_eq!((mail.kind.clone(), mail.id), (OutgoingKind::Reply, OutgoingId(10)));
        assert_eq!(added.message_id.as_deref(), Some(mail.message_id.as_str()));
        assert_eq!(added.references, ["m1@cust.test"]);
        assert_eq!(
            (added.subject.as_str(), added.to.as_str()),
            ("Printer broken", "eve@cust.test")
        );
        assert!(added.visible_for_customer);
    }

    #[test]
    fn a_reply_goes_out_as_it_was_shown_before() {
        let mut config = config();
        let texts = [
            (Language::En, "Dear {{ customer.name }},\n{{ text }}\n{{ agent.name }}".to_owned()),
            (Language::Ja, "{{ customer.name }} 様\n{{ text }}".to_owned()),
        ];
        config.queues.get_mut("support").unwrap().answer = texts.into();
        config.desk.language = Language::En;
        let mut facts = facts(ticket());
        for (asked, salutation) in [("It smokes", "Dear Eve"), ("煙が出ています", "Eve")] {
            facts.articles.iter_mut().for_each(|article| article.text = asked.into());
            let answer = Answer { text: "Done", to: &[], cc: &[], subject: None };
            let shown = compose(&config, &facts.ticket, &facts.articles, &bob(), answer).unwrap();
            assert!(shown.text.starts_with(salutation), "{}", shown.text);
            let command = reply(&[], None);
            let Command::Reply { text, .. } = &command else { panic!() };
            let answer = Answer { text, ..answer };
            let shown = compose(&config, &facts.ticket, &facts.articles, &bob(), answer).unwrap();
            let effects = act(&config, &facts, &command, &bob(), now()).unwrap();
            let article = &effects[0].articles[0];
            assert_eq!((&article.text, &article.subject), (&shown.text, &shown.subject));
        }
    }

    #[test]
    fn a_reply_to_others_makes_them_take_part() {
        let effects = run(ticket(), reply(&["boss@cust.test"], Some("Re: x"))).unwrap();
        let recipients: Vec<_> = effects[0].owed.iter().map(|mail| &mail.recipient).collect();
        assert_eq!(recipients, [&address("boss@cust.test")]);
        assert!(effects[0].ticket.participants.contains(&address("boss@cust.test")));
        assert_eq!(effects[0].articles[0].subject, "Re: x");
        assert_eq!(words(&effects[0]).len(), 1, "an open ticket stays as it is");
    }

    #[test]
    fn replies_that_reach_nobody() {
        check_refused(reply(&["sales@desk.test"], None), "addresses of this desk");
        let many: Vec<String> = (0..51).map(|at| format!("p{at}@cust.test")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        check_refused(reply(&many, None), "at most 50");
        let nobodys = Ticket { customer: None, ..ticket() };
        let refused = run(nobodys, reply(&[], None)).unwrap_err().to_string();
        assert!(refused.contains("no customer"), "{refused}");
        let mut config = config();
        config.senders.clear();
        Arc::make_mut(&mut config.system_addresses).clear();
        let command = reply(&[], None);
        let refused = act(&config, &facts(ticket()), &command, &bob(), now()).unwrap_err();
        assert!(refused.to_string().contains("senders.default"), "{refused}");
    }

    #[test]
    fn identities_are_used_once() {
        let owned = Ticket { owner: Some("alice".into()), ..ticket() };
        let watched = Ticket {
            watchers: [Watcher::Agent("dave".into()), Watcher::Agent("carol".into())].into(),
            ..owned
        };
        let effects = run(watched, note("x", false)).unwrap();
        let ids: Vec<u64> = effects[0].owed.iter().map(|mail| mail.id.0).collect();
        assert_eq!(ids, [10, 11, 12]);
    }
}
