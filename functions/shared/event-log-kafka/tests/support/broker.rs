//! A broker of the tests: the one at `ALLEZON_KAFKA`, or one that is started by the project's own script and ended with the
//! tests, however they end. Knows no client, so that tests of whole programs can use it too.

#![allow(dead_code, reason = "each test crate uses its part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A running broker.
pub(crate) struct Broker {
    pub(crate) address: String,
    /// Where it takes TLS, if it does.
    pub(crate) tls: Option<String>,
    own: Option<Own>,
}

struct Own {
    port: u16,
    data: TempDir,
    /// The process group of a broker that the script does not know.
    unknown: Option<Child>,
    /// Ends the broker when its standard input does.
    _watch: Child,
}

/// How often a broker is started.
const ATTEMPTS: usize = 3;
/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A broker that tests share, or none where there cannot be one: then the suite is reported as skipped.
pub(crate) fn shared(suite: &str) -> Option<Arc<Broker>> {
    static SHARED: Mutex<Option<Arc<Broker>>> = Mutex::new(None);
    if let Ok(address) = std::env::var("ALLEZON_KAFKA") {
        return Some(Arc::new(Broker { address, tls: None, own: None }));
    }
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if shared.is_none() {
        *shared = own(suite).map(Arc::new);
    }
    shared.clone()
}

/// A broker that the test may kill.
pub(crate) fn own(suite: &str) -> Option<Broker> {
    if let Some(why) = missing() {
        assert!(std::env::var_os("CI").is_none(), "{suite} must run: {why}");
        eprintln!("skipped: {suite}: {why}");
        return None;
    }
    // Another process may have taken the port in between.
    let started = (0..ATTEMPTS).find_map(|_| Broker::start().ok());
    Some(started.expect("a broker starts"))
}

/// A broker that takes TLS as well, with `broker-all.pem` of this directory, from those whom `ca.pem` vouches for.
pub(crate) fn with_tls(suite: &str, certificates: &Path) -> Option<Broker> {
    let mut broker = own(suite)?;
    broker.run("stop");
    let own = broker.own.as_mut().unwrap();
    let tls = format!("127.0.0.1:{}", free_ports());
    let settings = fs::read_to_string(own.data.path().join("server.properties")).unwrap();
    let settings = settings
        .replace("\nlisteners=", &format!("\nlisteners=SSL://{tls},"))
        .replace("\nadvertised.listeners=", &format!("\nadvertised.listeners=SSL://{tls},"))
        .replace("protocol.map=", "protocol.map=SSL:SSL,");
    let path = certificates.display();
    let keys = format!(
        "ssl.client.auth=required\nssl.keystore.type=PEM\nssl.keystore.location={path}/broker-all.pem\n\
         ssl.truststore.type=PEM\nssl.truststore.location={path}/ca.pem\n"
    );
    let file = own.data.path().join("tls.properties");
    fs::write(&file, settings + &keys).unwrap();
    let log = fs::File::create(own.data.path().join("tls.log")).unwrap();
    let mut command = Command::new(script());
    command.arg("--data").arg(own.data.path()).args(["tool", "kafka.Kafka"]).arg(&file);
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
    own.unknown = Some(command.spawn().unwrap());
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(&tls).is_err() {
        assert!(Instant::now() < deadline, "the broker with TLS does not start");
        std::thread::sleep(Duration::from_millis(50));
    }
    broker.tls = Some(tls);
    Some(broker)
}

fn missing() -> Option<String> {
    let script = script();
    if !script.exists() {
        return Some(format!("{} is missing", script.display()));
    }
    let lacks = |program: &str| {
        let version =
            Command::new(program).arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_err().then(|| format!("{program} is not installed"))
    };
    lacks("java").or_else(|| lacks("mvn"))
}

fn script() -> PathBuf {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let own = above.map(|directory| directory.join("cluster/local/kafka/kafka")).find(|own| own.exists());
    std::env::var_os("ALLEZON_KAFKA_SCRIPT").map(PathBuf::from).or(own).unwrap_or_default()
}

/// The broker takes a port and the next one.
fn free_ports() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

/// Runs until this process closes its end of the pipe, which it does when it is killed, too.
fn watch(data: &Path) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", r#"cat; "$1" kill9 --data "$2"; rm -rf "$2""#, "watch"]).arg(script()).arg(data);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    command.spawn().unwrap()
}

impl Broker {
    fn start() -> Result<Self, String> {
        let (port, data) = (free_ports(), tempfile::tempdir().unwrap());
        let watch = watch(data.path());
        let own = Own { port, data, unknown: None, _watch: watch };
        let broker = Self { address: format!("127.0.0.1:{port}"), tls: None, own: Some(own) };
        broker.try_run("start").map(|()| broker)
    }

    /// Tells the script about this broker: start, stop, kill9.
    pub(crate) fn run(&self, command: &str) {
        self.try_run(command).unwrap();
    }

    fn try_run(&self, command: &str) -> Result<(), String> {
        let own = self.own.as_ref().expect("a broker of our own");
        let ended = Command::new(script())
            .args([command, "--port", &own.port.to_string(), "--data"])
            .arg(own.data.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = || format!("{command}: {}", String::from_utf8_lossy(&ended.stderr));
        if ended.status.success() { Ok(()) } else { Err(said()) }
    }

    /// Sends the broker's process a signal.
    pub(crate) fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.pid()]).status().unwrap().success());
    }

    pub(crate) fn pid(&self) -> String {
        fs::read_to_string(self.data().join("pid")).unwrap().trim().to_owned()
    }

    /// Where a broker of our own keeps what it has.
    pub(crate) fn data(&self) -> &Path {
        self.own.as_ref().expect("a broker of our own").data.path()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        match &mut self.own {
            None => {}
            Some(Own { unknown: Some(child), .. }) => {
                let group = format!("-{}", child.id());
                let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
                let _ = child.wait();
            }
            Some(_) => drop(self.try_run("kill9")),
        }
    }
}
