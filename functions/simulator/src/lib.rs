//! The test platform: emits a stream of user tags, asks questions about it, and knows the right answers.
//!
//! It measures any Allezon over HTTP. It shares no code with the functions, so that a mistake there is no mistake here:
//! nothing of this project may be among its dependencies.
//!
//! Begin with [`stream`] (the tags of a seed), then [`score`] (the run), [`score::ledger`] and [`score::minutes`] (the
//! model). [`load`], [`replay`] and [`generate`] are the other commands.

pub mod calendar;
pub mod cli;
pub mod connection;
pub mod dice;
pub mod gate;
pub mod generate;
pub mod load;
pub mod names;
pub mod preflight;
pub mod progress;
pub mod quantities;
pub mod questions;
pub mod recording;
pub mod replay;
pub mod score;
pub mod stream;
pub mod tally;
pub mod target;
