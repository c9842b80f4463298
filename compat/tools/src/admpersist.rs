//! `admpersist`: shows and changes what drivers had kerneld remember, as modutils' program of that name did.
#![forbid(unsafe_code)]

use clap::{CommandFactory, Parser};
use kerneld_persist::{Change, DEFAULT_FILE, Key, Store, ints};
use kerneld_protocol::defaults::CONFIG_FILE;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Lists, shows, sets or deletes the persistent values of drivers.
///
/// Without arguments it lists them, one a line: KEY=v1,v2,… where the values are C ints in hexadecimal. All
/// that a command line changes is changed, or on an error nothing. A running kerneld sees changes at once.
///
/// Exit status: 0, even when it says that a key is not found; or 1 after a message on standard error.
#[derive(Parser)]
#[command(name = "admpersist", version)]
struct Cli {
    /// The file of values [default: what `[persist]` file in the configuration says, else
    /// /var/lib/kerneld/persist.gdbm]; kerneld's own was /lib/modules/RELEASE/persist.gdbm
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// kerneld's configuration [default: /etc/kerneld.toml if it is there]
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
    /// Delete these keys
    #[arg(short, requires = "words")]
    delete: bool,
    /// KEY to show, or KEY=VALUE[,VALUE…] to set, VALUE in decimal, 0x… or octal; with -d a KEY to delete
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
    let deeds = cli.words.iter().map(|word| Deed::read(word, cli.delete)).collect::<Result<Vec<_>, _>>()?;
    let stored = store.list().map_err(|error| error.to_string())?;
    print(&deeds.iter().filter_map(|deed| deed.told(&stored)).collect::<String>());
    let changes: Vec<Change> = deeds.into_iter().filter_map(|deed| deed.change(&stored)).collect();
    if changes.is_empty() { Ok(()) } else { store.apply(&changes).map_err(|error| error.to_string()) }
}

/// Keys and values as they are stored.
type Stored = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a word of the command line asks for.
enum Deed {
    Show(Key),
    Set(Key, Vec<u8>),
    Delete(Key),
}

impl Deed {
    fn read(word: &OsString, delete: bool) -> Result<Self, String> {
        let at = word.as_bytes().iter().position(|byte| *byte == b'=');
        match at {
            _ if delete => key(word).map(Deed::Delete),
            Some(at) => set(word, at),
            None => key(word).map(Deed::Show),
        }
    }

    /// What is said of it.
    fn told(&self, stored: &Stored) -> Option<String> {
        let (Deed::Show(key) | Deed::Delete(key)) = self else { return None };
        match (self, find(stored, key)) {
            (_, None) => Some(format!("'{key}' not found\n")),
            (Deed::Show(_), Some((key, value))) => Some(line(key, value)),
            _ => None,
        }
    }

    fn change(self, stored: &Stored) -> Option<Change> {
        match self {
            Deed::Set(key, value) => Some(Change::Set(key, value)),
            Deed::Delete(key) if find(stored, &key).is_some() => Some(Change::Delete(key)),
            Deed::Show(_) | Deed::Delete(_) => None,
        }
    }
}

fn set(word: &OsStr, at: usize) -> Result<Deed, String> {
    let (name, values) = word.as_bytes().split_at(at);
    let values = String::from_utf8_lossy(&values[1..]);
    let values = ints::parse(&values).map_err(|why| format!("'{}': {why}", word.display()))?;
    Ok(Deed::Set(key(OsStr::from_bytes(name))?, values))
}

fn find<'a>(stored: &'a Stored, key: &Key) -> Option<(&'a [u8], &'a [u8])> {
    let mut pairs = stored.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
    pairs.find(|(name, _)| name.strip_suffix(b"\0") == Some(key.as_bytes()))
}

/// A reader that has gone away has seen enough.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
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
    let config = cli.config.as_deref().unwrap_or(Path::new(CONFIG_FILE));
    let text = match std::fs::read_to_string(config) {
        Err(error) if cli.config.is_none() && error.kind() == ErrorKind::NotFound => String::new(),
        read => read.map_err(|error| format!("cannot read {}: {error}", config.display()))?,
    };
    let parsed: Config = toml::from_str(&text)
        .map_err(|error| format!("{}: {}; --file FILE does without it", config.display(), error.message()))?;
    Ok(parsed.persist.file.unwrap_or_else(|| DEFAULT_FILE.into()))
}

fn list(store: &Store) -> Result<(), String> {
    let stored = store.list().map_err(|error| error.to_string())?;
    for (key, _) in stored.iter().filter(|(key, _)| !key.ends_with(b"\0")) {
        let key = key.escape_ascii();
        eprintln!("admpersist: key '{key}' is stored without its NUL: drivers cannot get it");
    }
    print(&stored.iter().map(|(key, value)| line(key, value)).collect::<String>());
    Ok(())
}

fn line(stored: &[u8], value: &[u8]) -> String {
    let key = stored.strip_suffix(b"\0").unwrap_or(stored).escape_ascii();
    match ints::render(value) {
        Ok(ints) => format!("{key}={ints}\n"),
        Err(error) => format!("{key}: {error}\n"),
    }
}

fn key(word: &OsStr) -> Result<Key, String> {
    Key::new(word.as_bytes()).map_err(|error| error.to_string())
}
