//! A directory with programs that stand in for the real ones, and questions to what runs there.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use local::{Console, Settings};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// Far longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(10);
const PROGRAMS: [&str; 12] = [
    "kafka",
    "user-tags",
    "user-profiles",
    "aggregates",
    "explore",
    "console",
    "dead-letters",
    "profile-worker",
    "aggregate-worker",
    "sealer",
    "id-service",
    "deliverer",
];

pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let stand_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/stand-in");
        for name in PROGRAMS {
            let program = dir.path().join(name);
            // Not a link: the supervisor follows those, and the name would be lost.
            std::fs::copy(&stand_in, &program).expect("a copy");
        }
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            data: self.data(),
            programs: self.path().to_owned(),
            launcher: launcher(),
            kafka: self.path().join("kafka"),
            kafka_port: 0,
            kafka_advertise: None,
            first_port: None,
            aerospike: "127.0.0.1:3000".to_owned(),
            namespace: "allezon".to_owned(),
            console: Console::new(std::io::sink(), false),
        }
    }

    /// The broker's process, which answers no question.
    pub(crate) fn kafka_pid(&self) -> u32 {
        let text = std::fs::read_to_string(self.data().join("kafka/pid")).expect("Kafka has run");
        text.parse().expect("a number")
    }
}

pub(crate) fn launcher() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_local"))
}

/// Status and text of the answer to a request without a body.
pub(crate) async fn ask(address: SocketAddr, head: &str) -> std::io::Result<(u16, String)> {
    send(address, head, "").await
}

/// Status and text of the answer to one request on a connection of its own.
pub(crate) async fn send(address: SocketAddr, head: &str, body: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("{head}\r\nhost: here\r\nconnection: close\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut text)).await??;
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Ok((status, text))
}

/// What an answer says of the process that gave it.
pub(crate) fn pid(answer: &str) -> u32 {
    let rest = answer.split(r#""pid": "#).nth(1).unwrap_or_else(|| panic!("{answer}"));
    rest.split(',').next().and_then(|pid| pid.parse().ok()).expect("a number")
}

/// A process that was waited for, or waits for that, does nothing any more.
pub(crate) fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < until, "not so: {what}");
        sleep(LOOK).await;
    }
}
