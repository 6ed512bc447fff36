//! An Aerospike of our own, that may be killed.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use local::{Console, Launch, Process, State};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// The variable with the command that starts a server in the foreground, given a port and a directory.
pub(crate) const COMMAND: &str = "ALLEZON_AEROSPIKE_SERVER";
/// After a crash it reads all its data first.
const READY: Duration = Duration::from_secs(120);
const PROBE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(50);
const GRACE: Duration = Duration::from_secs(60);
/// Beside its port it takes those for fabric, heartbeat and administration.
const OFFSETS: [u16; 4] = [0, 1, 2, 8];
/// A question of the info protocol: version 2, type 1, the length, the name.
const QUESTION: &[u8] = b"\x02\x01\0\0\0\0\0\x15partition-generation\n";

#[derive(Debug)]
pub(crate) struct Aerospike {
    process: Process,
    pub(crate) address: SocketAddr,
}

impl Aerospike {
    pub(crate) async fn start(command: &str, dir: &Path, console: Console) -> Self {
        let port = free_port();
        let mut words = command.split_whitespace();
        let launch = Launch {
            launcher: PathBuf::from(env!("CARGO_BIN_EXE_local")),
            name: "aerospike".to_owned(),
            program: words.next().expect("a command").into(),
            args: words.map(Into::into).chain([port.to_string().into(), dir.into()]).collect(),
            environment: Vec::new(),
            grace: GRACE,
        };
        let process = Process::start(launch, console).expect("the command can be started");
        let server = Self { process, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) };
        server.ready().await;
        server
    }

    pub(crate) async fn signal(&self, signal: Signal) {
        self.process.signal(signal).await;
    }

    pub(crate) async fn stop(&self) {
        self.process.stop().await;
    }

    /// It takes requests once its partitions have a generation; `status` says `ok` 2 s before.
    pub(crate) async fn ready(&self) {
        let until = Instant::now() + READY;
        while !matches!(timeout(PROBE, self.generation()).await, Ok(Ok(generation)) if generation >= 0) {
            assert!(Instant::now() < until, "Aerospike does not come up: {:?}", self.process.state());
            assert_ne!(self.process.state(), State::Stopped);
            sleep(LOOK).await;
        }
    }

    async fn generation(&self) -> std::io::Result<i64> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(QUESTION).await?;
        let mut head = [0; 8];
        stream.read_exact(&mut head).await?;
        // Its last six bytes are the length.
        head[..2].fill(0);
        let mut body = Vec::new();
        stream.take(u64::from_be_bytes(head)).read_to_end(&mut body).await?;
        let text = String::from_utf8_lossy(&body);
        let value = text.trim().rsplit('\t').next().and_then(|value| value.parse().ok());
        value.ok_or_else(|| std::io::ErrorKind::InvalidData.into())
    }
}

fn free_port() -> u16 {
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let mut found = (0..100).filter_map(|_| local::free(1).ok()?.pop());
    found
        .find(|port| OFFSETS.iter().all(|offset| port.checked_add(*offset).is_some_and(is_free)))
        .expect("four free ports")
}
