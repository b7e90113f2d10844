//! A listing of the daemon, page by page.

use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::client::{Client, ServerArgs, query};
use super::output::Format;
use super::{Exit, Failure, output, wait_for};
use crate::http::dto::PageView;
use crate::http::paging::LIMIT_MAX;

/// Which page, from whom, and how to write it.
#[derive(Args)]
pub struct PageArgs {
    /// Rows, at most 200
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Where to go on: what is printed under a full page
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
    /// How to write the answer
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
}

impl PageArgs {
    /// Asks for the rows at this path that are wanted, and writes them.
    pub fn show<T, C>(
        &self,
        path: &str,
        wanted: Vec<(&str, Option<String>)>,
        listing: impl Fn(&PageView<T, C>) -> String,
    ) -> Result<Exit, Failure>
    where
        T: Serialize + DeserializeOwned,
        C: Serialize + DeserializeOwned,
    {
        let mut wanted = wanted;
        wanted.push(("limit", Some(self.limit.to_string())));
        wanted.push(("cursor", self.cursor.clone()));
        let page: PageView<T, C> = wait_for(self.server.client()?.get(&query(path, &wanted)))?;
        match self.format {
            Format::Json => output::json(&page),
            Format::Human => output::print(&listing(&page)),
        }
        Ok(Exit::Fine)
    }
}

/// Every row at this path, page by page.
pub async fn every<T: DeserializeOwned>(client: &Client, path: &str) -> Result<Vec<T>, Failure> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let wanted = [("limit", Some(LIMIT_MAX.to_string())), ("cursor", cursor)];
        let page: PageView<T, String> = client.get(&query(path, &wanted)).await?;
        all.extend(page.items);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(all),
        }
    }
}

/// The line under a page that is not the last.
pub fn more<C: std::fmt::Display>(next: Option<&C>) -> String {
    next.map(|next| format!("more with --cursor {next}\n")).unwrap_or_default()
}
