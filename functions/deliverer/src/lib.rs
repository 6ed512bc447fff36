//! Delivers the events of a log to a function over HTTP: KafkaSource's manners, for where there is no KafkaSource.
//!
//! A function meets the same here and in a cluster: an event comes as a POST in binary mode, at least once, many at a time,
//! in no order; the same answers bring it back, and the same send it to the dead letters, with the same attributes on it.
//! The port of this is [`event_log::delivery::Sink`]; which log it is, and who reads it, `main.rs` says.
//!
//! | file | what |
//! |---|---|
//! | `options.rs` | the command line, but for the log's part |
//! | `sink.rs` | attempts, retries, dead letters |
//! | `request.rs` | an event as a request |
//! | `verdict.rs` | what an answer means for the event |
//! | `dead_letter.rs` | what a refused event says of its refusal |

mod dead_letter;
mod options;
mod request;
mod sink;
mod verdict;

pub use options::{ConfigError, SinkOptions};
pub use sink::HttpSink;
