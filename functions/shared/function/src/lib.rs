//! What a function is: one call in, a reply or a failure out.
//!
//! This room holds the trait that every function of the shop implements, and nothing of how a function is reached:
//! no sockets, no status codes, no threads. `runtime` carries HTTP and CloudEvents to it; each function's own room
//! holds its rule.

mod debug_mode;
mod failure;
mod newest;
mod query;
mod stream;

use std::future::Future;

use bytes::Bytes;
use cloudevents::Event;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

pub use debug_mode::DebugMode;
pub use failure::{Failure, Refusal, Refused};
pub use newest::Newest;
pub use query::{Query, decode_segment};
pub use stream::Stream;

/// A function: what Knative scales, and what `embedded` runs beside the others in one process.
pub trait Function: Send + Sync + 'static {
    /// Where it is reached, and what it takes.
    fn describe(&self) -> Description;

    /// Answers one call. May run any number of times at once, in any order, and twice for the same event. Is dropped at any
    /// of its awaits when the caller goes away: what it has begun must do no harm then.
    fn call(&self, call: Call) -> impl Future<Output = Result<Reply, Failure>> + Send;
}

/// Where a function is reached, and what it takes.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    /// Its name: directory, package, image, Knative Service and consumer group, as `user-tags`.
    pub name: &'static str,
    /// The path where it takes CloudEvents, as `/user_tags`; it takes them on `/` too when it is alone on its port.
    pub path: &'static str,
    /// Its plain HTTP routes. A function without any takes CloudEvents only.
    pub routes: &'static [Route],
    /// The event types that reach it on `/` where several functions share a port.
    pub events: &'static [&'static str],
    /// Who may send it events.
    pub events_from: Access,
    /// The longest body that it reads, in bytes; a longer one is refused unread.
    pub body_limit: usize,
}

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Whoever reaches it.
    Public,
    /// The shop's staff: analysts, support, operators.
    Staff,
    /// The shop's staff, and each call leaves an audit line.
    Audited,
}

/// One plain HTTP route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// `GET`, `POST` or `DELETE`.
    pub method: &'static str,
    /// A path; a last segment in braces takes any one segment, as `/user_profiles/{cookie}`.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
}

impl Route {
    /// A route for whoever reaches it.
    pub const fn public(method: &'static str, path: &'static str) -> Self {
        Self { method, path, access: Access::Public }
    }

    /// A route for the shop's staff.
    pub const fn staff(method: &'static str, path: &'static str) -> Self {
        Self { method, path, access: Access::Staff }
    }

    /// A route for the shop's staff, whose calls leave audit lines.
    pub const fn audited(method: &'static str, path: &'static str) -> Self {
        Self { method, path, access: Access::Audited }
    }
}

/// What reaches a function.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "plain HTTP is the hot path: boxing it would cost an allocation a tag"
)]
pub enum Call {
    /// A plain HTTP request on one of its routes.
    Http(Request),
    /// A CloudEvent, in binary or structured mode, on its path or on `/`. Its data is untouched bytes in binary mode.
    Event(Box<Event>),
}

/// A plain HTTP request whose route is known and whose body has arrived whole.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method, one of the route's.
    pub method: Method,
    /// The route's path, as the function declared it.
    pub route: &'static str,
    /// What stood in the place of the braces, still percent-encoded; empty where the route has none.
    pub segment: String,
    /// The raw query, without its question mark; empty where there is none.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// What a function answers when it did what it was asked for.
#[derive(Debug, PartialEq)]
pub enum Reply {
    /// Done, and nothing to say (204).
    Done,
    /// Done, and a JSON text to give back (200). To an event it goes as an event of this type.
    Answer {
        /// The JSON text.
        json: Bytes,
        /// The reverse-DNS type of the answering event.
        event_type: &'static str,
    },
    /// Done, and something that is no JSON, or wants headers of its own, to give back (200). Only to plain HTTP.
    Document(Document),
    /// What goes on until the client has enough (200). Only to plain HTTP.
    Stream(Stream),
}

/// Something for plain HTTP to give back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What it is.
    pub content_type: &'static str,
    /// Headers beside the content's type and length.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The content.
    pub body: Bytes,
}
