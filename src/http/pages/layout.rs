//! The frame around every page: head, navigation, search, bell, and how times are shown.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::assets;
use super::words::Frame;
use crate::core::config::{Language, Role};
use crate::http::session::{SignedIn, UNREAD_MAX};

/// What a page may load and do: its own style, script and images, and forms to this very host.
pub const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
     img-src 'self'; frame-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Which entry of the navigation a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Here {
    /// Tickets, their list and search.
    Tickets,
    /// Customers.
    Customers,
    /// What rang.
    Notifications,
    /// The communication log.
    Mails,
    /// Mails kept for a person to look at.
    Quarantine,
    /// Mail we owe.
    Outbox,
    /// Mail accounts and servers.
    Accounts,
    /// Revision and files.
    Configuration,
    /// None of them.
    Elsewhere,
}

/// Entries of the navigation: who sees them, and where they lead. The bell has a place of its own.
const ENTRIES: &[(Here, Role, &str)] = &[
    (Here::Tickets, Role::Viewer, "/"),
    (Here::Customers, Role::Viewer, "/customers"),
    (Here::Mails, Role::Viewer, "/mails"),
    (Here::Quarantine, Role::Manager, "/quarantine"),
    (Here::Outbox, Role::Manager, "/outbox"),
    (Here::Accounts, Role::Viewer, "/accounts"),
    (Here::Configuration, Role::Admin, "/configuration"),
];

/// A page as an answer.
pub struct Page {
    /// Status of the answer.
    pub status: StatusCode,
    /// All of it.
    pub markup: Markup,
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.markup.into_string()).into_response();
        let headers = response.headers_mut();
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, html);
        let policy = HeaderValue::from_static(CONTENT_POLICY);
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        // With `no-referrer` browsers would send forms with the origin `null`.
        let referrer = HeaderValue::from_static("same-origin");
        headers.insert(header::REFERRER_POLICY, referrer);
        response
    }
}

/// A page for a person who is signed in.
pub fn page(reader: &SignedIn, here: Here, title: &str, content: Markup) -> Page {
    let words = Frame::of(reader.language);
    let body = html! {
        a.skip href="#content" { (words.skip) }
        header.bar {
            a.brand href="/" title=(reader.desk) { (icon()) span { (reader.desk) } }
            nav aria-label=(words.navigation) {
                ul {
                    @for (entry, _, path) in ENTRIES.iter().filter(|entry| reader.may(entry.1)) {
                        li {
                            a href=(path) aria-current=[(*entry == here).then_some("page")] {
                                (name(*entry, words))
                            }
                        }
                    }
                }
            }
            form.search role="search" method="get" action="/" {
                input type="search" name="q" maxlength="200" aria-label=(words.search)
                    placeholder=(words.search_hint) autocomplete="off" data-search="";
            }
            (bell(reader, here, words))
            (menu(reader, words))
        }
        main #content tabindex="-1" { (content) }
    };
    Page { status: StatusCode::OK, markup: document(reader.language, &reader.desk, title, body) }
}

/// A page for somebody who is not signed in.
pub fn outside(language: Language, desk: &str, title: &str, content: Markup) -> Page {
    let words = Frame::of(language);
    let body = html! {
        a.skip href="#content" { (words.skip) }
        main.outside #content tabindex="-1" {
            p.brand { (icon()) span { (desk) } }
            (content)
        }
    };
    Page { status: StatusCode::OK, markup: document(language, desk, title, body) }
}

/// The field that every form of a session carries.
pub fn csrf(reader: &SignedIn) -> Markup {
    html! { input type="hidden" name="csrf" value=(reader.csrf); }
}

/// A form of one button that does something.
pub fn button(reader: &SignedIn, action: &str, label: &str, class: &str) -> Markup {
    html! {
        form.inline method="post" action=(action) {
            (csrf(reader))
            button class=(class) type="submit" { (label) }
        }
    }
}

/// What was just done, or why not, before everything else on the page.
pub fn notice(text: &str, bad: bool) -> Markup {
    html! {
        @if !text.is_empty() {
            p.notice.bad[bad] role=(if bad { "alert" } else { "status" }) { (text) }
        }
    }
}

