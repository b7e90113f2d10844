//! What a ticket is, and the forms that change it.

use maud::{Markup, html};

use super::Draft;
use super::trail::Trail;
use crate::core::address::Address;
use crate::core::config::{Config, Language, Role, Switch};
use crate::core::ticket::{Priority, State, Ticket, Watcher};
use crate::core::{desk, render, reply};
use crate::http::dto::ticket::PreviewView;
use crate::http::form::Form;
use crate::http::pages::tickets::{STATES, UNFINISHED, full_name, priority_badge, state_badge};
use crate::http::pages::words::{List, One, tickets as words_of};
use crate::http::pages::{customers, foreign, layout, plain};
use crate::http::session::SignedIn;
use crate::store::TicketView;

/// Of those who take part besides the customer, so many are named.
const OTHERS_SHOWN: usize = 6;
/// Columns of each of their addresses.
const OTHER_COLUMNS_MAX: usize = 48;
/// Copies that are filled in for an answer to all of them.
const COPIES_MAX: usize = 49;
/// Bytes of the field for copies.
const COPIES_BYTES_MAX: usize = 4_000;

/// What is done most, one click away: taking it or giving it back, closing it, answering.
pub fn at_hand(ticket: &Ticket, reader: &SignedIn, trail: &Trail) -> Markup {
    let words = One::of(reader.language);
    let path = format!("/tickets/{}/change", ticket.number);
    let mine = ticket.owner.as_ref() == Some(&reader.user);
    let unfinished = UNFINISHED.contains(&ticket.state);
    html! {
        div.row.hand {
            @if unfinished && ticket.locked_since.is_none() {
                form.inline method="post" action=(path) {
                    (trail.fields(reader))
                    input type="hidden" name="take" value="yes";
                    button.small type="submit" data-key="t" title=(words.take_why) { (words.take) }
                }
            } @else if mine {
                form.inline method="post" action=(path) {
                    (trail.fields(reader))
                    input type="hidden" name="owner" value="";
                    input type="hidden" name="lock" value="no";
                    button.small type="submit" title=(words.release_why) { (words.release) }
                }
            }
            @if unfinished {
                form.inline method="post" action=(path) {
                    (trail.fields(reader))
                    input type="hidden" name="state" value=(State::Closed { successful: true }.label());
                    button.small type="submit" { (words.close) }
                }
            }
            a.button.small href="#reply-text" { (words.reply) }
        }
    }
}

/// How it stands, in a line for narrow screens, where all that it is stands far below.
pub fn brief(ticket: &Ticket, config: &Config, reader: &SignedIn) -> Markup {
    html! {
        p.row.brief {
            (state_badge(reader.language, ticket.state)) (priority_badge(reader.language, ticket.priority))
            span { (ticket.queue) }
            @if let Some(owner) = &ticket.owner { span { (full_name(config, owner)) } }
        }
    }
}

/// What it is.
pub fn facts(ticket: &Ticket, config: &Config, reader: &SignedIn) -> Markup {
    let (words, list) = (One::of(reader.language), List::of(reader.language));
    let person = |name: &Option<String>| {
        html! {
            @if let Some(name) = name { (full_name(config, name)) } @else { span.soft { "–" } }
        }
    };
    html! {
        section.card aria-label=(words.facts) {
            dl.facts {
                dt { (list.state) } dd { (state_badge(reader.language, ticket.state)) }
                @if let Some(until) = ticket.pending_until {
                    dt { (words.pending_until) } dd { (layout::time(reader, until)) }
                }
                dt { (list.priority) } dd { (priority_badge(reader.language, ticket.priority)) }
                dt { (list.queue) } dd { (ticket.queue) }
                dt { (list.owner) } dd { (person(&ticket.owner)) }
                dt { (words.responsible) } dd { (person(&ticket.responsible)) }
                dt { (words.lock) }
                dd { (if ticket.locked_since.is_some() { words.locked } else { words.unlocked }) }
                @if let Some(customer) = &ticket.customer {
                    dt { (list.customer) } dd { bdi { (plain::line(&customer.name)) } }
                    dd.whole {
                        a href=(customers::path(customer.address.as_str())) {
                            (plain::person(customer.address.as_str(), words.doubtful))
                        }
                    }
                    @if let Some(company) = &customer.company {
                        dt { (words.company) } dd { (plain::line(company)) }
                    }
                    @if customer.answer_to() != &customer.address {
                        dt { (words.answers_to) } dd { (plain::line(customer.answer_to().as_str())) }
                    }
                }
                @for (name, value) in &ticket.fields { dt { (name) } dd { (plain::line(value)) } }
                dt { (words.created) } dd { (layout::time(reader, ticket.created)) }
                dt { (words.updated) } dd { (layout::time(reader, ticket.updated)) }
            }
        }
    }
}

