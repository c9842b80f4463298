//! `kerneld demo`: the main job on a private queue, in a folder that is gone afterwards, as a table.
#![forbid(unsafe_code)]

use kerneld_journal::{Event, Reader, Record};
use kerneld_protocol::client::{Answer, Client, Failure};
use kerneld_protocol::queue::Queue;
use kerneld_protocol::request::Command as Request;
use kerneld_protocol::wire::Layout;
use kerneld_recorder as recorder;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long any step may take before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A module that no kernel has: nothing is changed on this machine.
const MISSING: &str = "no-module";

/// One request of the demo, and what must come back.
struct Step {
    layout: Layout,
    command: Request,
    text: &'static str,
    expected: i32,
}

/// What came of it.
struct Row {
    request: &'static str,
    layout: Layout,
    ran: String,
    status: Result<i32, Failure>,
    micros: u128,
    right: bool,
}

/// Shows the daemon at work.
///
/// # Errors
/// A sentence, when something did not go as expected.
pub(crate) fn run() -> Result<(), String> {
    let demo = Demo::start()?;
    let mut rows: Vec<Row> = demo.steps().iter().map(|step| demo.row(step)).collect();
    rows.extend(demo.folded());
    demo.end()?;
    print(&rows);
    match rows.iter().filter(|row| !row.right).count() {
        0 => Ok(()),
        wrong => Err(format!("{wrong} of {} requests did not end as expected", rows.len())),
    }
}

struct Demo {
    dir: TempDir,
    key: i32,
    daemon: Child,
    /// What a helper says of [`MISSING`].
    missing: i32,
}

impl Demo {
    fn start() -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("cannot set the demo up: {error}");
        let dir = TempDir::with_prefix("kerneld-demo-").map_err(failed)?;
        let key = Queue::free_key();
        let modprobe = real_modprobe();
        let helper = match &modprobe {
            Some(path) => path.clone(),
            None => recorder::install(dir.path(), &program().map_err(failed)?).map_err(failed)?,
        };
        match &modprobe {
            Some(path) => println!("Helper: {}, asked for a module that no kernel has.", path.display()),
            None => println!("Helper: a recorder in modprobe's place, since this machine has no modprobe."),
        }
        let missing = if modprobe.is_some() { 1 } else { 0 };
        let daemon = launch(&dir, key, &helper).map_err(failed)?;
        let mut demo = Demo { dir, key, daemon, missing };
        demo.wait_until_served()?;
        Ok(demo)
    }

    /// Waits for the daemon to say that it serves; if it does not, passes on what its log says.
    fn wait_until_served(&mut self) -> Result<(), String> {
        let ready = self.daemon.stdout.take().ok_or("the daemon has no standard output")?;
        if BufReader::new(ready).lines().next().is_some_and(|line| line.is_ok()) {
            return Ok(());
        }
        let said = std::fs::read_to_string(log(&self.dir)).unwrap_or_default();
        Err(format!("the daemon did not start: {}", said.trim_end().replace('\n', "; ")))
    }

    fn steps(&self) -> Vec<Step> {
        let disabled = crate::helper::modprobe::modules_disabled();
        let expected = if disabled { -libc::EPERM } else { self.missing };
        let load = |layout| Step { layout, command: Request::RequestModule, text: MISSING, expected };
        let mut steps: Vec<Step> = Layout::ALL.into_iter().map(load).collect();
        steps.push(Step {
            layout: Layout::Lp64New,
            command: Request::RequestModule,
            text: "-C/tmp/x",
            expected: -libc::EINVAL,
        });
        steps
    }

    fn client(&self, layout: Layout) -> Result<Client, Failure> {
        Client::open(self.key, layout)
    }

    fn row(&self, step: &Step) -> Row {
        let ran_before = self.ran().len();
        let start = Instant::now();
        let answer = self
            .client(step.layout)
            .and_then(|client| client.ask(step.command, step.text.as_bytes(), Some(PATIENCE)));
        let micros = start.elapsed().as_micros();
        let ran = self.ran().split_off(ran_before);
        let status = answer.map(|answer| answer.status);
        Row {
            request: step.text,
            layout: step.layout,
            right: status == Ok(step.expected) && ran.len() <= 1,
            ran: ran.into_iter().next().unwrap_or_else(|| "nothing: refused".to_owned()),
            status,
            micros,
        }
    }

    /// Two equal requests at once.
    fn folded(&self) -> Vec<Row> {
        let name = if self.missing == 0 { "sleep200" } else { MISSING };
        let ran_before = self.ran().len();
        let ask = || -> (Result<Answer, Failure>, u128) {
            let start = Instant::now();
            let answer = self
                .client(Layout::Lp64New)
                .and_then(|client| client.ask(Request::RequestModule, name.as_bytes(), Some(PATIENCE)));
            (answer, start.elapsed().as_micros())
        };
        let answers = std::thread::scope(|scope| {
            let other = scope.spawn(ask);
            let mine = ask();
            [Some(mine), other.join().ok()]
        });
        let ran = self.ran().split_off(ran_before);
        let note = if ran.len() == 1 { "for both" } else { "one each" };
        let row = |(answer, micros): (Result<Answer, Failure>, u128)| Row {
            request: name,
            layout: Layout::Lp64New,
            ran: format!("{} ({note})", ran.first().map_or("nothing", String::as_str)),
            right: answer.as_ref().is_ok_and(|answer| answer.status == self.steps()[0].expected),
            status: answer.map(|answer| answer.status),
            micros,
        };
        answers.into_iter().flatten().map(row).collect()
    }

    /// The helpers run so far, as the daemon's journal tells.
    fn ran(&self) -> Vec<String> {
        let began = |record: Record| match record.event {
            Event::Began(began) => Some(began.argv.iter().map(short).collect::<Vec<_>>().join(" ")),
            _ => None,
        };
        let records = Reader::open(&self.dir.path().join("state")).into_iter().flatten();
        records.filter_map(Result::ok).filter_map(began).collect()
    }

    /// Ends the daemon; it must take its queue with it.
    fn end(mut self) -> Result<(), String> {
        let _ = kill(Pid::from_raw(self.daemon.id() as i32), Signal::SIGTERM);
        let status = self.daemon.wait().map_err(|error| format!("lost the daemon: {error}"))?;
        match Queue::open(self.key) {
            Err(Errno::ENOENT) if status.success() => Ok(()),
            Err(Errno::ENOENT) => Err(format!("the daemon ended with {status}")),
            _ => Err("the daemon left its queue behind".to_owned()),
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if matches!(self.daemon.try_wait(), Ok(None)) {
            let _ = kill(Pid::from_raw(self.daemon.id() as i32), Signal::SIGTERM);
            let _ = self.daemon.wait();
        }
    }
}

