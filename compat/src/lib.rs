//! The past: what kerneld (Linux 1.3.57-2.1.89) spoke, and the tools around it.

pub mod kdrun;