/// An answer to the customer: from whom, to whom, in which language he reads, and what stands
/// around it.
pub fn reply(
    stored: &TicketView,
    config: &Config,
    reader: &SignedIn,
    draft: &Draft,
    form: &Form,
    trail: &Trail,
) -> Markup {
    let (words, ticket) = (One::of(reader.language), &stored.ticket);
    let customer = ticket.customer.as_ref().map(|customer| customer.answer_to().to_string());
    let to = draft.to.clone().or(customer).unwrap_or_default();
    let language = desk::language_of(config, ticket, &stored.articles);
    let from = render::letter_from(config, ticket);
    let path = format!("/tickets/{}", ticket.number);
    let others = others(ticket, config);
    let cc = match draft.to {
        None if form.ticked("all") => fitting(&others),
        None | Some(_) => draft.cc.clone(),
    };
    html! {
        form.card.stack #reply method="post" action=(format!("{path}/reply")) {
            h2 { (words.reply) }
            (trail.fields(reader))
            p.soft {
                (words.reply_hint) " "
                @if let Some(from) = from { (words.sent_as) ": " bdi { (from) } ". " }
                (words.customer_language) ": " (language_name(language))
            }
            @if let Some(shown) = &draft.preview { (preview(shown, words)) }
            div.pair {
                label { (words.to)
                    input name="to" maxlength="4000" autocomplete="off" value=(to);
                }
                label { (words.cc)
                    input name="cc" maxlength=(COPIES_BYTES_MAX) autocomplete="off" value=(cc);
                }
            }
            @if !others.is_empty() && cc.is_empty() {
                p.soft {
                    (words.takes_part) ": " (listed(&others)) " "
                    a href={ (trail.link(&path, &[("all", "1")])) "#reply" } { (words.to_all) }
                }
            }
            label for="reply-text" { (words.text) }
            textarea #reply-text name="text" required maxlength="200000" lang=(language.code()) data-key="r" { (draft.reply) }
            (around(ticket, config, reader, language))
            div.row {
                label.inline { (words.then)
                    select name="state" {
                        option value="" { (words.keep_state) }
                        @for state in [State::Open, State::Resolved, State::Closed { successful: true }] {
                            option value=(state.label()) selected[state.label() == draft.state] {
                                (words_of::state(reader.language, state))
                            }
                        }
                    }
                }
                button.main type="submit" { (words.send) }
                button type="submit" formaction=(format!("{path}/preview#preview")) { (words.preview) }
            }
        }
    }
}

/// Who takes part besides the customer: those whom his mails name, and whoever got an answer.
fn others<'a>(ticket: &'a Ticket, config: &Config) -> Vec<&'a Address> {
    let customer = ticket.customer.as_ref();
    let is_customer =
        |one: &Address| customer.is_some_and(|it| it.address == *one || it.answer_to() == one);
    let all = ticket.participants.iter();
    all.filter(|one| !is_customer(one) && !reply::is_ours(config, one)).collect()
}

