//! `postroom import`: the mail set-up of another desk, from an export of its tables, as YAML.
//!
//! Architecture invariant: no password is carried: where one was, a `{secret: NAME}` stands and the
//! report names it. What cannot be carried is reported, never guessed.

mod export;
mod otobo;
mod words;
mod zammad;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::{Exit, Failure, output};
use crate::config::document;
use export::Export;

/// Options of `import`.
#[derive(Args)]
#[command(after_help = "DIR holds one JSON file per table; docs/coming-from-otobo.md and \
                        docs/coming-from-zammad.md show how to write them. The YAML goes to the \
                        standard output or to --into, what could not be carried to the standard \
                        error.\n\n\
                        Examples:\n  postroom import otobo export/ --into config/desk.yaml\n  \
                        postroom import zammad export/ > desk.yaml")]
pub struct ImportArgs {
    /// Where it comes from
    #[arg(value_name = "FROM")]
    from: Origin,
    /// Directory with the export
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// File to write; it must not be there yet
    #[arg(long, value_name = "FILE")]
    into: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Origin {
    /// OTOBO 10 or 11.
    Otobo,
    /// Zammad 5 or 6.
    Zammad,
}

/// What came of an import.
#[derive(Debug, Default)]
struct Carried {
    /// Sections of YAML.
    sections: Map<String, Value>,
    /// What could not be carried, and what remains to be done.
    notes: Vec<String>,
}

/// Reads, carries, writes.
pub fn run(args: ImportArgs) -> Result<Exit, Failure> {
    let mut export = Export::of(&args.directory)?;
    let carried = match args.from {
        Origin::Otobo => otobo::carry(&mut export)?,
        Origin::Zammad => zammad::carry(&mut export)?,
    };
    let yaml = carried.yaml();
    match &args.into {
        Some(path) => write_new(path, &yaml)?,
        None => output::print(&yaml),
    }
    let mut notes = carried.notes;
    notes.extend(export.unused().map(|name| format!("{name}: is not read")));
    // What is written must load: what does not is said at once, with its place.
    let name = args.into.as_deref().unwrap_or(Path::new("desk.yaml")).display().to_string();
    let loaded = crate::config::load_saved(&[(name, yaml)]);
    output::problems(&loaded.problems);
    let report: String = notes.iter().map(|note| format!("- {}\n", output::clean(note))).collect();
    output::remark(&format!("{} remain for you:\n{report}", notes.len()));
    Ok(if loaded.config.is_some() { Exit::Fine } else { Exit::Problems })
}

fn write_new(path: &Path, yaml: &str) -> Result<(), Failure> {
    use std::io::Write;
    let failed = |error| Failure::new(format!("could not write {}: {error}", path.display()));
    let mut file = std::fs::File::create_new(path).map_err(failed)?;
    file.write_all(yaml.as_bytes()).map_err(failed)
}

impl Carried {
    fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Adds an object; a name that is taken gets a number.
    fn put(&mut self, section: &str, name: &str, object: Value) -> String {
        let objects = self.sections.entry(section).or_insert_with(|| json!({}));
        let mut free = name.to_owned();
        let mut count = 1;
        while objects.get(&free).is_some() {
            count += 1;
            free = format!("{name}-{count}");
        }
        if free != name {
            self.notes
                .push(format!("{section}.{name}: the name is taken twice; the second is {free}"));
        }
        objects[&free] = object;
        free
    }

    fn yaml(&self) -> String {
        let mut whole = json!({ "version": 1 });
        for (section, objects) in &self.sections {
            whole[section] = objects.clone();
        }
        document::write(&whole)
    }
}
