//! The life of a program: set up, serve, drain, close; one line on standard error if that fails.

use std::future::Future;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::chain;
use crate::{Mounts, Server, ServerOptions, Telemetry, stop_signal};

/// How long a program waits for what it stands on before it gives up and says so. A broker or a store that is started
/// together with it is there by then, and who starts it by hand is told at once why it waits.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// What goes wrong in a `main.rs`: anything that can tell its causes.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Runs a program from its beginning to its end: `setup` gives what is to be served, and what is to be done when nothing is
/// served any more. SIGTERM ends it in order, also while it is being set up.
///
/// To be called in `main` and nowhere else. An error is told on standard error, in one line with its causes.
pub fn run<S, C, E>(name: &'static str, options: &ServerOptions, setup: S) -> ExitCode
where
    S: Future<Output = Result<(Mounts, C), E>>,
    C: Future<Output = Result<(), E>>,
    E: Into<BoxError>,
{
    complete(live(name, options, setup))
}

/// Runs a program that does one thing and ends. An error is told on standard error, in one line with its causes.
///
/// To be called in `main` and nowhere else.
pub fn complete<E: Into<BoxError>>(work: impl Future<Output = Result<(), E>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(work).map_err(Into::into),
        Err(cause) => Err(cause.into()),
    };
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    // That nobody reads there changes nothing.
    let _ = writeln!(std::io::stderr(), "Error: {}", chain(&*error));
    ExitCode::FAILURE
}

async fn live<S, C, E>(name: &'static str, options: &ServerOptions, setup: S) -> Result<(), BoxError>
where
    S: Future<Output = Result<(Mounts, C), E>>,
    C: Future<Output = Result<(), E>>,
    E: Into<BoxError>,
{
    let telemetry = Telemetry::start(&options.telemetry, name)?;
    let mut stop = std::pin::pin!(stop_signal()?);
    let (mounts, close) = tokio::select! {
        ready = setup => ready.map_err(Into::into)?,
        () = &mut stop => return Ok(()),
    };
    let server = Server::bind(options, &telemetry).await?;
    server.run(mounts, stop).await?;
    close.await.map_err(Into::into)?;
    telemetry.stop();
    Ok(())
}

/// Tries `connect` until it succeeds, fails for good, or a minute is over; says so each time.
pub async fn patiently<T, E>(
    connect: impl AsyncFn() -> Result<T, E>,
    is_temporary: impl Fn(&E) -> bool,
) -> Result<T, E>
where
    E: std::error::Error + 'static,
{
    let until = Instant::now() + PATIENCE;
    loop {
        match connect().await {
            Err(error) if is_temporary(&error) && Instant::now() < until => {
                tracing::warn!(error = chain(&error), "trying again");
                sleep(PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
    enum Failure {
        #[error("later")]
        Later,
        #[error("never")]
        Never,
    }

    async fn attempts(outcomes: &[Result<(), Failure>]) -> (usize, Result<(), Failure>) {
        let made = AtomicUsize::new(0);
        let connect = async || outcomes[made.fetch_add(1, Ordering::Relaxed).min(outcomes.len() - 1)];
        let outcome = patiently(connect, |error| *error == Failure::Later).await;
        (made.load(Ordering::Relaxed), outcome)
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_what_is_not_there_yet() {
        use Failure::{Later, Never};
        assert_eq!(attempts(&[Ok(())]).await, (1, Ok(())));
        assert_eq!(attempts(&[Err(Later), Err(Later), Ok(())]).await, (3, Ok(())));
        assert_eq!(attempts(&[Err(Later), Err(Never)]).await, (2, Err(Never)));
        let (made, outcome) = attempts(&[Err(Later)]).await;
        assert_eq!(outcome, Err(Later));
        assert!(made > 10, "gave up after {made} attempts");
    }
}
