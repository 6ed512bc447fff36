//! `console`: the page where the shop's staff looks at everything.
//!
//! The page asks the other functions on its own origin, by the paths that they have anyway: in one process that is the same port,
//! elsewhere the edge. So nothing is proxied here. Of its own the function has what no other can tell alone: how all instances do
//! (`now.rs`), what the cluster knows of each function, and charts, drawn by charts-rs.

mod chart;
mod now;
mod page;
mod surroundings;

use std::sync::Arc;

use function::{Access, Call, Description, Failure, Function, Refused, Reply, Request, Route};
use serde_json::json;

use now::Now;
pub use surroundings::{Error, FunctionState, Lag, Measured, Surroundings, Trouble, Where};

const PAGE: &str = "/console";
const ASSET: &str = "/console/{asset}";
const NOW: &str = "/console/now";
const FUNCTIONS: &str = "/console/functions";
const CHART: &str = "/console/chart";
/// A chart of 12 lines with 1,440 points each, of some 20 bytes a point.
const BODY_LIMIT: usize = 512 << 10;

/// The function.
#[derive(Debug)]
pub struct Console<S> {
    surroundings: Arc<S>,
    now: Arc<Now<S>>,
}

impl<S: Surroundings> Console<S> {
    /// A console that looks at these.
    pub fn new(surroundings: S) -> Self {
        let surroundings = Arc::new(surroundings);
        Self { now: Arc::new(Now::new(Arc::clone(&surroundings))), surroundings }
    }

    async fn functions(&self) -> Result<Reply, Failure> {
        let functions = self.surroundings.functions().await.map_err(|cause| Failure::not_now(&cause))?;
        let json = json!({"where": self.surroundings.place().name(), "functions": functions});
        Ok(Reply::Answer { json: json.to_string().into(), event_type: "com.allezon.console.functions" })
    }

    async fn answer(&self, request: &Request) -> Result<Reply, Failure> {
        match request.route {
            NOW => self.now.watch(),
            FUNCTIONS => self.functions().await,
            CHART => chart::draw(request.body.clone()).await,
            _ => page::asset(&request.segment, &request.headers),
        }
    }
}

impl<S: Surroundings> Function for Console<S> {
    fn describe(&self) -> Description {
        Description {
            name: "console",
            // It takes no events; here a POST is one of its own anyway.
            path: CHART,
            routes: const {
                &[
                    Route::staff("GET", PAGE),
                    Route::staff("GET", ASSET),
                    Route::staff("GET", NOW),
                    Route::staff("GET", FUNCTIONS),
                    Route::staff("POST", CHART),
                ]
            },
            events: &[],
            events_from: Access::Staff,
            body_limit: BODY_LIMIT,
        }
    }

    async fn call(&self, call: Call) -> Result<Reply, Failure> {
        match call {
            Call::Http(request) => self.answer(&request).await,
            Call::Event(_) => {
                Err(Failure::refused(Refused::Unsupported, None, "the console takes no events"))
            }
        }
    }
}
