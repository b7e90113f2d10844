//! A person's own page: who one is, and signing out everywhere.

use axum::extract::State;
use maud::html;

use super::layout::{self, Here, Page};
use super::words::{Frame, Me};
use crate::core::config::Language;
use crate::http::Web;
use crate::http::problem::Problem;
use crate::http::routes::role_name;
use crate::http::session::SignedIn;

/// Who one is.
pub async fn show(State(web): State<Web>, reader: SignedIn) -> Result<Page, Problem> {
    let (words, frame) = (Me::of(reader.language), Frame::of(reader.language));
    let key = reader.key;
    let session = web.read(move |store| store.session(&key)).await?;
    let config = web.handle.running.load().config.clone();
    let user = config.users.get(&reader.user).ok_or_else(Problem::internal)?;
    let content = html! {
        h1 { (frame.me) }
        div.card {
            dl.facts {
                dt { (words.user) } dd { (user.name) " (" (user.full_name) ")" }
                dt { (words.mail) } dd { (user.email) }
                dt { (words.role) } dd { (role_name(user.role)) }
                dt { (words.language) }
                dd {
                    @match reader.language {
                        Language::En => (words.english),
                        Language::Ja => (words.japanese),
                    }
                }
                @if let Some(session) = session {
                    dt { (words.began) } dd { (layout::time(&reader, session.began)) }
                }
            }
            p.soft { (words.declared) }
        }
        div.card {
            p { (words.everywhere_why) }
            (layout::button(&reader, "/sign-out/everywhere", words.everywhere, "danger"))
        }
    };
    Ok(layout::page(&reader, Here::Elsewhere, frame.me, content))
}
