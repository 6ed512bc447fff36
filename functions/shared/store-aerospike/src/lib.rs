//! The stores on Aerospike, Community Edition.

mod adding;
mod calendar;
mod condition;
mod connect;
mod error;
mod floor;
mod heads;
mod keys;
mod large;
mod mend;
mod minutes;
mod options;
mod profiles;
mod records;
mod rows;
mod sealing;
mod store;
mod sweep;
mod tidy;
mod values;

pub use error::ConnectError;
pub use options::AerospikeOptions;
pub use store::AerospikeStore;

#[cfg(test)]
mod tests;
