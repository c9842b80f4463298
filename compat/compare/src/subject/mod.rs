//! What can be compared: the model, a program, a recorded trace.
#![forbid(unsafe_code)]

use crate::observe::Observation;
use crate::scenario::Scenario;
use crate::world;
use old::Old;
use ours::Ours;
use std::path::PathBuf;

pub mod old;
pub mod ours;

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
            Subject::Model => world::model::run(scenario),
            Subject::Ours(path) => Ours::run(path, scenario),
            Subject::Old(path) => Old::run(path, scenario),
        }
    }
}
