//! The event log on Apache Kafka.
//!
//! [`Kafka`] is the way in: it opens a topic to append to ([`KafkaTopic`]), or its partitions to read from as well
//! ([`KafkaLog`], one log each, whose positions are offsets), and [`Kafka::consume`] delivers a topic to a sink as a
//! member of a consumer group. librdkafka does the talking; nobody outside of this room sees it.
//!
//! | file | what |
//! |---|---|
//! | `options.rs`, `settings.rs` | the command line; what each kind of client is told, and why |
//! | `kafka.rs`, `check.rs` | opening topics, and what must be true of them |
//! | `certificates.rs`, `renewed.rs` | TLS files that change, and clients that are made anew then |
//! | `producer.rs`, `topic.rs` | appending |
//! | `log.rs`, `cursors.rs`, `cursor.rs` | reading a partition |
//! | `record.rs` | how an event lies in a record |
//! | `consume.rs`, `membership.rs`, `lag.rs` | the consumer group |
//! | `ear.rs`, `error.rs` | what librdkafka says |
//!
//! An append is durable when all replicas in sync have it (`acks=all`). Kafka does not sync to disk before it says so:
//! `kill -9` takes nothing, the loss of power on all replicas at once may. Offsets are never used twice as long as no
//! replica becomes the leader that was not in sync (`unclean.leader.election.enable=false`, Kafka's default).

mod certificates;
mod check;
mod consume;
mod cursor;
mod cursors;
mod ear;
mod error;
mod kafka;
mod lag;
mod log;
mod membership;
mod options;
mod producer;
mod record;
mod renewed;
mod settings;
mod topic;

pub use consume::Source;
pub use error::OpenError;
pub use kafka::Kafka;
pub use lag::PartitionProgress;
pub use log::KafkaLog;
pub use options::{Compression, KafkaOptions};
pub use settings::MAX_RECORD_BYTES;
pub use topic::KafkaTopic;
