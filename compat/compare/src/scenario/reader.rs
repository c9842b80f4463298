//! From text to scenario: which keys there are, and which of them go together.
#![forbid(unsafe_code)]

use super::script::{Expectation, FIRST_ID, Needs, Outgoing, Scenario, Step, TimedStep};
use crate::cell_name::is_client_name;
use crate::error::Error;
use kerneld_protocol::request::Command;
use kerneld_protocol::wire::{Layout, Message};
use kerneld_recorder::Plan;
use nix::sys::signal::Signal;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::Path;
use std::str::FromStr;
use toml::Spanned;

/// The pid that a client of the new protocol says it has, unless a step gives another.
const CLIENT_PID: i16 = 77;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    about: String,
    #[serde(default)]
    new_protocol: bool,
    #[serde(default)]
    words: Vec<String>,
    #[serde(default)]
    config: String,
    #[serde(default)]
    helper: Plan,
    programs: Option<Vec<String>>,
    step: Vec<Spanned<RawStep>>,
    #[serde(default)]
    watch: f64,
    limit: Option<f64>,
    #[serde(default)]
    expect: Vec<Expectation>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawStep {
    at: Option<f64>,
    ask: Option<String>,
    tell: Option<bool>,
    post: Option<i64>,
    fill: Option<i64>,
    leave: Option<u64>,
    wait: Option<String>,
    kill: Option<String>,
    signal: Option<String>,
    start: Option<bool>,
    install: Option<String>,
    remove: Option<String>,
    command: Option<CommandName>,
    text: Option<String>,
    text_hex: Option<String>,
    text_length: Option<usize>,
    layout: Option<String>,
    pid: Option<i16>,
    id: Option<i64>,
    repeat: Option<usize>,
    burst: Option<bool>,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum CommandName {
    Number(i64),
    Name(String),
}

/// What has been read so far.
struct Reader {
    /// The layout of messages that name none.
    layout: Layout,
    /// The clients.
    asked: Vec<String>,
    /// The layouts that are named.
    named: BTreeSet<Layout>,
}

/// Reads a scenario, whose messages are of that layout where they name none.
///
/// # Errors
/// [`Error::Wrong`], with file, line and what is wrong there.
pub fn parse(text: &str, file: &Path, layout: Layout) -> Result<Scenario, Error> {
    let at = |offset: usize, why: &str| Error::wrong_at(file, text, offset, why);
    let raw: File = toml::from_str(text)
        .map_err(|error| at(error.span().map_or(0, |span| span.start), error.message()))?;
    let mut reader = Reader { layout, asked: Vec::new(), named: BTreeSet::new() };
    let mut steps = Vec::new();
    for step in raw.step {
        let start = step.span().start;
        steps.push(reader.step(step.into_inner()).map_err(|why| at(start, &why))?);
    }
    Ok(Scenario {
        name: file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        about: raw.about,
        needs: Needs { layouts: reader.named, new_protocol: raw.new_protocol },
        words: raw.words,
        config: raw.config,
        plan: raw.helper,
        programs: raw.programs.unwrap_or_else(|| vec!["modprobe".to_owned()]),
        steps,
        watch: millis(raw.watch).map_err(|why| at(0, &why))?,
        limit: millis(raw.limit.unwrap_or(3.0)).map_err(|why| at(0, &why))?,
        expect: raw.expect,
    })
}

impl Reader {
    fn step(&mut self, mut raw: RawStep) -> Result<TimedStep, String> {
        let at = raw.at.map(millis).transpose()?;
        let mut found = self.messages(&mut raw)?;
        if let Some(client) = raw.wait.take() {
            found.push(Step::Wait(self.known(client)?));
        }
        if let Some(client) = raw.kill.take() {
            found.push(Step::Kill(self.known(client)?));
        }
        found.extend(raw.deeds()?);
        if raw.has_message_keys() {
            return Err(
                "command, text, layout, pid, id, repeat and burst belong to ask or tell (text also to post)"
                    .to_owned(),
            );
        }
        match (found.pop(), found.is_empty(), at) {
            (Some(step), true, at) => Ok(TimedStep { at, step }),
            (None, _, Some(_)) => Ok(TimedStep { at, step: Step::Pass }),
            _ => Err(
                "a step does one thing: ask, tell, post, fill, wait, kill, signal, start, install or remove"
                    .to_owned(),
            ),
        }
    }

    /// The steps that put messages on the queue.
    fn messages(&mut self, raw: &mut RawStep) -> Result<Vec<Step>, String> {
        let mut found = Vec::new();
        if let Some(client) = raw.ask.take() {
            let burst = raw.burst.take().unwrap_or(false);
            found.push(Step::Ask { clients: self.ask(client, raw)?, burst });
        }
        if raw.tell.take() == Some(true) {
            let times = raw.repeat.take().unwrap_or(1);
            found.push(Step::Send(vec![self.message(raw, 0)?; times]));
        }
        if let Some(mtype) = raw.post.take() {
            let mtext = text(raw)?;
            // The bytes are those of a program of that layout.
            self.named.extend(raw.layout.take().map(|name| name.parse::<Layout>()).transpose()?);
            found.push(Step::Send(vec![Outgoing { mtype, mtext, id: 0, layout: self.layout }]));
        }
        Ok(found)
    }

    fn known(&self, client: String) -> Result<String, String> {
        match self.asked.contains(&client) {
            true => Ok(client),
            false => Err(format!("no step before this one has ask = {client:?}")),
        }
    }

    /// One client; or with `repeat = N` the clients NAME1 to NAMEN, `{n}` in the text being their number.
    fn ask(&mut self, client: String, raw: &mut RawStep) -> Result<Vec<(String, Outgoing)>, String> {
        let names = match raw.repeat.take() {
            Some(times) => (1..=times).map(|n| format!("{client}{n}")).collect(),
            None => vec![client],
        };
        if let Some(name) = names.iter().find(|name| !is_client_name(name)) {
            return Err(format!(
                "ask = {name:?}: a client's name is not empty and holds no blank and no apostrophe"
            ));
        }
        let template = raw.clone();
        let mut clients = Vec::new();
        for (at, name) in names.into_iter().enumerate() {
            if self.asked.contains(&name) {
                return Err(format!("a client asks once: there is an ask = {name:?} already"));
            }
            *raw = template.clone();
            raw.text = raw.text.take().map(|text| text.replace("{n}", &(at + 1).to_string()));
            clients.push((name.clone(), self.message(raw, FIRST_ID + self.asked.len() as i64)?));
            self.asked.push(name);
        }
        Ok(clients)
    }

    fn message(&mut self, raw: &mut RawStep, id: i64) -> Result<Outgoing, String> {
        let mtype = match raw.command.take().ok_or("ask and tell need a command")? {
            CommandName::Number(number) => number,
            CommandName::Name(name) => {
                Command::from_name(&name).ok_or_else(|| format!("no command is called {name:?}"))?.number()
            }
        };
        let layout = raw.layout.take().map(|name| name.parse::<Layout>()).transpose()?;
        self.named.extend(layout);
        let layout = layout.unwrap_or(self.layout);
        let id = raw.id.take().unwrap_or(id);
        let pid = raw.pid.take().unwrap_or(CLIENT_PID);
        let mtext = Message { layout, id, pid, text: &text(raw)? }.encode();
        Ok(Outgoing { mtype, mtext, id, layout })
    }
}

impl RawStep {
    /// The steps that are not messages.
    fn deeds(&mut self) -> Result<Vec<Step>, String> {
        let leave = self.leave.take().unwrap_or(0);
        let fill = self.fill.take().map(|mtype| Step::Fill { mtype, leave });
        let mut found: Vec<Step> = fill.into_iter().collect();
        if let Some(name) = self.signal.take() {
            let signal = Signal::from_str(&format!("SIG{name}"));
            found.push(Step::Signal(
                signal.map_err(|_| format!("no signal is called {name:?}: give HUP, KILL…"))?,
            ));
        }
        found.extend((self.start.take() == Some(true)).then_some(Step::Start));
        found.extend(self.install.take().map(Step::Install));
        found.extend(self.remove.take().map(Step::Remove));
        Ok(found)
    }

    fn has_message_keys(&self) -> bool {
        let texts = self.text.is_some() || self.text_hex.is_some() || self.text_length.is_some();
        let header = self.layout.is_some() || self.pid.is_some() || self.id.is_some();
        texts || header || self.command.is_some() || self.repeat.is_some() || self.burst.is_some()
    }
}

fn text(raw: &mut RawStep) -> Result<Vec<u8>, String> {
    let mut bytes = match (raw.text.take(), raw.text_hex.take()) {
        (text, None) => text.unwrap_or_default().into_bytes(),
        (None, Some(hex)) => unhex(&hex).ok_or_else(|| format!("{hex:?} is no hexadecimal text"))?,
        (Some(_), Some(_)) => return Err("text or text-hex, not both".to_owned()),
    };
    if let Some(length) = raw.text_length.take() {
        let fill = bytes.last().copied().unwrap_or(b'x');
        bytes.resize(length, fill);
    }
    Ok(bytes)
}

fn unhex(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = hex.chars().filter(|c| !c.is_whitespace()).map(|c| c as u8).collect();
    let pairs = digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    if digits.len().is_multiple_of(2) { pairs.collect() } else { None }
}

fn millis(seconds: f64) -> Result<u64, String> {
    match seconds {
        0.0..=3600.0 => Ok((seconds * 1000.0).round() as u64),
        _ => Err(format!("{seconds} s: times are between 0 and 3600 s")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text, Path::new("s.toml"), Layout::Lp64New).unwrap_err().to_string()
    }

    #[test]
    fn mistakes_are_told_with_file_and_line() {
        let unknown = error("about = \"x\"\n[[step]]\nask = \"a\"\ncommand = \"load_module\"\n");
        assert!(unknown.starts_with("s.toml:2: ") && unknown.contains("load_module"), "{unknown}");
        let key = error("about = \"x\"\n[[step]]\nasks = \"a\"\n");
        assert!(key.starts_with("s.toml:3: ") && key.contains("asks"), "{key}");
        let two = error("about = \"x\"\n\n[[step]]\nkill = \"a\"\n");
        assert!(two.starts_with("s.toml:3: ") && two.contains("ask = \"a\""), "{two}");
        let both = error("about = \"x\"\n[[step]]\nask = \"a\"\ncommand = 2\nstart = true\n");
        assert!(both.contains("one thing"), "{both}");
        let blank = error("about = \"x\"\n[[step]]\nask = \"a time\"\ncommand = 2\n");
        assert!(blank.starts_with("s.toml:2: ") && blank.contains("\"a time\""), "{blank}");
        let cell = error("about = \"x\"\nstep = []\n[[expect]]\nwhat = \"answr a\"\nis = \"none\"\n");
        assert!(cell.starts_with("s.toml:4: ") && cell.contains("\"answr a\" names no cell"), "{cell}");
        assert!(error("about = \"x\"\n[[step]]\nsignal = \"HUB\"\n").contains("HUB"));
        assert!(error("about = \"x\"\n[[step]]\nstart = true\ntext = \"x\"\n").contains("belong to ask"));
        assert!(error("about = \"x\"\n[[step]]\npost = 9\ntext-hex = \"0g\"\n").contains("hexadecimal"));
    }

    #[test]
    fn a_message_is_laid_out_as_asked() {
        let text =
            "about = \"x\"\n[[step]]\nask = \"a\"\ncommand = 2\ntext = \"ppp\"\nlayout = \"ilp32-new\"\n";
        let scenario = parse(text, Path::new("dir/s.toml"), Layout::Ilp32Old).unwrap();
        let Step::Ask { clients, .. } = &scenario.steps[0].step else { panic!() };
        let (_, message) = &clients[0];
        assert_eq!(message.mtext, b"\x01\0\xff\x7f\x02\0\x4d\0ppp");
        assert_eq!((scenario.name.as_str(), message.mtype, message.id), ("s", 2, FIRST_ID));
    }
}
