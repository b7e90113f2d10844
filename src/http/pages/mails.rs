//! The communication log: every mail with its outcome, how it was decided, and its source.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::foreign::{foreign, short};
use super::layout::{self, Here, Page};
use super::plain;
use super::words::Mails;
use crate::core::config::Role;
use crate::core::intake::Outcome;
use crate::http::Web;
use crate::http::api::{Path, mails as rules};
use crate::http::form::{Form, link};
use crate::http::problem::Problem;
use crate::http::session::SignedIn;
use crate::store::{MailId, MailQuery, MailRecord};

/// Mails on one page.
pub(super) const ROWS: usize = 50;
/// Columns of a sender in a list.
const FROM_COLUMNS_MAX: usize = 50;
/// Columns of a subject in a list.
const SUBJECT_COLUMNS_MAX: usize = 100;
/// Bytes of a source that are shown; all of it is a download.
const SOURCE_BYTES_MAX: usize = 24 * 1024;

/// The log, newest first.
pub async fn list(State(web): State<Web>, reader: SignedIn, form: Form) -> Result<Page, Problem> {
    let words = Mails::of(reader.language);
    let (outcome, account) = (form.text("outcome").to_owned(), form.text("account").to_owned());
    let query = MailQuery {
        outcome: form.filled("outcome").map(str::to_owned),
        account: form.filled("account").map(str::to_owned),
    };
    let before = form.text("cursor").parse().ok().map(MailId);
    let found = web.read(move |store| store.mails_of(&query, before, ROWS)).await?;
    let here = |cursor: &str| {
        link("/mails", &[("outcome", &outcome), ("account", &account), ("cursor", cursor)])
    };
    let newest = before.map(|_| here(""));
    let older = found.next.map(|next| here(&next.to_string()));
    let accounts = web.handle.running.load().config.clone();
    let content = html! {
        h1 { (words.title) }
        p.soft { (words.about) }
        form.filters method="get" action="/mails" {
            label { (words.outcome)
                select name="outcome" {
                    option value="" { (words.all) }
                    @for known in rules::OUTCOMES {
                        option value=(known) selected[known == outcome] { (outcome_word(known, words)) }
                    }
                }
            }
            label { (words.account)
                select name="account" {
                    option value="" { (words.all) }
                    @for name in accounts.accounts.keys() {
                        option value=(name) selected[*name == account] { (name) }
                    }
                }
            }
            button type="submit" { (words.show) }
        }
        (table(&reader, &found.items, words.no_mail))
        (layout::pager(&reader, newest.as_deref(), older.as_deref()))
    };
    Ok(layout::page(&reader, Here::Mails, words.title, content))
}

/// One mail, and how it was decided.
pub async fn show(
    State(web): State<Web>,
    reader: SignedIn,
    Path(id): Path<u64>,
) -> Result<Page, Problem> {
    let words = Mails::of(reader.language);
    let mail = rules::find(&web, id).await?;
    let digest = mail.digest;
    let raw = match reader.may(Role::Manager) {
        true => Some(web.mail(digest, 1).await?),
        false => None,
    };
    let title = format!("{} {id}", words.title);
    let said = match reader.said.as_str() {
        "released" => words.released,
        "again" => words.again,
        _ => "",
    };
    let content = html! {
        h1 { @if mail.subject.trim().is_empty() { (words.no_subject) } @else { (foreign(&mail.subject)) } }
        (layout::notice(said, false))
        div.card { (facts(&reader, &mail)) (actions(&reader, &mail)) }
        h2 { (words.why) }
        div.card {
            ol.trace {
                @for why in &mail.why {
                    li { strong { (why.step) } " " (foreign(&why.text)) }
                }
            }
        }
        @match &raw {
            None => {}
            Some(None) => { h2 { (words.source) } p.soft { (words.gone) } }
            Some(Some(raw)) => { (source(id, raw, words)) }
        }
    };
    let here = if is_in_quarantine(&mail) && reader.may(Role::Manager) {
        Here::Quarantine
    } else {
        Here::Mails
    };
    Ok(layout::page(&reader, here, &title, content))
}

/// The bytes of a mail.
pub async fn raw(web: State<Web>, id: Path<u64>) -> Result<Response, Problem> {
    rules::raw(web, id).await
}

