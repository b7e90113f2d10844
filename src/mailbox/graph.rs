//! Microsoft Graph: one folder of a mailbox, listed whole, each mail fetched as it travelled.
//!
//! What is documented by Microsoft is named beside each call by the last part of its address
//! beneath `https://learn.microsoft.com/graph/`.
//!
//! ```text
//! folders    the declared folder, by its path
//! presence   which mails still lie in it
//! rebuild    a mail that Exchange cannot convert, from its parts
//! ```
//! Architecture invariant: a mail is named by its immutable id. Before anything is done to it, the
//! service is asked whether it still lies in the folder: one that a person has moved away in the
//! meantime is neither fetched nor deleted.

mod folders;
mod parts;
mod presence;
mod rebuild;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

use folders::find;
use parts::{Parts, Person, write_field, write_fields};
use presence::{QUESTIONS_MAX, present};

use super::words::repeatable;
use super::{Entry, Fetched, Mailbox, MailboxError, Renewal, Scope, Woken, page_of};
use crate::core::config::{AfterFetch, Endpoint};
use crate::core::mail::Location;
use crate::faultpoint;
use crate::graph::{Graph, GraphError, ID_BYTES_MAX, encoded};
use crate::net::http::{HttpError, Method};

/// Messages in one folder.
pub const MESSAGES_MAX: usize = 500_000;
/// Messages of one page; the service allows 1,000 (`api/user-list-messages`).
const PAGE_MESSAGES: usize = 500;
/// The fewest that are asked for after answers of 504, which large pages provoke
/// (github.com/microsoftgraph/microsoft-graph-docs issues 5853, 11557).
const PAGE_MESSAGES_MIN: usize = 25;
/// Pages of one listing. The service may give smaller ones than we ask for.
const PAGES_MAX: usize = MESSAGES_MAX / 10;
/// How often a folder is listed anew that changes while it is listed.
const LISTINGS_MAX: u32 = 3;
/// Calls at a time; the service allows 4 to one application and mailbox (`throttling-limits`).
const CALLS_MAX: usize = 4;
/// Mails fetched together. What was fetched before an error is fetched again, so it is not many.
const FETCH_MAILS_MAX: usize = 50;
/// How often the service may say that somebody else changed a mail at the same time.
const CONFLICTS_MAX: u32 = 3;
/// `PidTagMessageSize` (`api/singlevaluelegacyextendedproperty-get`).
const SIZE_PROPERTY: &str = "Integer 0x0E08";

/// An opened folder.
pub struct GraphMailbox {
    graph: Graph,
    /// Id of the folder that is read. Folders keep theirs (`outlook-immutable-id`).
    folder: String,
    /// The same, and as messages name the folder they lie in: nothing says that a service writes
    /// both the same way.
    parents: BTreeSet<String>,
    /// Ids of folders that mails are moved to, by declared path.
    targets: BTreeMap<String, String>,
    /// What lay there at the last look and was not handed out yet.
    listed: VecDeque<Entry>,
    /// Messages asked for in one page.
    page_messages: usize,
}

/// Where a mailbox is.
pub struct Place<'a> {
    /// As declared.
    pub endpoint: &'a Endpoint,
    /// Its host.
    pub host: &'a str,
    /// Whose mailbox.
    pub mailbox: &'a str,
    /// The folder that is read.
    pub folder: &'a str,
}

/// Finds the folder, which needs a good token and a mailbox.
pub async fn open(place: Place<'_>, token: SecretString) -> Result<GraphMailbox, MailboxError> {
    let graph = Graph::new(place.endpoint, place.host, place.mailbox, token);
    let folder = find(&graph, place.folder).await?;
    let parents = BTreeSet::from([folder.clone()]);
    let (targets, listed) = (BTreeMap::new(), VecDeque::new());
    Ok(GraphMailbox { graph, folder, parents, targets, listed, page_messages: PAGE_MESSAGES })
}

#[async_trait]
impl Mailbox for GraphMailbox {
    /// A folder that is declared instead of this one begins anew, as after a renumbering.
    fn epoch(&self) -> String {
        self.folder.clone()
    }

    async fn look(&mut self, _scope: Scope) -> Result<(), MailboxError> {
        let mut listings = 0;
        while listings < LISTINGS_MAX {
            match self.list_once().await? {
                Listed::Whole(entries) => {
                    self.listed = entries.into();
                    return Ok(());
                }
                Listed::Changed => listings += 1,
                Listed::TooSlow => {
                    self.page_messages = (self.page_messages / 2).max(PAGE_MESSAGES_MIN);
                }
            }
        }
        Err(MailboxError::Protocol("the folder changed each time while it was listed".into()))
    }

    async fn page(&mut self) -> Result<Vec<Entry>, MailboxError> {
        Ok(page_of(&mut self.listed))
    }