fn launch(dir: &TempDir, key: i32, helper: &Path) -> std::io::Result<Child> {
    let config = dir.path().join("kerneld.toml");
    std::fs::write(&config, "")?;
    Command::new(program()?)
        .args(["--foreground", "--ready-fd=1", "--key", &key.to_string()])
        .arg("--state-dir")
        .arg(dir.path().join("state"))
        .arg("--config")
        .arg(config)
        .arg("--modprobe")
        .arg(helper)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(log(dir))?)
        .spawn()
}

fn log(dir: &TempDir) -> PathBuf {
    dir.path().join("log")
}

fn program() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}

fn real_modprobe() -> Option<PathBuf> {
    ["/sbin/modprobe", "/usr/sbin/modprobe"].into_iter().map(PathBuf::from).find(|path| path.exists())
}

/// The last part of a path: the helper's whole path is shown above the table.
fn short(word: &kerneld_journal::Text) -> String {
    let word = word.to_string();
    word.rsplit('/').next().map_or(word.clone(), str::to_owned)
}

fn print(rows: &[Row]) {
    let status = |row: &Row| match &row.status {
        Ok(status) if *status < 0 => format!("{status} {:?}", Errno::from_raw(-status)),
        Ok(status) => status.to_string(),
        Err(failure) => failure.to_string(),
    };
    let width = |text: &dyn Fn(&Row) -> usize| rows.iter().map(text).max().unwrap_or(0);
    let request = width(&|row| row.request.len());
    let ran = width(&|row| row.ran.len());
    println!("Each line is a request_module in one of the layouts; the last two came at once.\n");
    println!("{:request$}  {:12}  {:ran$}  {:>10}  {:>6}", "module", "layout", "ran", "status", "µs");
    for row in rows {
        let mark = if row.right { "" } else { "  ← not as expected" };
        let (status, layout) = (status(row), row.layout);
        println!(
            "{:request$}  {layout:12}  {:ran$}  {status:>10}  {:>6}{mark}",
            row.request, row.ran, row.micros
        );
    }
    println!("\nThe daemon, its queue and its folder are gone again.");
}
