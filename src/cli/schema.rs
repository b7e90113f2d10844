//! `postroom schema`: the JSON Schema of the files.

use clap::Args;

use super::{Exit, Failure, output};

/// Options of `schema`.
#[derive(Args)]
#[command(after_help = "Example:\n  postroom schema > postroom.schema.json")]
pub struct SchemaArgs {}

/// Prints it.
pub fn run(_: SchemaArgs) -> Result<Exit, Failure> {
    output::json(&crate::config::schema());
    Ok(Exit::Fine)
}
