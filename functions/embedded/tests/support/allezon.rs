//! The program as a child process on a directory of its own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::http::{Answer, Client, Request};

/// A start on a loaded machine, with a log to read.
const START: Duration = Duration::from_secs(60);
/// What the program prints when it is ready for requests.
const LISTENING: &str = "listening on http://";

/// A directory for the data, and beside it what the program wrote to standard error.
#[derive(Debug)]
pub(crate) struct Home {
    dir: TempDir,
    data: PathBuf,
}

/// The program, running. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Allezon {
    pub(crate) address: SocketAddr,
    child: Child,
    log: PathBuf,
}

/// The program before it has said where it listens. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Starting {
    child: Option<Child>,
    listens: mpsc::Receiver<SocketAddr>,
    log: PathBuf,
}

impl Home {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let data = dir.path().join("data");
        Self { dir, data }
    }

    /// With the data elsewhere.
    pub(crate) fn at(data: &Path) -> Self {
        Self { data: data.to_owned(), ..Self::new() }
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// What the program wrote to standard error at its last start.
    pub(crate) fn log(&self) -> String {
        let log = std::fs::read(self.dir.path().join("stderr")).expect("it was started");
        String::from_utf8_lossy(&log).into_owned()
    }

    /// The command, with its flags and nothing of this environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let log = File::create(self.dir.path().join("stderr")).expect("the directory is ours");
        let mut command = Command::new(env!("CARGO_BIN_EXE_allezon"));
        command.env_clear().args(["--listen", "127.0.0.1:0", "--data"]).arg(&self.data).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        command
    }

    pub(crate) fn spawn(&self, args: &[&str]) -> Starting {
        let mut child = self.command(args).spawn().expect("the program is there");
        let stdout = child.stdout.take().expect("it is piped");
        let (says, listens) = mpsc::channel();
        // Reads on to the end, so that the program never waits for us.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let address = line.split_once(LISTENING).map(|(_, rest)| rest);
                let address =
                    address.and_then(|rest| rest.split(['/', ' ']).next()).and_then(|a| a.parse().ok());
                if let Some(address) = address {
                    let _ = says.send(address);
                }
            }
        });
        Starting { child: Some(child), listens, log: self.dir.path().join("stderr") }
    }

    pub(crate) fn start(&self, args: &[&str]) -> Allezon {
        self.spawn(args).wait()
    }

    /// A start that must fail; gives what is told.
    pub(crate) fn start_fails(&self, args: &[&str]) -> String {
        let status = self.spawn(args).ends();
        assert!(!status.success(), "it started: {}", self.log());
        self.log()
    }
}

impl Starting {
    pub(crate) fn wait(mut self) -> Allezon {
        let address = self.listens.recv_timeout(START).unwrap_or_else(|_| {
            let log = std::fs::read_to_string(&self.log);
            panic!("it does not listen: {}", log.as_deref().unwrap_or_default());
        });
        let child = self.child.take().expect("taken here only");
        Allezon { address, child, log: std::mem::take(&mut self.log) }
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ends(mut self) -> ExitStatus {
        ended(self.child.as_mut().expect("taken by `wait` only"))
    }

    /// Waits until it listens or has ended, whichever it will be.
    pub(crate) fn listens_or_ends(mut self) -> Result<Allezon, ExitStatus> {
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            let child = self.child.as_mut().expect("taken by `wait` only");
            if let Some(status) = child.try_wait().expect("it is our child") {
                return Err(status);
            }
            if let Ok(address) = self.listens.recv_timeout(Duration::from_millis(10)) {
                let child = self.child.take().expect("it was there");
                return Ok(Allezon { address, child, log: std::mem::take(&mut self.log) });
            }
        }
        panic!("it neither listens nor ends");
    }

    pub(crate) fn kill(self) {}
}

impl Allezon {
    /// One request on a connection of its own.
    pub(crate) fn ask(&self, request: &Request) -> Answer {
        self.client()
            .ask(request)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", request.target, self.log()))
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address).unwrap_or_else(|error| panic!("{error}: {}", self.log()))
    }

    /// What it wrote to standard error.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// `kill -9`.
    pub(crate) fn kill(self) {}

    /// SIGTERM; returns when it has ended.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        self.signal_to_end();
        ended(&mut self.child)
    }

    /// SIGTERM; returns at once.
    pub(crate) fn signal_to_end(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, Signal::TERM).expect("it is our child");
    }
}

impl Drop for Allezon {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            end(child);
        }
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn ended(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + START;
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return status;
        }
        assert!(Instant::now() < deadline, "it does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}
