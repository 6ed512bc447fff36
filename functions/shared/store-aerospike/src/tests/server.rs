//! A server of a test's own, which it may kill.

use std::fs::File;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::{AerospikeOptions, AerospikeStore, ConnectError};

/// A command that starts a server in the foreground, given a port and a directory. It listens on that port, and on those 1, 2
/// and 8 behind, and takes its settings from the environment.
pub(super) const COMMAND: &str = "ALLEZON_AEROSPIKE_SERVER";
const PORTS_BEHIND: [u16; 4] = [0, 1, 2, 8];
const SETTINGS: [(&str, &str); 2] = [("FILESIZE", "512M"), ("BUDGET", "256M")];

const START_PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);

/// Killed at the end, whatever happens.
pub(super) struct Server {
    pub(super) options: AerospikeOptions,
    command: String,
    settings: Vec<(&'static str, &'static str)>,
    port: u16,
    directory: TempDir,
    child: Child,
}

impl Server {
    /// A server with these settings; `None`, said so, without a command.
    pub(super) fn start(test: &str, settings: &[(&'static str, &'static str)]) -> Option<Self> {
        let Ok(command) = std::env::var(COMMAND) else {
            super::skip(test, COMMAND);
            return None;
        };
        let settings = SETTINGS.into_iter().chain(settings.iter().copied()).collect::<Vec<_>>();
        let (port, directory) = (free_port(), tempfile::tempdir().unwrap());
        let child = spawn(&command, port, &directory, &settings);
        let options = AerospikeOptions {
            aerospike_hosts: format!("127.0.0.1:{port}"),
            aerospike_timeout_ms: 1_500,
            aerospike_socket_timeout_ms: 500,
            ..AerospikeOptions::default()
        };
        Some(Self { options, command, settings, port, directory, child })
    }

    /// Waits for a server that is only just starting.
    pub(super) async fn connect(&self) -> Result<AerospikeStore, ConnectError> {
        let until = Instant::now() + START_PATIENCE;
        loop {
            match AerospikeStore::connect(&self.options).await {
                Err(refused) if refused.is_temporary() && Instant::now() < until => sleep(PAUSE).await,
                connected => return connected,
            }
        }
    }

    /// As the kernel kills it when memory runs out.
    pub(super) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().unwrap();
    }

    /// As an administrator stops it: it writes everything to disk.
    pub(super) fn stop(&mut self) {
        self.signal(Signal::TERM);
        self.child.wait().unwrap();
    }

    /// After [`Self::kill`] or [`Self::stop`].
    pub(super) fn start_again(&mut self) {
        self.child = spawn(&self.command, self.port, &self.directory, &self.settings);
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        // A stop reaches a thread that runs a little later: it could still answer.
        std::thread::sleep(Duration::from_millis(100));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(command: &str, port: u16, directory: &TempDir, settings: &[(&str, &str)]) -> Child {
    let console = File::create(directory.path().join("console.log")).unwrap();
    let mut words = command.split_whitespace();
    Command::new(words.next().expect("a command"))
        .args(words)
        .arg(port.to_string())
        .arg(directory.path())
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .stdout(console.try_clone().unwrap())
        .stderr(console)
        .spawn()
        .unwrap()
}

/// A port that is free like those behind.
fn free_port() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let is_free = |behind: u16| TcpListener::bind(("127.0.0.1", first.saturating_add(behind))).is_ok();
        if first < u16::MAX - 8 && PORTS_BEHIND.into_iter().all(is_free) {
            return first;
        }
    }
}
