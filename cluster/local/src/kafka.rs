//! The broker: the script `kafka` beside this crate's sources, as a supervised process.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::Command;

use crate::console::Console;
use crate::error::Error;
use crate::process::Launch;

/// Its name among the parts.
pub(crate) const KAFKA: &str = "kafka";
/// As long as the script's own `stop` waits.
const GRACE: Duration = Duration::from_secs(60);
/// A line of its log, and the only sign that all of it is there: the port opens before.
const STARTED: &[u8] = b"Kafka Server started";
const PROBE: Duration = Duration::from_secs(1);

/// A broker that can be started.
#[derive(Debug, Clone)]
pub(crate) struct Broker {
    pub(crate) script: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) port: u16,
    pub(crate) advertise: Option<String>,
}

impl Broker {
    /// Where clients are told to find it.
    pub(crate) fn advertised(&self) -> String {
        self.advertise.clone().unwrap_or_else(|| format!("127.0.0.1:{}", self.port))
    }

    /// Fetches it, if that has not been done.
    pub(crate) async fn install(&self, console: &Console) -> Result<(), Error> {
        let status = self.command("install", console).await?;
        if status.success() { Ok(()) } else { Err(Error::Ended(KAFKA.to_owned(), status)) }
    }

    /// Creates the topics that are not there.
    pub(crate) async fn create_topics(&self, console: &Console) -> Result<(), Error> {
        let status = self.command("topics", console).await?;
        if status.success() { Ok(()) } else { Err(Error::Topics(status)) }
    }

    /// How it is started.
    pub(crate) fn launch(&self, launcher: &Path) -> Launch {
        Launch {
            launcher: launcher.to_owned(),
            name: KAFKA.to_owned(),
            program: self.script.clone(),
            args: self.args("run"),
            environment: Vec::new(),
            grace: GRACE,
        }
    }

    /// Whether it serves.
    pub(crate) async fn is_ready(&self) -> bool {
        let connected = tokio::time::timeout(PROBE, TcpStream::connect(("127.0.0.1", self.port)));
        if !matches!(connected.await, Ok(Ok(_))) {
            return false;
        }
        let log = tokio::fs::read(self.data.join("server.log")).await.unwrap_or_default();
        log.windows(STARTED.len()).any(|part| part == STARTED)
    }

    async fn command(&self, command: &str, console: &Console) -> Result<ExitStatus, Error> {
        let failed = |error| Error::Spawn(self.script.display().to_string(), error);
        let mut child = Command::new(&self.script)
            .args(self.args(command))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        if let Some(out) = child.stderr.take() {
            console.clone().copy(KAFKA.to_owned(), out).await;
        }
        child.wait().await.map_err(failed)
    }

    fn args(&self, command: &str) -> Vec<OsString> {
        let mut args: Vec<OsString> = [command, "--port"].map(OsString::from).into();
        args.push(self.port.to_string().into());
        args.push("--data".into());
        args.push(self.data.clone().into());
        if let Some(advertise) = &self.advertise {
            args.extend(["--advertise".into(), advertise.into()]);
        }
        args
    }
}
