//! Whole minutes: packed, sealed and asked.
#![cfg(test)]

mod hostile;
mod large;
mod naive;
mod size;
mod uniform;
