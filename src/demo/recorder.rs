//! A stand-in helper for the demo and the tests: writes down how it was run, then ends as its last
//! argument says. It is this same program under another name, so that it needs nothing but the build.
#![forbid(unsafe_code)]

use nix::sys::signal::{Signal, raise};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// The file name under which this program records.
pub const NAME: &str = "kerneld-recorder";

/// The file beside the recorder that its records are appended to, a JSON object a line.
pub const RECORD: &str = "record";

/// The file beside the recorder that a `wait…` name waits for.
pub const GO: &str = "go";

/// How a helper was run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its pid.
    pub pid: u32,
    /// All arguments, argv[0] first.
    pub argv: Vec<String>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// The working directory.
    pub cwd: PathBuf,
    /// Open descriptors and what they lead to.
    pub fds: BTreeMap<u32, PathBuf>,
    /// Signals blocked and ignored, as /proc/self/status has them.
    pub signals: Vec<String>,
}

/// Puts a recorder into `dir`; its path.
///
/// # Errors
/// When the link cannot be made.
pub fn install(dir: &Path, program: &Path) -> std::io::Result<PathBuf> {
    let path = dir.join(NAME);
    std::os::unix::fs::symlink(program, &path)?;
    Ok(path)
}

/// What has been recorded in `dir` so far, in order.
///
/// # Errors
/// When a line is no record.
pub fn read(dir: &Path) -> Result<Vec<Record>, serde_json::Error> {
    let text = fs::read_to_string(dir.join(RECORD)).unwrap_or_default();
    text.lines().map(serde_json::from_str).collect()
}

/// The directory to record into, if this process was started as a recorder.
pub fn asked_for() -> Option<PathBuf> {
    let name = PathBuf::from(std::env::args_os().next()?);
    (name.file_name()? == NAME).then(|| name.parent().map(Path::to_owned))?
}

/// Records, then does what the last argument says: `exitN` exits N, `signalN` dies by it, `sleepN`
/// takes N milliseconds, `wait…` waits for the file [`GO`], anything else exits 0. The exit status.
pub fn run(dir: &Path) -> u8 {
    if let Err(error) = record(dir) {
        eprintln!("{NAME}: cannot record in {}: {error}", dir.display());
        return 120;
    }
    let name = std::env::args().next_back().unwrap_or_default();
    let number = |prefix| name.strip_prefix(prefix).and_then(|number| number.parse::<u16>().ok());
    if let Some(signal) = number("signal").and_then(|n| Signal::try_from(i32::from(n)).ok()) {
        let _ = raise(signal);
    }
    if let Some(milliseconds) = number("sleep") {
        sleep(Duration::from_millis(milliseconds.into()));
    }
    while name.starts_with("wait") && dir.exists() && !dir.join(GO).exists() {
        sleep(Duration::from_millis(5));
    }
    number("exit").and_then(|code| code.try_into().ok()).unwrap_or(0)
}

fn record(dir: &Path) -> std::io::Result<()> {
    let record = Record {
        pid: std::process::id(),
        argv: std::env::args().collect(),
        env: std::env::vars().collect(),
        cwd: std::env::current_dir()?,
        fds: descriptors()?,
        signals: signals()?,
    };
    let mut line = serde_json::to_vec(&record)?;
    line.push(b'\n');
    fs::File::options().append(true).create(true).open(dir.join(RECORD))?.write_all(&line)
}

/// Without the one that lists them, which is gone by the time it is looked at.
fn descriptors() -> std::io::Result<BTreeMap<u32, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let number = entry.file_name().to_string_lossy().parse();
        if let (Ok(number), Ok(target)) = (number, fs::read_link(entry.path())) {
            found.insert(number, target);
        }
    }
    found.retain(|_, target| !target.starts_with("/proc"));
    Ok(found)
}

fn signals() -> std::io::Result<Vec<String>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let wanted = |line: &&str| line.starts_with("SigBlk") || line.starts_with("SigIgn");
    Ok(status.lines().filter(wanted).map(str::to_owned).collect())
}
