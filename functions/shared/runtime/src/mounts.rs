//! What a server serves: functions, and a few fixed pages beside them.

use std::sync::Arc;

use function::{Call, DebugMode, Description, Failure, Function, Reply};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};

/// What a server serves. Every server has `/health`, `/health/readiness`, `/health/liveness`, `/version` and
/// `/metrics` besides.
pub struct Mounts {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) functions: Vec<Mounted>,
    pub(crate) pages: Vec<StaticPage>,
    pub(crate) health: Option<Box<HealthDetails>>,
}

/// Gives the fields that `/health` has beyond `status`.
pub(crate) type HealthDetails = dyn Fn() -> Map<String, Value> + Send + Sync;

/// A mounted function, whatever its type.
pub(crate) struct Mounted {
    pub(crate) description: Description,
    pub(crate) function: Arc<dyn Erased>,
}

/// A page that never changes.
pub(crate) struct StaticPage {
    pub(crate) path: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) body: &'static str,
}

/// `Function` without its type, so that functions of different types share a server.
pub(crate) trait Erased: Send + Sync {
    fn call(&self, call: Call) -> BoxFuture<'_, Result<Reply, Failure>>;
}

impl<F: Function> Erased for F {
    fn call(&self, call: Call) -> BoxFuture<'_, Result<Reply, Failure>> {
        Function::call(self, call).boxed()
    }
}

impl Mounts {
    /// Nothing yet, for a program of this name and version (see `/version`).
    pub fn new(name: &'static str, version: &'static str) -> Self {
        Self { name, version, functions: Vec::new(), pages: Vec::new(), health: None }
    }

    /// One more function. Two that claim the same route are refused when the server starts.
    #[must_use]
    pub fn mount<F: Function>(mut self, function: Arc<F>) -> Self {
        self.functions.push(Mounted { description: function.describe(), function });
        self
    }

    /// The names of its functions.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.functions.iter().map(|mounted| mounted.description.name)
    }

    /// One more function, a query: in debug mode its answers are compared with what bodies expect.
    #[must_use]
    pub fn mount_query<F: Function>(self, function: F, debug_mode: bool) -> Self {
        if debug_mode {
            self.mount(Arc::new(DebugMode::around(function)))
        } else {
            self.mount(Arc::new(function))
        }
    }

    /// A fixed page for GET, as `/openapi.json`.
    #[must_use]
    pub fn page(mut self, path: &'static str, content_type: &'static str, body: &'static str) -> Self {
        self.pages.push(StaticPage { path, content_type, body });
        self
    }

    /// Fields that `/health` has beyond `status`. Asked at every probe, so it must answer at once from memory.
    #[must_use]
    pub fn health(mut self, details: impl Fn() -> Map<String, Value> + Send + Sync + 'static) -> Self {
        self.health = Some(Box::new(details));
        self
    }
}