/// Mails in a table.
pub(super) fn table(reader: &SignedIn, mails: &[MailRecord], none: &str) -> Markup {
    let words = Mails::of(reader.language);
    html! {
        @if mails.is_empty() {
            p.empty { (none) }
        } @else {
            div.scroll tabindex="0" role="region" aria-label=(words.title) {
                table {
                    thead { tr {
                        th scope="col" { (words.at) }
                        th scope="col" { (words.outcome) }
                        th scope="col" { (words.from) }
                        th scope="col" { (words.subject) }
                        th.wide scope="col" { (words.account) }
                        th scope="col" { (words.ticket) }
                    } }
                    tbody {
                        @for mail in mails {
                            tr {
                                td { (layout::brief(reader, mail.at)) }
                                td { (outcome(&mail.outcome, words)) }
                                td.cut { (short(&mail.from, FROM_COLUMNS_MAX)) }
                                td.grow {
                                    a href={ "/mails/" (mail.id.0) } { (subject(mail, words)) }
                                    @if let Outcome::Quarantined { reason } = &mail.outcome {
                                        br; small { (short(reason, SUBJECT_COLUMNS_MAX)) }
                                    }
                                }
                                td.wide.cut { (mail.account) }
                                td.nowrap { (ticket(mail)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn facts(reader: &SignedIn, mail: &MailRecord) -> Markup {
    let words = Mails::of(reader.language);
    html! {
        dl.facts {
            dt { (words.outcome) } dd { (outcome(&mail.outcome, words)) }
            @if let Outcome::Quarantined { reason } = &mail.outcome {
                dt { (words.reason) } dd { (foreign(reason)) }
            }
            @if let Some(at) = mail.resolved {
                dt { (words.dealt_with) } dd { (layout::time(reader, at)) }
            }
            @if mail.ticket.is_some() { dt { (words.ticket) } dd { (ticket(mail)) } }
            @if !mail.from.is_empty() { dt { (words.from) } dd { (foreign(&mail.from)) } }
            dt { (words.at) } dd { (layout::time(reader, mail.at)) }
            dt { (words.account) } dd { (mail.account) }
            dt { (words.location) } dd.mono { (foreign(&mail.location.0)) }
            @if !mail.message_id.is_empty() {
                dt { (words.message_id) } dd.mono { (foreign(&mail.message_id)) }
            }
            dt { (words.bytes) } dd { (mail.bytes) }
        }
    }
}

/// What a manager may do with a quarantined mail.
pub(super) fn actions(reader: &SignedIn, mail: &MailRecord) -> Markup {
    let words = Mails::of(reader.language);
    let id = mail.id.0;
    html! {
        @if is_in_quarantine(mail) && reader.may(Role::Manager) {
            div.row {
                (layout::button(reader, &format!("/quarantine/{id}/release"), words.release, "main"))
                form.inline method="post" action={ "/quarantine/" (id) "/drop" } data-ask=(words.drop_ask) {
                    (layout::csrf(reader))
                    button.danger type="submit" { (words.drop) }
                }
            }
        }
    }
}

fn source(id: u64, raw: &[u8], words: &Mails) -> Markup {
    let all = String::from_utf8_lossy(&raw[..raw.len().min(SOURCE_BYTES_MAX)]);
    let all = all.replace("\r\n", "\n");
    let shown = plain::fitting(&all, SOURCE_BYTES_MAX);
    let cut = shown.len() < all.len() || raw.len() > SOURCE_BYTES_MAX;
    let shown = super::foreign::plain(shown);
    html! {
        h2 { (words.source) }
        div.card {
            p {
                a.button.small href={ "/mails/" (id) "/raw" } { (words.download) }
                @if cut { " " small { (words.cut) } }
            }
            details { summary { (words.show) } pre { (shown) } }
        }
    }
}

fn is_in_quarantine(mail: &MailRecord) -> bool {
    matches!(mail.outcome, Outcome::Quarantined { .. }) && mail.resolved.is_none()
}

fn subject(mail: &MailRecord, words: &Mails) -> Markup {
    if mail.subject.trim().is_empty() {
        html! { (words.no_subject) }
    } else {
        short(&mail.subject, SUBJECT_COLUMNS_MAX)
    }
}

fn ticket(mail: &MailRecord) -> Markup {
    html! { @if let Some(number) = &mail.ticket { a href={ "/tickets/" (number) } { (number) } } }
}

fn outcome(outcome: &Outcome, words: &Mails) -> Markup {
    let class = match outcome {
        Outcome::Created | Outcome::FollowUp => "badge good",
        Outcome::Rejected | Outcome::Bounce => "badge warn",
        Outcome::Ignored | Outcome::Duplicate => "badge",
        Outcome::Quarantined { .. } => "badge bad",
    };
    html! { span class=(class) { (outcome_word(outcome.label(), words)) } }
}

fn outcome_word(label: &str, words: &Mails) -> &'static str {
    match label {
        "created" => words.created,
        "followUp" => words.follow_up,
        "rejected" => words.rejected,
        "bounce" => words.bounce,
        "ignored" => words.ignored,
        "duplicate" => words.duplicate,
        _ => words.quarantined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::Language;

    #[test]
    fn every_outcome_has_a_word_of_its_own() {
        let words = Mails::of(Language::En);
        let mut all: Vec<_> =
            rules::OUTCOMES.iter().map(|label| outcome_word(label, words)).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), rules::OUTCOMES.len());
        let quarantined = Outcome::Quarantined { reason: String::new() };
        assert!(rules::OUTCOMES.contains(&quarantined.label()));
    }
}
