//! The benchmark: how long a request takes from `msgsnd` to its answer, beside the least that it can
//! take, which is starting the helper and waiting for it oneself.
//!
//! All subjects take turns within one run, so that what else the machine does hits all alike; what is
//! worth reading is the ratio to the limit.

pub mod chart;
mod cost;
mod helper;
mod load;
mod options;
mod report;
mod silence;

pub use load::Load;
pub use options::Options;
pub use report::{Figures, Report, Row, Who, text};

use crate::error::Error;
use crate::subject::old::Old;
use crate::subject::ours::Ours;
use crate::world::real::Daemon;
use crate::world::stage::Stage;
use cost::Processes;
use kerneld_protocol::wire::Layout;
use kerneld_recorder::Plan;
use load::{Caller, Limit, Sample, Served};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Our daemons' words: delayed releases wait for longer than anything is measured.
const WORDS: [&str; 1] = ["delay=3600"];

/// The old one's: it notices a helper's end that it has missed at its next alarm, `delay` seconds after the last
/// load. That is late enough to be counted as late.
const OLD_WORDS: [&str; 1] = ["delay=2"];

/// How long a daemon is left alone before its memory is looked at.
const REST: Duration = Duration::from_secs(1);

/// A daemon that is measured.
struct Bench {
    who: Who,
    // Before the stage: it is ended before its folder goes.
    daemon: Box<dyn Daemon>,
    _stage: Stage,
    served: Served,
    before: cost::Memory,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.daemon.clean_up();
    }
}

/// Measures.
///
/// # Errors
/// [`Error::Side`]: a subject could not be started, or stopped answering.
pub fn run(options: &Options) -> Result<Report, Error> {
    measured(options).map_err(Error::Side)
}

fn measured(options: &Options) -> Result<Report, String> {
    let folder = tempfile::tempdir().map_err(|error| format!("cannot make a folder: {error}"))?;
    let helper = helper::path(options.helper.clone(), folder.path())?;
    let new = || Box::new(Ours::new(&options.new, &WORDS.map(str::to_owned), "").with_modprobe(&helper));
    let ours = start(Who::Ours, new(), &helper, Layout::Lp64New)?;
    let laden = start(Who::Laden, new(), &helper, Layout::Lp64New)?;
    let start_old = |(old, layout): &(PathBuf, Layout)| {
        let old = Box::new(Old::new(old, &OLD_WORDS.map(str::to_owned)).with_modules());
        start(Who::Old, old, &helper, *layout)
    };
    let old = options.old.as_ref().map(start_old).transpose()?;
    let all: Vec<&Bench> = [&ours].into_iter().chain(&old).collect();
    let limit = Limit { helper: helper.clone() };
    let _silence = silence::Silence::begin()?;
    let mut report = Report::new(options);
    for load in [Load::Sequential, Load::DifferentNames, Load::OneName] {
        let samples = take_turns(options, load, &limit, &all, &mut report.given_up)?;
        report.add(load, samples);
    }
    for number in 0..options.waiting {
        laden.served.post_delayed_release(number)?;
    }
    let samples = take_turns(options, Load::Waiting, &limit, &[&ours, &laden], &mut report.given_up)?;
    report.add(Load::Waiting, samples);
    std::thread::sleep(REST);
    // One that has given up is gone.
    report.memory = all.into_iter().chain([&laden]).filter_map(|bench| bench.memory().ok()).collect();
    report.wake_ups = ours.processes()?.wake_ups(Duration::from_secs(3))?;
    Ok(report)
}

fn start(who: Who, mut daemon: Box<dyn Daemon>, helper: &Path, layout: Layout) -> Result<Bench, String> {
    let stage = Stage::new(&Plan::default(), &[])?;
    // Where the old one looks for it.
    fs::copy(helper, stage.sbin().join("modprobe"))
        .map_err(|error| format!("cannot copy the helper {}: {error}", helper.display()))?;
    let started = daemon.start(&stage);
    if started.is_err() {
        daemon.clean_up();
    }
    let queue = started?;
    std::thread::sleep(REST);
    let before = Processes::below(daemon.pid().ok_or("the daemon is gone")?).memory()?;
    Ok(Bench { who, daemon, _stage: stage, served: Served { queue, layout }, before })
}

impl Bench {
    fn processes(&self) -> Result<Processes, String> {
        Ok(Processes::below(self.daemon.pid().ok_or("the daemon is gone")?))
    }

    fn sample(&self, options: &Options, load: Load, requests: usize) -> Result<Sample, String> {
        let before = self.processes()?.cpu()?;
        let mut sample = measure(options, load, &self.served, requests)?;
        sample.cpu = self.processes()?.cpu()?.saturating_sub(before);
        Ok(sample)
    }

    fn memory(&self) -> Result<(Who, u64, u64), String> {
        Ok((self.who, self.before.pss, self.processes()?.memory()?.pss))
    }
}

/// One workload: round by round, each subject in turn. The old one may give up, and what it has done counts.
fn take_turns(
    options: &Options,
    load: Load,
    limit: &Limit,
    benches: &[&Bench],
    given_up: &mut Vec<(Who, Load, String)>,
) -> Result<Vec<(Who, Vec<Sample>)>, String> {
    let mut samples: Vec<(Who, Vec<Sample>)> = vec![(Who::Limit, Vec::new())];
    samples.extend(benches.iter().map(|bench| (bench.who, Vec::new())));
    let requests = options.requests.div_ceil(options.rounds).max(1);
    for _ in 0..options.rounds {
        samples[0].1.push(limited(options, load, limit, requests)?);
        for (at, bench) in benches.iter().enumerate() {
            if given_up.iter().any(|(who, ..)| *who == bench.who) {
                continue;
            }
            match bench.sample(options, load, requests) {
                Ok(sample) => samples[at + 1].1.push(sample),
                Err(why) if bench.who == Who::Old => given_up.push((bench.who, load, why)),
                Err(why) => return Err(why),
            }
        }
    }
    Ok(samples)
}

fn limited(options: &Options, load: Load, limit: &Limit, requests: usize) -> Result<Sample, String> {
    let before = cost::own_cpu()?;
    let mut sample = measure(options, load, limit, requests)?;
    sample.cpu = cost::own_cpu()?.saturating_sub(before);
    Ok(sample)
}

fn measure(options: &Options, load: Load, caller: &impl Caller, requests: usize) -> Result<Sample, String> {
    let clients = if load.is_sequential() { 1 } else { options.clients };
    load::run(caller, clients, requests.div_ceil(clients), load == Load::OneName)
}
