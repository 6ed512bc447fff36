//! The erasure of a shopper: an event on the same log as the tags.

use cloudevents::{AttributesReader, Event, EventBuilder, EventBuilderV10};
use serde::{Deserialize, Serialize};

use crate::Cookie;
use crate::batch::{BatchError, data_bytes};

/// Erase what is known of a cookie and was accepted before an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// Whose profile.
    pub cookie: Cookie,
    /// Entries accepted before this go, and are refused when they come again. Milliseconds since 1970.
    pub accepted_before_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct Payload {
    version: u64,
    cookie: String,
    accepted_before_ms: u64,
}

impl Erasure {
    /// The type of its events.
    pub const EVENT_TYPE: &str = "com.allezon.shopper.erased";
    const VERSION: u64 = 1;

    /// The event that carries it, under the identity that the caller gives.
    pub fn to_event(&self, source: &str, id: &str) -> Event {
        let payload = Payload {
            version: Self::VERSION,
            cookie: self.cookie.0.clone(),
            accepted_before_ms: self.accepted_before_ms,
        };
        EventBuilderV10::new()
            .id(id)
            .source(source)
            .ty(Self::EVENT_TYPE)
            .data("application/json", serde_json::to_vec(&payload).expect("plain fields always serialise"))
            .build()
            .expect("the attributes are set")
    }

    /// The erasure that an event carries.
    pub fn from_event(event: &Event) -> Result<Self, BatchError> {
        if event.ty() != Self::EVENT_TYPE {
            return Err(BatchError::Damaged(format!("type {} is no erasure", event.ty())));
        }
        let payload: Payload = serde_json::from_slice(&data_bytes(event))
            .map_err(|cause| BatchError::Damaged(cause.to_string()))?;
        if payload.version > Self::VERSION {
            return Err(BatchError::Newer(payload.version));
        }
        Ok(Self { cookie: Cookie(payload.cookie), accepted_before_ms: payload.accepted_before_ms })
    }
}
