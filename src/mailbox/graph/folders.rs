//! Finds folders of a mailbox by what is declared.

use serde::Deserialize;

use super::super::MailboxError;
use super::super::words::repeatable;
use super::{check_id, failed};
use crate::graph::{Graph, GraphError, encoded};
use crate::net::http::Method;

/// Folders within folders in a declared path.
const DEPTH_MAX: usize = 20;
/// Longest declared path of a folder. Bytes.
const PATH_BYTES_MAX: usize = 1024;

/// Folders whose names are the same in every language (`api/resources/mailfolder`).
const WELL_KNOWN: &[&str] = &[
    "archive",
    "clutter",
    "conflicts",
    "conversationhistory",
    "deleteditems",
    "drafts",
    "inbox",
    "junkemail",
    "localfailures",
    "msgfolderroot",
    "outbox",
    "recoverableitemsdeletions",
    "scheduled",
    "searchfolders",
    "sentitems",
    "serverfailures",
    "syncissues",
];

/// A folder by its path: a well-known name or a display name, then names of folders within.
pub(super) async fn find(graph: &Graph, path: &str) -> Result<String, MailboxError> {
    let names: Vec<&str> = path.split('/').collect();
    if path.len() > PATH_BYTES_MAX || names.len() > DEPTH_MAX {
        return Err(MailboxError::Folder("its path is too long".into()));
    }
    let mut found: Option<String> = None;
    for name in names {
        let well_known = name.to_ascii_lowercase();
        found = Some(match &found {
            None if WELL_KNOWN.contains(&well_known.as_str()) => {
                find_well_known(graph, &well_known).await?
            }
            // `api/user-list-mailfolders`: those beneath the root.
            None => find_named(graph, "/mailFolders", name).await?,
            // `api/mailfolder-list-childfolders`.
            Some(parent) => {
                let within = format!("/mailFolders/{}/childFolders", encoded(parent));
                find_named(graph, &within, name).await?
            }
        });
    }
    found.ok_or_else(|| MailboxError::Folder("it has no name".into()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Folder {
    id: String,
    display_name: Option<String>,
}

/// `api/mailfolder-get`.
async fn find_well_known(graph: &Graph, name: &str) -> Result<String, MailboxError> {
    let call = graph.call(Method::GET, &format!("/mailFolders/{name}?$select=id"));
    match graph.ask::<Folder>(call).await {
        Ok(folder) => check_id(&folder.id).map(|()| folder.id),
        Err(error) if error.is_gone() => Err(missing(name, &error)),
        Err(error) => Err(failed("open folder", error)),
    }
}

async fn find_named(graph: &Graph, within: &str, name: &str) -> Result<String, MailboxError> {
    #[derive(Deserialize)]
    struct Folders {
        value: Vec<Folder>,
    }
    // A quote within is doubled (OData 4.01 URL conventions, section 5.1.1.6.2).
    let quoted = encoded(&name.replace('\'', "''"));
    let path =
        format!("{within}?$filter=displayName%20eq%20'{quoted}'&$select=id,displayName&$top=100");
    let folders: Folders = match graph.ask(graph.call(Method::GET, &path)).await {
        Ok(folders) => folders,
        Err(error) if error.is_gone() => return Err(missing(name, &error)),
        Err(error) => return Err(failed("open folder", error)),
    };
    // The service compares without regard to case.
    let named = |folder: &&Folder| folder.display_name.as_deref() == Some(name);
    let found = folders.value.iter().find(named).or(folders.value.first());
    match found {
        Some(folder) => check_id(&folder.id).map(|()| folder.id.clone()),
        None => Err(MailboxError::Folder(format!("there is no folder {name:?}"))),
    }
}

/// No folder or no mailbox of this name.
fn missing(name: &str, error: &GraphError) -> MailboxError {
    match error {
        GraphError::Refused { code, message, .. } if code != "ErrorItemNotFound" => {
            MailboxError::Folder(format!("{name}: {} ({code})", repeatable(message)))
        }
        _ => MailboxError::Folder(format!("there is no folder {name:?}")),
    }
}
