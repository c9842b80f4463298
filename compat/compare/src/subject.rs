//! What can be compared: the model, a program, a recorded trace.
#![forbid(unsafe_code)]

use crate::model_world;
use crate::observe::Observation;
use crate::old::Old;
use crate::ours::Ours;
use crate::scenario::Scenario;
use std::path::PathBuf;

/// One side of a comparison.
#[derive(Clone, Debug)]
pub enum Subject {
    /// The model of the old kerneld.
    Model,
    /// A `kerneld` of ours.
    Ours(PathBuf),
    /// A program of old that serves the channel.
    Old(PathBuf),
}

impl Subject {
    /// What a person calls it.
    pub fn name(&self) -> String {
        match self {
            Subject::Model => "model of kerneld 2.4.27".to_owned(),
            Subject::Ours(path) | Subject::Old(path) => path.display().to_string(),
        }
    }

    /// Runs a scenario.
    ///
    /// # Errors
    /// A sentence: it could not be run.
    pub fn run(&self, scenario: &Scenario) -> Result<Observation, String> {
        match self {
            Subject::Model => model_world::run(scenario),
            Subject::Ours(path) => Ours::run(path, scenario),
            Subject::Old(path) => Old::run(path, scenario),
        }
    }
}

/// The environment that every daemon under observation is started with: one variable that a helper
/// only has if the daemon hands its own environment down.
pub fn environment() -> impl Iterator<Item = (&'static str, &'static str)> {
    [("PATH", "/sbin:/usr/sbin:/bin:/usr/bin"), ("STARTED_WITH", "this")].into_iter()
}
