//! `admpersist`: shows and changes what drivers had kerneld remember, as modutils' program of that name did.
#![forbid(unsafe_code)]

use clap::{CommandFactory, Parser};
use kerneld_persist::{Change, DEFAULT_FILE, Key, Store, ints};
use serde::Deserialize;
use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::slice::EscapeAscii;

/// Lists the persistent settings of drivers, sets them, or deletes them.
///
/// Without arguments it lists them, a line each: KEY=v1,v2,… where the values are C ints. All that a
/// command line asks is done, or on an error nothing. A running kerneld sees changes at once.
///
/// Exit status: 0, or 1 after a message on standard error.
#[derive(Parser)]
#[command(name = "admpersist", version)]
struct Cli {
    /// The file of settings [default: what `[persist]` file in the configuration says, else
    /// /var/lib/kerneld/persist.gdbm]; kerneld's own was /lib/modules/RELEASE/persist.gdbm
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// kerneld's configuration [default: /etc/kerneld.toml if it is there]
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
    /// Delete these keys
    #[arg(short, requires = "words")]
    delete: bool,
    /// KEY=VALUE[,VALUE…] to set, VALUE in decimal or 0x…; with -d a KEY to delete
    #[arg(value_name = "SETTING")]
    words: Vec<OsString>,
}

/// The arguments, as completions and the tests of the manual page read them.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Does what the command line says; the exit status.
#[must_use]
pub fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("admpersist: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<(), String> {
    let store = Store::new(file(cli)?);
    if cli.words.is_empty() {
        return list(&store);
    }
    let change = if cli.delete { delete } else { set };
    let changes = cli.words.iter().map(|word| change(&store, word)).collect::<Result<Vec<_>, _>>()?;
    store.apply(&changes).map_err(|error| error.to_string())
}

/// The part of kerneld's configuration that is of interest here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    persist: Persist,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Persist {
    file: Option<PathBuf>,
}

fn file(cli: &Cli) -> Result<PathBuf, String> {
    if let Some(file) = &cli.file {
        return Ok(file.clone());
    }
    let config = cli.config.as_deref().unwrap_or(Path::new("/etc/kerneld.toml"));
    let text = match std::fs::read_to_string(config) {
        Err(error) if cli.config.is_none() && error.kind() == ErrorKind::NotFound => String::new(),
        read => read.map_err(|error| format!("cannot read {}: {error}", config.display()))?,
    };
    let parsed: Config = toml::from_str(&text)
        .map_err(|error| format!("{}: {}; --file FILE does without it", config.display(), error.message()))?;
    Ok(parsed.persist.file.unwrap_or_else(|| DEFAULT_FILE.into()))
}

fn list(store: &Store) -> Result<(), String> {
    let mut lines = String::new();
    for (stored, value) in store.list().map_err(|error| error.to_string())? {
        lines.push_str(&line(shown(&stored), &value));
    }
    // A reader that has gone away has seen enough.
    let _ = std::io::stdout().write_all(lines.as_bytes());
    Ok(())
}

/// A stored key without its NUL.
fn shown(stored: &[u8]) -> EscapeAscii<'_> {
    let key = stored.strip_suffix(b"\0").map(<[u8]>::escape_ascii);
    key.unwrap_or_else(|| {
        let key = stored.escape_ascii();
        eprintln!("admpersist: key '{key}' is stored without its NUL: drivers cannot get it");
        key
    })
}

fn line(key: EscapeAscii<'_>, value: &[u8]) -> String {
    match ints::render(value) {
        Ok(ints) => format!("{key}={ints}\n"),
        Err(bytes) => format!("{key}: {} bytes, no C ints: {bytes}\n", value.len()),
    }
}

fn set(_: &Store, word: &OsString) -> Result<Change, String> {
    let shown = word.display();
    let at = word.as_bytes().iter().position(|byte| *byte == b'=');
    let at = at.ok_or_else(|| format!("'{shown}' is not KEY=VALUE; -d deletes a key"))?;
    let (key, values) = word.as_bytes().split_at(at);
    let values =
        ints::parse(&String::from_utf8_lossy(&values[1..])).map_err(|why| format!("'{shown}': {why}"))?;
    Ok(Change::Set(self::key(OsStr::from_bytes(key))?, values))
}

fn delete(store: &Store, word: &OsString) -> Result<Change, String> {
    let key = key(word)?;
    match store.get(&key) {
        Ok(Some(_)) => Ok(Change::Delete(key)),
        Ok(None) => Err(format!("there is no key '{key}' in {}", store.file().display())),
        Err(error) => Err(error.to_string()),
    }
}

fn key(word: &OsStr) -> Result<Key, String> {
    Key::new(word.as_bytes()).map_err(|error| error.to_string())
}