/// The first of them in words, and how many more there are.
fn listed(all: &[&Address]) -> Markup {
    let shown = all.len().min(OTHERS_SHOWN);
    html! {
        @for (at, one) in all[..shown].iter().enumerate() {
            @if at > 0 { ", " }
            bdi { (plain::short(one.as_str(), OTHER_COLUMNS_MAX)) }
        }
        @if all.len() > shown { " +" (all.len() - shown) }
    }
}

/// As many of them as fit into the field for copies, and into one answer.
fn fitting(all: &[&Address]) -> String {
    let mut text = String::new();
    for one in all.iter().take(COPIES_MAX) {
        if text.len() + one.as_str().len() + 2 > COPIES_BYTES_MAX {
            break;
        }
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(one.as_str());
    }
    text
}

/// The answer as it would go out.
fn preview(shown: &PreviewView, words: &One) -> Markup {
    html! {
        section.preview #preview aria-label=(words.preview_title) {
            h3 { (words.preview_title) }
            dl.facts.small {
                dt { (words.sent_as) } dd { bdi { (shown.from.as_deref().unwrap_or("–")) } }
                dt { (words.to) } dd { (plain::line(&shown.to.join(", "))) }
                @if !shown.cc.is_empty() {
                    dt { (words.cc) } dd { (plain::line(&shown.cc.join(", "))) }
                }
                dt { (words.subject) } dd { (plain::line(&shown.subject)) }
            }
            p.letter lang=(shown.language) { (foreign::plain(&shown.text)) }
        }
    }
}

/// What the queue puts around the text, shown while it is written; with script also the text.
fn around(ticket: &Ticket, config: &Config, reader: &SignedIn, language: Language) -> Markup {
    let words = One::of(reader.language);
    let name = desk::author_name(config, &reader.actor());
    let (before, after) = render::surroundings(config, ticket, language, &name);
    html! {
        @if !before.is_empty() || !after.is_empty() {
            details.around {
                summary { (words.around) }
                p.letter lang=(language.code()) {
                    (foreign::plain(&before)) span.soft data-mirror="reply-text" { "…" } (foreign::plain(&after))
                }
            }
        }
    }
}

fn language_name(language: Language) -> &'static str {
    match language {
        Language::En => "English",
        Language::Ja => "日本語",
    }
}

/// A note.
pub fn note(ticket: &Ticket, reader: &SignedIn, draft: &Draft, trail: &Trail) -> Markup {
    let words = One::of(reader.language);
    html! {
        details.card.stack open[!draft.note.is_empty()] {
            summary data-key-open="n" { (words.note) }
            form method="post" action=(format!("/tickets/{}/note", ticket.number)) {
                (trail.fields(reader))
                label for="note-text" { (words.text) }
                textarea #note-text name="text" required maxlength="200000" data-key="n" { (draft.note) }
                div.row {
                    label.inline { input type="checkbox" name="visible" value="1"; (words.visible) }
                    button type="submit" { (words.add_note) }
                }
            }
        }
    }
}

