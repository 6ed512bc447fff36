//! SIGTERM and SIGINT: the first one drains, the second one ends at once.

use std::future::Future;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::error::Error;

/// What shells report for a process that was interrupted.
const INTERRUPTED: i32 = 130;

/// Completes at the first SIGTERM or SIGINT. The second one ends the process at once with code 130, for whoever does
/// not want to wait for the drain. Must be called within a tokio runtime, once.
pub fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static, Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    let (first, stopped) = oneshot::channel();
    tokio::spawn(async move {
        next(&mut terminate, &mut interrupt).await;
        // Nobody waits any more when the server ended by itself.
        let _ = first.send(());
        next(&mut terminate, &mut interrupt).await;
        std::process::exit(INTERRUPTED);
    });
    Ok(async move {
        let _ = stopped.await;
    })
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM received"),
        _ = interrupt.recv() => tracing::info!("SIGINT received"),
    }
}