    fn rest(&self) -> usize {
        self.listed.len()
    }

    async fn fetch(
        &mut self,
        entries: &[Entry],
        max_size_bytes: u64,
    ) -> Result<Vec<Fetched>, MailboxError> {
        let this = &*self;
        let mut all = Vec::with_capacity(entries.len());
        for entries in entries.chunks(QUESTIONS_MAX) {
            let here = &this.still_here(entries).await?;
            let fetched: Vec<Fetched> = stream::iter(entries.to_vec())
                .map(|entry| async move {
                    match here.contains(&entry.location.0) {
                        true => this.fetch_one(&entry, max_size_bytes).await,
                        false => Ok(Fetched::Missing),
                    }
                })
                .buffered(CALLS_MAX)
                .try_collect()
                .await?;
            all.extend(fetched);
        }
        Ok(all)
    }

    async fn done(&mut self, entries: &[Entry], after: &AfterFetch) -> Result<(), MailboxError> {
        let told = match after {
            AfterFetch::Delete => Told::Delete,
            AfterFetch::Seen => Told::Seen,
            AfterFetch::Move(path) => Told::Move(self.target(path).await?),
            AfterFetch::Keep => return Ok(()),
        };
        let (this, told) = (&*self, &told);
        let (mut heard, mut refused) = (0, Vec::new());
        for entries in entries.chunks(QUESTIONS_MAX) {
            // What is not in the folder any more needs no telling.
            let here = this.still_here(entries).await?;
            let told: Vec<Result<(), Refused>> = stream::iter(here)
                .map(|id| async move { this.tell(&id, told).await })
                .buffer_unordered(CALLS_MAX)
                .try_collect()
                .await?;
            heard += told.iter().filter(|told| told.is_ok()).count();
            refused.extend(told.into_iter().filter_map(Result::err));
        }
        match refused.into_iter().next() {
            // All of them: it is no trouble of single mails.
            Some(Refused { command, error }) if heard == 0 => Err(failed(command, error)),
            Some(Refused { command, error }) => {
                // It is listed again, and told again.
                tracing::warn!(command, %error, "the service refuses this to single mails");
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn renew_with(&mut self, renewal: Renewal) {
        self.graph.renew_with(renewal);
    }

    fn can_wait(&self) -> bool {
        false
    }

    fn fetch_mails_max(&self) -> usize {
        FETCH_MAILS_MAX
    }

    async fn wait(&mut self, _at_most: Duration) -> Result<Woken, MailboxError> {
        Err(MailboxError::Unsupported("Microsoft Graph does not tell us of new mail"))
    }

    async fn close(&mut self) -> Result<(), MailboxError> {
        Ok(())
    }
}

/// A mail to which the service refuses what it was told.
struct Refused {
    command: &'static str,
    error: GraphError,
}

/// What the service is told about a mail.
enum Told {
    Delete,
    Seen,
    /// To the folder with this id.
    Move(String),
}

/// A page of a listing (`paging`).
#[derive(Deserialize)]
struct Page {
    value: Vec<Message>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
    /// Negative where the service does not know it (github.com/microsoftgraph/microsoft-graph-docs
    /// issues 3848, 15030).
    #[serde(rename = "@odata.count")]
    count: Option<i64>,
}

/// What came of a listing.
enum Listed {
    Whole(Vec<Entry>),
    /// Something may have slipped from one page to the one before.
    Changed,
    /// The service did not get ready with a page in its time.
    TooSlow,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    id: String,
    received_date_time: Option<String>,
    is_read: Option<bool>,
    parent_folder_id: Option<String>,
    #[serde(default)]
    single_value_extended_properties: Vec<Property>,
}

#[derive(Deserialize)]
struct Property {
    value: String,
}

impl GraphMailbox {
    /// Everything in the folder, oldest first (`api/mailfolder-list-messages`).
    async fn list_once(&mut self) -> Result<Listed, MailboxError> {
        let top = self.page_messages;
        let path = self.folder_messages(&format!(
            "?$select=id,receivedDateTime,isRead,parentFolderId\
             &$expand=singleValueExtendedProperties($filter=id%20eq%20'{}')\
             &$orderby=receivedDateTime%20asc&$top={top}&$count=true",
            encoded(SIZE_PROPERTY)
        ));
        let mut call = self.graph.call(Method::GET, &path);
        let mut messages: BTreeMap<String, Message> = BTreeMap::new();
        let mut announced = None;
        let mut links = BTreeSet::new();
        loop {
            if top > PAGE_MESSAGES_MIN {
                call = call.giving_up_on_504();
            }
            let page: Page = match self.graph.ask(call).await {
                Ok(page) => page,
                // What leads to the next page has expired.
                Err(error) if error.status() == Some(410) => return Ok(Listed::Changed),
                Err(GraphError::NotRepeated { status: 504, .. }) => return Ok(Listed::TooSlow),
                Err(error) => return Err(failed("list", error)),
            };
            announced = announced.or(page.count.and_then(|count| usize::try_from(count).ok()));
            for message in page.value {
                check_id(&message.id)?;
                self.parents.extend(message.parent_folder_id.clone());
                messages.insert(message.id.clone(), message);
            }
            let Some(link) = page.next else { break };
            if messages.len() > MESSAGES_MAX || links.len() > PAGES_MAX {
                let message = format!("the folder has more than {MESSAGES_MAX} messages");
                return Err(MailboxError::Protocol(message));
            }
            if !links.insert(link.clone()) {
                let message = "the pages of a listing lead round in a circle".into();
                return Err(MailboxError::Protocol(message));
            }
            call = self.graph.next(&link).map_err(|error| failed("list", error))?;
        }
        // More than announced arrived meanwhile; fewer, and something was taken away, behind which
        // the others moved up.
        if announced.is_some_and(|count| messages.len() < count) {
            return Ok(Listed::Changed);
        }
        let mut messages: Vec<Message> = messages.into_values().collect();
        messages.sort_by_cached_key(|message| (arrived(message), message.id.clone()));
        let entries = (0..).zip(messages).map(|(handle, message)| entry(handle, message));
        Ok(Listed::Whole(entries.collect()))
    }

    /// `api/message-get` with `$value`, the MIME content (`outlook-get-mime-message`).
    async fn fetch_one(&self, entry: &Entry, max_size_bytes: u64) -> Result<Fetched, MailboxError> {
        let id = &entry.location.0;
        let told = entry.size_bytes.unwrap_or(max_size_bytes);
        if told > max_size_bytes {
            return self.fetch_header(id, told).await;
        }
        let bytes_max = usize::try_from(max_size_bytes).unwrap_or(usize::MAX);
        // What is stored and what is sent differ: attachments travel as text, a third longer.
        let time_for = (told + told / 2).min(max_size_bytes);
        let call = self.graph.call(Method::GET, &message(id, "/$value"));
        let answer = match self.graph.read(call.answer(bytes_max, time_for)).await {
            Ok(answer) => answer,
            Err(error) if error.is_gone() => return Ok(Fetched::Missing),
            Err(GraphError::Http(HttpError::TooLarge(..))) => {
                return self.fetch_header(id, max_size_bytes + 1).await;
            }
            Err(error) if rebuild::is_not_convertible(&error) => {
                return rebuild::from_parts(&self.graph, id, max_size_bytes).await;
            }
            // The folder could be listed, so this is the trouble of the one mail.
            Err(error) if error.status() == Some(403) => return Ok(Fetched::Missing),
            Err(error) => return Err(failed("fetch", error)),
        };
        let kind = answer.headers.get("content-type").and_then(|kind| kind.to_str().ok());
        // A page of something in between must not become a ticket, and its mail be deleted.
        if kind.is_some_and(is_no_mail) || answer.body.is_empty() {
            return Err(MailboxError::Protocol("a mail was answered with something else".into()));
        }
        Ok(Fetched::Mail(Vec::from(answer.body)))
    }

    /// The header alone (`api/message-get` with `internetMessageHeaders`).
    async fn fetch_header(&self, id: &str, size_bytes: u64) -> Result<Fetched, MailboxError> {
        let query = "?$select=internetMessageHeaders,internetMessageId,subject,from";
        let call = self.graph.call(Method::GET, &message(id, query));
        let message: Parts = match self.graph.ask(call).await {
            Ok(message) => message,
            Err(error) if error.is_gone() => return Ok(Fetched::Missing),
            Err(error) => return Err(failed("fetch header", error)),
        };
        let mut header = Vec::new();
        for line in message.internet_message_headers.iter().flatten() {
            write_field(&mut header, &line.name, &line.value);
        }
        // A mail that never left the organisation has no header lines.
        if header.is_empty() {
            write_fields(
                &mut header,
                [
                    ("From", message.from.as_ref().and_then(Person::address)),
                    ("Subject", message.subject),
                    ("Message-ID", message.internet_message_id),
                ],
            );
        }
        header.extend_from_slice(b"\r\n");
        Ok(Fetched::Oversize { header, size_bytes })
    }

    /// Tells the service about one mail that lies in the folder.
    async fn tell(&self, id: &str, told: &Told) -> Result<Result<(), Refused>, MailboxError> {
        for _ in 0..CONFLICTS_MAX {
            let (command, call) = match told {
                // `api/message-delete`: to where its owner can still recover it.
                Told::Delete => ("delete", self.graph.call(Method::DELETE, &message(id, ""))),
                // `api/message-update`.
                Told::Seen => {
                    let call = self.graph.call(Method::PATCH, &message(id, ""));
                    ("mark", call.json(&json!({ "isRead": true })))
                }
                // `api/message-move`: the immutable id stays.
                Told::Move(folder) => {
                    let call = self.graph.call(Method::POST, &message(id, "/move"));
                    ("move", call.json(&json!({ "destinationId": folder })).repeatable())
                }
            };
            match self.graph.carry_out(call).await {
                Ok(_) => {
                    faultpoint!("graph.told");
                    return Ok(Ok(()));
                }
                Err(error) if error.is_gone() => return Ok(Ok(())),
                // What is deleted already is answered so with immutable ids
                // (github.com/microsoftgraph/msgraph-sdk-dotnet issue 3047).
                Err(error) if command == "delete" && error.code() == "ErrorCannotDeleteObject" => {
                    return Ok(Ok(()));
                }
                Err(error) if error.status() == Some(403) => {
                    return Ok(Err(Refused { command, error }));
                }
                // Nothing of what we say depends on what it was before: it is said again.
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(failed(command, error)),
            }
        }
        Err(MailboxError::Refused {
            command: "change",
            message: "somebody else changes the mail again and again".into(),
        })
    }

    async fn target(&mut self, path: &str) -> Result<String, MailboxError> {
        if let Some(known) = self.targets.get(path) {
            return Ok(known.clone());
        }
        let id = find(&self.graph, path).await?;
        self.targets.insert(path.to_owned(), id.clone());
        Ok(id)
    }

    /// Those of these mails that a person has not moved away in the meantime.
    async fn still_here(&self, entries: &[Entry]) -> Result<BTreeSet<String>, MailboxError> {
        let ids: Vec<&str> = entries.iter().map(|entry| entry.location.0.as_str()).collect();
        present(&self.graph, &self.parents, &ids).await
    }

    fn folder_messages(&self, rest: &str) -> String {
        format!("/mailFolders/{}/messages{rest}", encoded(&self.folder))
    }
}

fn message(id: &str, rest: &str) -> String {
    format!("/messages/{}{rest}", encoded(id))
}

fn entry(handle: u32, message: Message) -> Entry {
    // We ask for one property only.
    let properties = &message.single_value_extended_properties;
    let size = properties.first().and_then(|property| property.value.parse().ok());
    Entry {
        arrived: arrived(&message),
        seen: message.is_read.unwrap_or(false),
        size_bytes: size,
        handle,
        location: Location(message.id),
    }
}

fn arrived(message: &Message) -> Option<Timestamp> {
    message.received_date_time.as_ref()?.parse().ok()
}

/// An id is part of addresses and of the ledger.
fn check_id(id: &str) -> Result<(), MailboxError> {
    let fine = !id.is_empty() && id.len() <= ID_BYTES_MAX;
    if fine && id.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(MailboxError::Protocol("an id is empty, too long or has odd characters".into()))
    }
}

fn is_no_mail(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    ["text/html", "application/json", "application/xml", "text/xml"]
        .iter()
        .any(|other| kind.eq_ignore_ascii_case(other))
}

/// What an error means for the session. A refused token and a missing permission are both a
/// refused login: a permission that is granted later comes with a new token.
fn failed(command: &'static str, error: GraphError) -> MailboxError {
    match error {
        GraphError::Http(error) => no_answer(command, error),
        GraphError::Busy(wait) => MailboxError::Busy { retry_after: wait },
        GraphError::NotRepeated { status, retry_after } => match retry_after {
            Some(retry_after) => MailboxError::Busy { retry_after },
            None => MailboxError::Refused { command, message: format!("status {status}") },
        },
        GraphError::Protocol(message) => MailboxError::Protocol(message),
        GraphError::Refused { status: 401, code, message } => {
            MailboxError::Login(format!("{} ({code})", repeatable(&message)))
        }
        GraphError::Refused { status: 403, code, message } => MailboxError::Login(format!(
            "{} ({code}); the application may lack the permission Mail.ReadWrite, or access to \
             this mailbox",
            repeatable(&message)
        )),
        GraphError::Refused { status, code, message } => MailboxError::Refused {
            command,
            message: format!("{status} {code}: {}", repeatable(&message)),
        },
    }
}

fn no_answer(command: &'static str, error: HttpError) -> MailboxError {
    match error {
        HttpError::Net(error) => error.into(),
        HttpError::Timeout(..) => MailboxError::Timeout(command),
        HttpError::TooLarge(..) => MailboxError::Protocol(error.to_string()),
        HttpError::Broken(..) => MailboxError::Lost(error.to_string()),
        HttpError::Request(..) | HttpError::Private(..) => MailboxError::Connect(error.to_string()),
    }
}
