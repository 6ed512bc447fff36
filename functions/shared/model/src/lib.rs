//! The nouns of the contract and their pure rules.
//!
//! A user tag, its time, the batch that carries it, the identity it counts under, the ranges that queries ask for. This
//! room does no input or output and knows no technology beyond JSON and CloudEvents, which the contract itself is
//! written in. Ports (`event-log`, `store`) and the columnar minute (`columns`) stand on it.

pub mod batch;
pub mod clock;
mod erasure;
mod identity;
mod instant;
mod names;
mod object;
mod packed;
mod range;
mod tag;
mod topic;

pub use batch::{AcceptedTag, Batch, BatchId};
pub use clock::Clock;
pub use erasure::Erasure;
pub use identity::OwnIdentity;
pub use instant::{BucketStart, Instant, TagTime};
pub use names::{Collection, MAX_ELEMENT_BYTES, NameNumber};
pub use object::{FieldError, Object};
pub use packed::{NameRef, PackedError, PackedTag, TagKey};
pub use range::{MinuteRange, RangeError, TimeRange};
pub use tag::{Action, Cookie, Device, MAX_NAME_BYTES, ProductId, ProductInfo, UserTag};
pub use topic::TopicEvent;
