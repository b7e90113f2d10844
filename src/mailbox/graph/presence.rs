//! Which messages still lie in the folder, asked right before something is done to them.
//!
//! A message is fetched, moved and deleted by its id alone, wherever a person has moved it in the
//! meantime: `$value` beneath a folder is documented (`api/message-get`), and the service answers
//! it with 405 (github.com/microsoftgraph/microsoft-graph-docs issue 9364).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::MailboxError;
use super::failed;
use crate::graph::{Graph, GraphError, IMMUTABLE_IDS, Parent, WAIT_INLINE_MAX, encoded};
use crate::net::http::Method;

/// Questions of one batch; the service allows no more (`json-batching`), and hands four of them at
/// a time to the mailbox by itself.
pub const QUESTIONS_MAX: usize = 20;
/// How often questions are put again that the service was too busy to answer.
const ROUNDS_MAX: u32 = 5;
/// Pause before they are put again if the service names none.
const PAUSE_DEFAULT: Duration = Duration::from_secs(2);

/// Those of at most [`QUESTIONS_MAX`] messages that lie in one of these folders.
pub(super) async fn present(
    graph: &Graph,
    folders: &BTreeSet<String>,
    ids: &[&str],
) -> Result<BTreeSet<String>, MailboxError> {
    let mut present = BTreeSet::new();
    if let [id] = ids {
        let call = graph.call(Method::GET, &question(id));
        match graph.ask::<Parent>(call).await {
            Ok(parent) if parent.is_one_of(folders) => present.insert((*id).to_owned()),
            Ok(_) => false,
            Err(error) if error.is_gone() => false,
            Err(error) => return Err(failed("ask where a mail is", error)),
        };
        return Ok(present);
    }
    let mut open: Vec<&str> = ids.to_vec();
    for _ in 0..ROUNDS_MAX {
        if open.is_empty() {
            return Ok(present);
        }
        let mut answers = ask_together(graph, &open).await?;
        let mut pause = None;
        let mut unanswered = Vec::new();
        for (number, id) in open.iter().enumerate() {
            let answer = answers.remove(&number.to_string()).ok_or_else(|| {
                MailboxError::Protocol("the service left out a part of a batch".into())
            })?;
            match answer.judge() {
                Ok(parent) if parent.is_one_of(folders) => {
                    present.insert((*id).to_owned());
                }
                Ok(_) => {}
                Err(error) if error.is_gone() => {}
                Err(GraphError::Busy(wait)) => {
                    pause = pause.max(Some(wait));
                    unanswered.push(*id);
                }
                Err(error) => return Err(failed("ask where a mail is", error)),
            }
        }
        if let Some(pause) = pause {
            if pause > WAIT_INLINE_MAX {
                return Err(MailboxError::Busy { retry_after: pause });
            }
            tokio::time::sleep(pause).await;
        }
        open = unanswered;
    }
    if open.is_empty() {
        Ok(present)
    } else {
        Err(MailboxError::Busy { retry_after: PAUSE_DEFAULT })
    }
}

fn question(id: &str) -> String {
    format!("/messages/{}?$select=parentFolderId", encoded(id))
}

/// Answers by number.
async fn ask_together(
    graph: &Graph,
    ids: &[&str],
) -> Result<BTreeMap<String, Answer>, MailboxError> {
    #[derive(Deserialize)]
    struct Answers {
        responses: Vec<Answer>,
    }
    // The headers of the whole do not hold for its parts.
    let headers = json!({ "Prefer": IMMUTABLE_IDS });
    let requests: Vec<Value> = (0..)
        .zip(ids)
        .map(|(number, id)| {
            let url = graph.relative(&question(id));
            json!({ "id": i32::to_string(&number), "method": "GET", "url": url, "headers": headers })
        })
        .collect();
    let call = graph.batch(&json!({ "requests": requests }));
    let answers: Answers =
        graph.ask(call).await.map_err(|error| failed("ask where a mail is", error))?;
    Ok(answers.responses.into_iter().map(|answer| (answer.id.clone(), answer)).collect())
}

/// The answer to one part of a batch.
#[derive(Deserialize)]
struct Answer {
    id: String,
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, Value>,
    #[serde(default)]
    body: Value,
}

impl Answer {
    fn judge(self) -> Result<Parent, GraphError> {
        match self.status {
            200 => serde_json::from_value(self.body).map_err(|_| {
                GraphError::Protocol("a part of a batch is not what is documented".into())
            }),
            // `json-batching`: each part is limited by itself.
            429 | 503 | 504 | 509 => {
                let header =
                    self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case("retry-after"));
                let secs = header.and_then(|(_, value)| match value {
                    Value::String(text) => text.parse().ok(),
                    other => other.as_u64(),
                });
                Err(GraphError::Busy(secs.map_or(PAUSE_DEFAULT, Duration::from_secs)))
            }
            status => Err(GraphError::in_batch(status, &self.body)),
        }
    }
}
