//! The port to what runs around the console.

use std::future::Future;

use serde::Serialize;

/// What runs around the console, and how it does.
pub trait Surroundings: Send + Sync + 'static {
    /// What kind of place this is.
    fn place(&self) -> Where;

    /// What each instance measures.
    fn measured(&self) -> impl Future<Output = Measured> + Send;

    /// How far each worker is behind.
    fn lag(&self) -> impl Future<Output = Result<Vec<Lag>, Error>> + Send;

    /// Each function, and how it does.
    fn functions(&self) -> impl Future<Output = Result<Vec<FunctionState>, Error>> + Send;
}

/// What kind of place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// Everything is in one process.
    Process,
    /// Functions have instances of their own on a cluster.
    Cluster,
}

impl Where {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Cluster => "cluster",
        }
    }
}

/// What was measured, as Prometheus reads it.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// Each instance's name and text.
    pub instances: Vec<(String, String)>,
    /// What could not be asked, and why.
    pub problems: Vec<String>,
}

/// How far a worker is behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lag {
    /// Whose lag.
    pub worker: String,
    /// Events that it has not applied yet.
    pub events: u64,
}

/// A function, as the place tells.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FunctionState {
    /// Its name.
    pub name: String,
    /// What of it runs.
    pub revision: Option<String>,
    /// Whether it is as it should be.
    pub ready: bool,
    /// Why not.
    pub reason: Option<String>,
    /// Instances that are ready.
    pub instances: u64,
    /// Instances that there should be.
    pub wanted: Option<u64>,
    /// How it scales, by annotation; empty where it does not.
    pub scale: Option<serde_json::Value>,
    /// What went wrong with its instances last.
    pub errors: Vec<Trouble>,
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// When, as RFC 3339 writes it, if that is known.
    pub at: Option<String>,
    /// What.
    pub what: String,
}

/// What was asked is not to be had now.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Error {
    /// What is not, in a few words.
    pub what: String,
    /// What says so.
    #[source]
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}
