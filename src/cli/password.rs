//! `postroom password`: the hash of a password for the page.

use std::io::{IsTerminal, Read};

use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use super::{Exit, Failure};
use crate::password::{self, PASSWORD_BYTES_MAX};

/// Options of `password`.
#[derive(Args)]
#[command(
    after_help = "Reads the password from the terminal without showing it, or from standard input, \
                  and prints its argon2id hash. Keep the hash as a secret and name it:\n\n  \
                  users:\n    alice: {email: alice@example.com, passwordHash: {secret: alice}}\n\n\
                  Examples:\n  postroom password > secrets/alice\n  \
                  pass show desk/alice | postroom password > secrets/alice"
)]
pub struct PasswordArgs {}

/// Asks for a password and prints its hash.
pub fn run(_: PasswordArgs) -> Result<Exit, Failure> {
    let password = if std::io::stdin().is_terminal() { ask()? } else { read()? };
    let hash = password::hash(&password).map_err(|error| Failure::new(error.to_string()))?;
    println!("{hash}");
    Ok(Exit::Fine)
}

/// From the terminal, twice: nobody sees what was typed.
fn ask() -> Result<SecretString, Failure> {
    let one = hidden("Password: ")?;
    let two = hidden("Once more: ")?;
    if one.expose_secret() != two.expose_secret() {
        return Err(Failure::new("the two passwords differ"));
    }
    Ok(one)
}

fn hidden(prompt: &str) -> Result<SecretString, Failure> {
    let typed = rpassword::prompt_password(prompt);
    typed.map(SecretString::from).map_err(|error| failed(&error))
}

/// From standard input; one line end at its end is no part of it.
fn read() -> Result<SecretString, Failure> {
    let mut text = String::new();
    let limit = PASSWORD_BYTES_MAX as u64 + 3;
    std::io::stdin().take(limit).read_to_string(&mut text).map_err(|error| failed(&error))?;
    let kept = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(kept);
    Ok(SecretString::from(text))
}

fn failed(error: &std::io::Error) -> Failure {
    Failure::new(format!("could not read the password: {error}"))
}