/// A time in the desk's zone, to the minute; the rest in its title.
pub fn time(reader: &SignedIn, at: Timestamp) -> Markup {
    let zoned = at.to_zoned(reader.time_zone.clone());
    let shown = zoned.strftime("%Y-%m-%d %H:%M").to_string();
    let exact = zoned.strftime("%Y-%m-%d %H:%M:%S %Z").to_string();
    html! { time title=(exact) { (shown) } }
}

/// A time in a list, as short as it is clear: today's hour, this year's day, else the day. The whole
/// is in its title.
pub fn brief(reader: &SignedIn, at: Timestamp) -> Markup {
    let zoned = at.to_zoned(reader.time_zone.clone());
    let today = reader.now.to_zoned(reader.time_zone.clone());
    let format = match reader.language {
        _ if zoned.date() == today.date() => "%H:%M",
        Language::En if zoned.year() == today.year() => "%b %-d, %H:%M",
        Language::Ja if zoned.year() == today.year() => "%-m/%-d %H:%M",
        Language::En | Language::Ja => "%Y-%m-%d",
    };
    let exact = zoned.strftime("%Y-%m-%d %H:%M:%S %Z").to_string();
    html! { span.nowrap title=(exact) { (zoned.strftime(format).to_string()) } }
}

/// Leads to the following page of a listing, and back to the newest.
pub fn pager(reader: &SignedIn, newest: Option<&str>, older: Option<&str>) -> Markup {
    let words = Frame::of(reader.language);
    html! {
        @if newest.is_some() || older.is_some() {
            p.pager {
                @if let Some(link) = newest { a.button href=(link) { "⇤ " (words.newer) } }
                @if let Some(link) = older { a.button rel="next" href=(link) { (words.older) " →" } }
            }
        }
    }
}

/// Leads to the following page of a listing that begins with the first, and back to it.
pub fn alphabet(reader: &SignedIn, first: Option<&str>, next: Option<&str>) -> Markup {
    let words = Frame::of(reader.language);
    html! {
        @if first.is_some() || next.is_some() {
            p.pager {
                @if let Some(link) = first { a.button href=(link) { "⇤ " (words.first) } }
                @if let Some(link) = next { a.button rel="next" href=(link) { (words.next) " →" } }
            }
        }
    }
}

fn document(language: Language, desk: &str, title: &str, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(language.code()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · " (desk) }
                link rel="icon" href=(assets::ICON.path());
                link rel="stylesheet" href=(assets::STYLE.path());
                script src=(assets::SCRIPT.path()) defer {}
            }
            body { (body) }
        }
    }
}

fn bell(reader: &SignedIn, here: Here, words: &Frame) -> Markup {
    let current = (here == Here::Notifications).then_some("page");
    let count = match reader.unread {
        unread if unread > UNREAD_MAX => format!("{UNREAD_MAX}+"),
        unread => unread.to_string(),
    };
    html! {
        a.bell href="/notifications" aria-current=[current] title=(words.notifications) {
            (PreEscaped(BELL))
            span.hidden { (words.notifications) }
            @if reader.unread > 0 {
                span.count { (count) span.hidden { " " (words.unread) } }
            }
        }
    }
}

fn menu(reader: &SignedIn, words: &Frame) -> Markup {
    html! {
        details.menu {
            summary title=(reader.full_name) { span { (reader.full_name) } }
            div {
                a href="/me" { (words.me) }
                (button(reader, "/sign-out", words.sign_out, "plain"))
            }
        }
    }
}

fn icon() -> Markup {
    html! { img src=(assets::ICON.path()) alt="" width="22" height="22"; }
}

/// Drawn here, so that its colour follows the text.
const BELL: &str = r#"<svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true"><path fill="none" stroke="currentColor" stroke-width="1.8" stroke-linejoin="round" stroke-linecap="round" d="M6 17V11a6 6 0 0 1 12 0v6l1.5 1.5h-15zM10 21h4"/></svg>"#;

fn name(here: Here, words: &Frame) -> &'static str {
    match here {
        Here::Tickets | Here::Elsewhere => words.tickets,
        Here::Notifications => words.notifications,
        Here::Customers => words.customers,
        Here::Mails => words.mails,
        Here::Quarantine => words.quarantine,
        Here::Outbox => words.outbox,
        Here::Accounts => words.accounts,
        Here::Configuration => words.configuration,
    }
}