/// Everything that can be set.
pub fn change(ticket: &Ticket, config: &Config, reader: &SignedIn, trail: &Trail) -> Markup {
    let (words, list) = (One::of(reader.language), List::of(reader.language));
    let agents = |chosen: &Option<String>| {
        let chosen = chosen.as_deref().unwrap_or_default();
        let known = config.users.contains_key(chosen);
        html! {
            option value="" { "–" }
            @if !chosen.is_empty() && !known { option value=(chosen) selected { (chosen) } }
            @for user in config.users.values() {
                @if user.state == Switch::Enabled || user.name == chosen {
                    option value=(user.name) selected[user.name == chosen] { (user.full_name) }
                }
            }
        }
    };
    let until = ticket.pending_until.map(|until| {
        until.to_zoned(reader.time_zone.clone()).strftime("%Y-%m-%dT%H:%M").to_string()
    });
    let customer = ticket.customer.as_ref().map(|customer| customer.address.as_str());
    html! {
        details.card.stack {
            summary { (words.change) }
            form.stack method="post" action=(format!("/tickets/{}/change", ticket.number)) {
                (trail.fields(reader))
                label { (list.state)
                    select name="state" {
                        @for state in STATES {
                            option value=(state.label()) selected[state == ticket.state] {
                                (words_of::state(reader.language, state))
                            }
                        }
                    }
                }
                label { (words.pending_time)
                    input type="datetime-local" name="until" value=[until];
                }
                label { (list.priority)
                    select name="priority" {
                        @for priority in Priority::ALL {
                            option value=(priority.label()) selected[priority == ticket.priority] {
                                (words_of::priority(reader.language, priority))
                            }
                        }
                    }
                }
                label { (list.queue)
                    select name="queue" {
                        @if !config.queues.contains_key(&ticket.queue) {
                            option value=(ticket.queue) selected { (ticket.queue) }
                        }
                        @for queue in config.queues.values() {
                            option value=(queue.name) selected[queue.name == ticket.queue] { (queue.name) }
                        }
                    }
                }
                label { (list.owner) select name="owner" { (agents(&ticket.owner)) } }
                label { (words.responsible) select name="responsible" { (agents(&ticket.responsible)) } }
                label { (words.lock)
                    select name="lock" {
                        option value="no" selected[ticket.locked_since.is_none()] { (words.unlocked) }
                        option value="yes" selected[ticket.locked_since.is_some()] { (words.locked) }
                    }
                }
                label { (list.title) input name="title" maxlength="250" value=(ticket.title); }
                label { (list.customer)
                    input type="email" name="customer" maxlength="254" value=[customer];
                }
                p { button.main type="submit" { (words.save) } }
            }
        }
    }
}

/// Who follows it. Managers see and change everybody; others themselves and customers.
pub fn watchers(ticket: &Ticket, config: &Config, reader: &SignedIn, trail: &Trail) -> Markup {
    let words = One::of(reader.language);
    let path = format!("/tickets/{}", ticket.number);
    let asker = reader.asker();
    let me = Watcher::Agent(reader.user.clone());
    let mine = ticket.watchers.contains(&me);
    let shown: Vec<&Watcher> = ticket.watchers.iter().filter(|who| asker.sees(who)).collect();
    html! {
        section.card {
            h2 { (words.watchers) }
            @if shown.is_empty() { p.soft { (words.nobody_watches) } }
            ul.plain {
                @for who in shown {
                    li.row.apart {
                        bdi {
                            @match who {
                                Watcher::Agent(name) => (full_name(config, name)),
                                Watcher::Customer(address) => (plain::line(address.as_str())),
                            }
                        }
                        @if asker.changes(who) {
                            form.inline method="post" action=(format!("{path}/unwatch")) {
                                (trail.fields(reader))
                                input type="hidden" name="who" value=(who);
                                button.small type="submit" aria-label=(format!("{} {who}", words.remove)) {
                                    (words.remove)
                                }
                            }
                        }
                    }
                }
            }
            @if reader.may(Role::User) {
                @if !mine {
                    form.inline method="post" action=(format!("{path}/watch")) {
                        (trail.fields(reader))
                        button type="submit" { (words.watch) }
                    }
                }
                form.row method="post" action=(format!("{path}/watch")) {
                    (trail.fields(reader))
                    input name="who" required maxlength="254" aria-label=(words.who)
                        placeholder=(words.who) autocomplete="off";
                    button type="submit" { (words.add) }
                }
            }
            @if reader.may(Role::Manager) {
                p { a href=(format!("{path}/audience")) { (words.audience) } }
            }
        }
    }
}

/// Becoming part of another ticket.
pub fn merge(ticket: &Ticket, reader: &SignedIn, trail: &Trail) -> Markup {
    let words = One::of(reader.language);
    html! {
        details.card.stack {
            summary { (words.merge) }
            form method="post" action=(format!("/tickets/{}/merge", ticket.number)) data-ask=(words.merge_ask) {
                (trail.fields(reader))
                label { (words.merge)
                    input name="into" required maxlength="40" inputmode="numeric" autocomplete="off";
                }
                p { button.danger type="submit" { (words.do_merge) } }
            }
        }
    }
}
