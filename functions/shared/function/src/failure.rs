//! Why a function did not do what it was asked for, told by what the caller can do about it.

use std::borrow::Cow;
use std::time::Duration;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The call can never succeed as it is. Never delivered again.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// Not now: the same call may succeed later, here or at another instance.
    #[error("unavailable: {reason}")]
    Unavailable {
        /// What is missing, in a few words.
        reason: Cow<'static, str>,
        /// How long the caller may well wait.
        retry_after: Duration,
    },
    /// Our own mistake. Delivered again, since a repaired release may take it.
    #[error("broken")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What a refusal tells the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", field.as_deref().map(|f| format!("{f}: ")).unwrap_or_default())]
pub struct Refusal {
    /// Which kind of refusal.
    pub kind: Refused,
    /// The field or parameter at fault, as `product_info.price`.
    pub field: Option<Cow<'static, str>>,
    /// What is wrong with it.
    pub reason: String,
}

/// The kinds of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The call is not well-formed (400).
    Malformed,
    /// What it names does not exist (404).
    Unknown,
    /// It is larger than what is taken (413).
    TooLarge,
    /// It is neither the contract's HTTP nor a CloudEvent that this function takes (415).
    Unsupported,
    /// What it adds to is full (507).
    Full,
}

impl Failure {
    /// Not well-formed, at this field.
    pub fn malformed(field: impl Into<Cow<'static, str>>, reason: impl Into<String>) -> Self {
        Self::refused(Refused::Malformed, Some(field.into()), reason)
    }

    /// A refusal of the given kind.
    pub fn refused(kind: Refused, field: Option<Cow<'static, str>>, reason: impl Into<String>) -> Self {
        Self::Refused(Refusal { kind, field, reason: reason.into() })
    }

    /// Not now, but likely in a second.
    pub fn unavailable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Unavailable { reason: reason.into(), retry_after: Duration::from_secs(1) }
    }

    /// Not now, because of what a port said; the log line has the whole chain, the caller only the fact.
    pub fn not_now(cause: &dyn std::error::Error) -> Self {
        let mut chain = cause.to_string();
        let mut next = cause.source();
        while let Some(cause) = next {
            chain.push_str(": ");
            chain.push_str(&cause.to_string());
            next = cause.source();
        }
        tracing::warn!(cause = chain, "a call failed for now");
        Self::unavailable("what this needs is unavailable")
    }

    /// Our own mistake.
    pub fn broken(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Broken(cause.into())
    }
}
