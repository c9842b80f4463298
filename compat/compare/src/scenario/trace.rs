//! Traces: the journal of a production daemon, made a scenario that both sides replay. Requests come
//! as they came, helpers behave as they did.
#![forbid(unsafe_code)]

use crate::error::Error;
use crate::scenario::{FIRST_ID, Needs, Outgoing, Scenario, Step, TimedStep};
use kerneld_journal::{Accepted, Began, Ended, Event, Problem, Reader, Record};
use kerneld_protocol::request::ReplyTo;
use kerneld_protocol::wire::{Layout, Message};
use kerneld_recorder::plan::Text;
use kerneld_recorder::{Plan, Rule};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Milliseconds after which a time without requests is cut short.
const LULL: u64 = 2_000;

/// Reads the journal of a state directory as a scenario. A helper that ended differently at different
/// times behaves as it did the first time.
///
/// # Errors
/// The journal cannot be read, a line says nothing, or no request is in it.
pub fn load(dir: &Path) -> Result<Scenario, Error> {
    let unread = |why| Error::Read { what: "the journal in", path: dir.to_owned(), why };
    let wrong = |Problem { file, line, why }| Error::Wrong { file, line: Some(line), why };
    let records = Reader::open(dir).map_err(unread)?.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    let steps = steps(&records);
    if steps.is_empty() {
        return Err(Error::NoRequest(dir.to_owned()));
    }
    Ok(Scenario {
        name: "trace".to_owned(),
        about: format!("{} requests of the journal in {}", steps.len(), dir.display()),
        needs: Needs { layouts: layouts(&records), new_protocol: false },
        words: Vec::new(),
        config: String::new(),
        plan: plan(&records),
        programs: vec!["modprobe".to_owned()],
        steps,
        watch: 0,
        limit: 5_000,
        expect: Vec::new(),
    })
}

fn layouts(records: &[Record]) -> BTreeSet<Layout> {
    let layout = |record: &Record| match &record.event {
        Event::Accepted(accepted) => Some(accepted.reply.layout),
        _ => None,
    };
    records.iter().filter_map(layout).collect()
}

fn steps(records: &[Record]) -> Vec<TimedStep> {
    let (mut now, mut last) = (0, None);
    let mut steps = Vec::new();
    for record in records.iter().filter(|record| !record.carried) {
        let Event::Accepted(accepted) = &record.event else { continue };
        let since = last.replace(record.at).map_or(0, |last| record.at.saturating_sub(last) / 1_000);
        now += since.min(LULL);
        steps.push(TimedStep { at: Some(now), step: step(accepted, steps.len()) });
    }
    steps
}

/// Ids are given anew: those of the trace may come again.
fn step(accepted: &Accepted, number: usize) -> Step {
    let ReplyTo { layout, pid, .. } = accepted.reply;
    let id = if accepted.reply.wanted() { FIRST_ID + number as i64 } else { 0 };
    let mtext = Message { layout, id, pid, text: &accepted.text.0 }.encode();
    let message = Outgoing { mtype: accepted.command, mtext, id, layout };
    if id == 0 {
        return Step::Send(vec![message]);
    }
    Step::Ask { clients: vec![(format!("r{}", accepted.request), message)], burst: false }
}

fn plan(records: &[Record]) -> Plan {
    let mut began: BTreeMap<u64, &Began> = BTreeMap::new();
    let mut rules: Vec<Rule> = Vec::new();
    for record in records {
        match &record.event {
            Event::Began(event) => drop(began.insert(event.job, event)),
            Event::Ended(ended) => {
                rules.extend(began.remove(&ended.job).and_then(|began| rule(began, ended)))
            }
            _ => {}
        }
    }
    Plan(rules)
}

/// What a helper did, for all that are called like it; none where it did not run.
fn rule(began: &Began, ended: &Ended) -> Option<Rule> {
    let (program, rest) = began.argv.split_first()?;
    let name = Path::new(std::str::from_utf8(&program.0).ok()?).file_name()?.to_str()?;
    let text = rest.last().map_or("", |last| std::str::from_utf8(&last.0).unwrap_or_default());
    let exit = u8::try_from(ended.status).ok()?;
    let (program, text) = (Text::new(name), Text::new(text));
    let time = ended.micros as f64 / 1e6;
    Some(Rule { program, text, exit, time, ..Rule::default() })
}
