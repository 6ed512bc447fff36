//! What the console sees around it here: one process.

use std::collections::BTreeMap;
use std::sync::Arc;

use console::{Error, FunctionState, Lag, Measured, Surroundings, Where};
use event_log::EventLog;
use runtime::Telemetry;
use tokio::sync::watch;

use crate::workers::At;

/// This process.
pub(crate) struct ThisProcess<L> {
    pub(crate) telemetry: Telemetry,
    /// The functions in it.
    pub(crate) functions: Vec<&'static str>,
    /// What the workers are delivered from.
    pub(crate) parts: Vec<Arc<L>>,
    pub(crate) at: watch::Receiver<Vec<At>>,
}

impl<L: EventLog> Surroundings for ThisProcess<L> {
    fn place(&self) -> Where {
        Where::Process
    }

    async fn measured(&self) -> Measured {
        let text = String::from_utf8_lossy(&self.telemetry.prometheus_text()).into_owned();
        Measured { instances: vec![("allezon".to_owned(), text)], problems: Vec::new() }
    }

    async fn lag(&self) -> Result<Vec<Lag>, Error> {
        let at = self.at.borrow().clone();
        let mut behind = BTreeMap::<String, u64>::new();
        for At { worker, part, position } in at {
            let Some(log) = self.parts.get(part) else { continue };
            let bounds = log.bounds().await.map_err(|cause| Error {
                what: "the log does not tell its end".to_owned(),
                cause: Some(cause.into()),
            })?;
            *behind.entry(worker.to_string()).or_default() += bounds.end.0.saturating_sub(position.0);
        }
        Ok(behind.into_iter().map(|(worker, events)| Lag { worker, events }).collect())
    }

    async fn functions(&self) -> Result<Vec<FunctionState>, Error> {
        let state = |name: &&str| FunctionState {
            name: (*name).to_owned(),
            revision: Some(env!("CARGO_PKG_VERSION").to_owned()),
            ready: true,
            reason: None,
            instances: 1,
            wanted: None,
            scale: None,
            errors: Vec::new(),
        };
        Ok(self.functions.iter().map(state).collect())
    }
}
