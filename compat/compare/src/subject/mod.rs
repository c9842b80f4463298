//! What can be compared: the model, a program, a recorded trace.
#![forbid(unsafe_code)]

use crate::error::Error;
use crate::model::Build;
use crate::observe::Observation;
use crate::scenario::Scenario;
use crate::world;
use kerneld_protocol::wire::Layout;
use old::Old;
use ours::Ours;
use std::path::PathBuf;

pub(crate) mod old;
pub(crate) mod ours;

/// One side of a comparison.
#[derive(Clone, Debug)]
pub enum Subject {
    /// The model of the old kerneld.
    Model(Build),
    /// A `kerneld` of ours.
    Ours(PathBuf),
    /// A program of old that serves the channel.
    Old {
        /// The program.
        program: PathBuf,
        /// The layouts that it speaks.
        speaks: Vec<Layout>,
    },
}

impl Subject {
    /// What a person calls it.
    pub fn name(&self) -> String {
        match self {
            Subject::Model(_) => "model of kerneld 2.4.27".to_owned(),
            Subject::Ours(program) => program.display().to_string(),
            Subject::Old { program, speaks } => {
                let speaks: Vec<&str> = speaks.iter().map(|layout| layout.name()).collect();
                format!("{} ({})", program.display(), speaks.join(", "))
            }
        }
    }

    /// An old program, which speaks just that layout, or what it turns out to speak.
    ///
    /// # Errors
    /// [`Error::Side`]: it does not start, or answers in no layout.
    pub fn old(program: PathBuf, layout: Option<Layout>) -> Result<Self, Error> {
        let found = layout.map_or_else(|| old::spoken(&program), |layout| Ok(vec![layout]));
        let speaks = found.map_err(Error::Side)?;
        Ok(Subject::Old { program, speaks })
    }

    /// The model of whatever kernel a client was compiled for.
    pub const MODEL: Subject = Subject::Model(Build { new_protocol: true, word: None });

    /// This side as it is comparable with another: the model is compiled for the protocol that it speaks.
    pub fn beside(self, other: &Subject) -> Self {
        match self {
            Subject::Model(_) => Subject::Model(build(&other.speaks())),
            subject => subject,
        }
    }

    /// The layouts that it speaks, the newest last. The model has this machine's byte order.
    pub fn speaks(&self) -> Vec<Layout> {
        match self {
            Subject::Model(_) => Layout::of_this_machine().collect(),
            Subject::Ours(_) => Layout::ALL.to_vec(),
            Subject::Old { speaks, .. } => speaks.clone(),
        }
    }

    /// The layout of messages where nothing else is said: the newest that it speaks.
    pub fn layout(&self) -> Layout {
        match self {
            Subject::Old { speaks, .. } => speaks.last().copied().unwrap_or(Layout::NATIVE),
            Subject::Model(_) | Subject::Ours(_) => Layout::NATIVE,
        }
    }

    /// Runs a scenario.
    ///
    /// # Errors
    /// [`Error::Side`]: it could not be run.
    pub fn run(&self, scenario: &Scenario) -> Result<Observation, Error> {
        match self {
            Subject::Model(build) => world::model::run(scenario, *build),
            Subject::Ours(path) => Ours::run(path, scenario).map_err(Error::Side),
            Subject::Old { program, .. } => Old::run(program, scenario).map_err(Error::Side),
        }
    }
}

/// The model of a program that speaks these layouts.
fn build(speaks: &[Layout]) -> Build {
    let word = speaks.first().map(|layout| layout.id_len());
    Build {
        new_protocol: speaks.iter().any(|layout| layout.has_pid()),
        word: word.filter(|word| speaks.iter().all(|layout| layout.id_len() == *word)),
    }
}
