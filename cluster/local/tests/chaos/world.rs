//! A whole cluster of real parts, with a proxy before Kafka and one before Aerospike.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use local::{Cluster, Console, Fault, Proxy, Settings};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::ledger::check;
use crate::load::{Load, Written};
use crate::server::Aerospike;
use crate::support::allezon::Allezon;
use crate::support::http::Request;
use crate::support::small_disk::SmallDisk;
use crate::support::tags::{Tag, profile_request};
use crate::tools::Tools;

/// The directory of the programs, where it is not the one of `local`.
const PROGRAMS: &str = "ALLEZON_PROGRAMS";
/// Everything is back within this time of the repair.
const BACK: Duration = Duration::from_secs(30);
/// Load before, between and after harm.
const CALM: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(50);

/// One harm, from its beginning to its repair.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Harm {
    /// kill -9 of a part; the supervisor is its repair.
    Kill(&'static str),
    /// SIGSTOP of a part for a time.
    Suspend(&'static str, Duration),
    /// kill -9 of Aerospike.
    KillStore,
    /// SIGSTOP of Aerospike for a time.
    SuspendStore(Duration),
    /// A fault of all connections to Kafka for a time.
    Kafka(Fault, Duration),
    /// A fault of all connections to Aerospike for a time.
    Store(Fault, Duration),
    /// No room on Kafka's disk for a time.
    FillDisk(Duration),
    /// Everything that Kafka holds is delivered once more, by both deliverers.
    Redeliver,
    /// Events on the topic that no function can take.
    Poison,
    /// A roll-out of a part.
    Restart(&'static str),
}

pub(crate) struct World {
    // Dropped in this order: the directory last.
    cluster: Cluster,
    store: Aerospike,
    to_kafka: Proxy,
    to_store: Proxy,
    written: Written,
    load: Option<Load>,
    /// Asked for as the newest; each probe is another cookie.
    probes: usize,
    slowest: Duration,
    /// Where Kafka's data lie, if not at home.
    disk: Option<SmallDisk>,
    home: TempDir,
}

impl World {
    pub(crate) async fn start(command: &str) -> Self {
        Self::start_on(command, None).await
    }

    /// With Kafka's data on this disk.
    pub(crate) async fn start_on(command: &str, disk: Option<SmallDisk>) -> Self {
        let home = TempDir::new().expect("a temporary directory");
        let log = std::fs::File::create(log_path(&home)).expect("a file");
        let console = Console::new(log, false);
        let store = Aerospike::start(command, &home.path().join("aerospike"), console.clone()).await;
        let to_store = Proxy::start(store.address).await.expect("a free port");
        let kafka_port = local::free_pair().expect("free ports");
        let to_kafka = Proxy::start(([127, 0, 0, 1], kafka_port).into()).await.expect("a free port");
        let launcher = PathBuf::from(env!("CARGO_BIN_EXE_local"));
        let beside = launcher.parent().expect("a directory").to_owned();
        let settings = Settings {
            listen: ([127, 0, 0, 1], 0).into(),
            data: disk.as_ref().map_or(home.path(), SmallDisk::path).join("data"),
            programs: std::env::var_os(PROGRAMS).map_or(beside, PathBuf::from),
            launcher,
            kafka: script(),
            kafka_port,
            kafka_advertise: Some(to_kafka.address().to_string()),
            first_port: None,
            aerospike: to_store.address().to_string(),
            namespace: "allezon".to_owned(),
            console,
        };
        let cluster = match Cluster::start(settings).await {
            Ok(cluster) => cluster,
            Err(error) => panic!("{error}\n{}", log_text(&home)),
        };
        assert!(to_kafka.connections() > 0 && to_store.connections() > 0, "the proxies stand aside");
        Self {
            cluster,
            store,
            to_kafka,
            to_store,
            written: Written::default(),
            load: None,
            probes: 0,
            slowest: Duration::ZERO,
            disk,
            home,
        }
    }

    /// Starts the load, or lets it go on.
    pub(crate) async fn load(&mut self) {
        self.load = Some(Load::start(self.cluster.address(), std::mem::take(&mut self.written)));
        tokio::time::sleep(CALM).await;
    }

    /// Does harm under load, repairs it, and waits until everything is back.
    pub(crate) async fn suffer(&mut self, round: usize, harm: Harm) {
        self.load.as_ref().expect("under load").minute(round);
        self.harm(harm).await;
        let repaired = Instant::now();
        self.is_back(&format!("{harm:?}")).await;
        let took = repaired.elapsed();
        println!("{harm:?}: back after {:.1} s", took.as_secs_f32());
        assert!(took < BACK, "{harm:?}: back after {took:?} only\n{}", log_text(&self.home));
        self.slowest = self.slowest.max(took);
        tokio::time::sleep(CALM).await;
    }

    /// Ends the load and checks that nothing is lost, doubled, or made up.
    pub(crate) async fn check(&mut self) {
        let mut written = self.load.take().expect("under load").stop();
        let edge = self.cluster.address();
        let checked = tokio::task::spawn_blocking(move || {
            check(&Allezon { address: edge }, &written.writers);
            written.numbers.check(edge);
            written
        });
        let Ok(written) = checked.await else { panic!("the check has failed\n{}", log_text(&self.home)) };
        let (sent, answered) = written.counts();
        println!(
            "{answered} of {sent} tags answered {:?}, nothing lost, doubled or made up; slowest {:.1} s",
            written.statuses(),
            self.slowest.as_secs_f32()
        );
        assert!(answered > 0);
        self.written = written;
    }

    pub(crate) fn edge(&self) -> SocketAddr {
        self.cluster.address()
    }

    pub(crate) async fn stop(self) {
        self.cluster.stop().await;
        self.store.stop().await;
    }

    async fn harm(&self, harm: Harm) {
        let known = "a part of the table";
        match harm {
            Harm::Kill(name) => self.cluster.kill(name).await.expect(known),
            Harm::Suspend(name, time) => {
                self.cluster.suspend(name).await.expect(known);
                tokio::time::sleep(time).await;
                self.cluster.resume(name).await.expect(known);
            }
            Harm::KillStore => self.store.signal(Signal::KILL).await,
            Harm::SuspendStore(time) => {
                self.store.signal(Signal::STOP).await;
                tokio::time::sleep(time).await;
                self.store.signal(Signal::CONT).await;
            }
            Harm::Kafka(fault, time) => harm_connections(&self.to_kafka, fault, time).await,
            Harm::Store(fault, time) => harm_connections(&self.to_store, fault, time).await,
            Harm::FillDisk(time) => {
                let disk = self.disk.as_ref().expect("a disk that can be filled");
                disk.fill();
                tokio::time::sleep(time).await;
                disk.free();
            }
            Harm::Poison => self.poison().await,
            Harm::Redeliver => self.redeliver().await,
            Harm::Restart(name) => self.cluster.restart(name).await.expect(known),
        }
    }

    async fn redeliver(&self) {
        for (deliverer, group) in
            [("profile-deliverer", "profile-worker"), ("aggregate-deliverer", "aggregate-worker")]
        {
            self.cluster.end(deliverer).await.expect("a part of the table");
            self.kafka().deliver_again(group);
            self.cluster.begin(deliverer).await.expect("a part of the table");
        }
    }

    /// Puts what no function can take before the next batches; both groups give each to the dead letters, once at least.
    async fn poison(&self) {
        let kafka = self.kafka();
        let before = kafka.dead_letters();
        let poured = kafka.pour_poison();
        let edge = self.edge();
        tokio::task::spawn_blocking(move || {
            let until = Instant::now() + BACK;
            while kafka.dead_letters() < before + 2 * poured {
                assert!(
                    Instant::now() < until,
                    "{poured} poured, {} dead letters",
                    kafka.dead_letters() - before
                );
                assert_eq!(Allezon { address: edge }.ask(&Request::get("/health/liveness")).status, 200);
            }
        })
        .await
        .expect("all are dead letters");
    }

    fn kafka(&self) -> Tools {
        Tools { script: script(), server: self.cluster.address_of("kafka").expect("a part of the table") }
    }

    /// Everything is ready, a new tag is taken, and it shows in its profile and in its minute.
    async fn is_back(&mut self, after: &str) {
        self.probes += 1;
        let (server, n) = (Allezon { address: self.cluster.address() }, self.probes);
        let patience = 4 * BACK;
        let back = tokio::task::spawn_blocking(move || probe(server, n, patience));
        if let Err(wrong) = back.await.expect("no panic") {
            panic!("{after}: not back after {patience:?}: {wrong}\n{}", log_text(&self.home));
        }
    }
}

fn probe(server: Allezon, n: usize, patience: Duration) -> Result<(), String> {
    // A minute of its own, in which nobody else writes.
    let minute = format!("2022-02-01T{:02}:{:02}:", n / 60, n % 60);
    let tag = Tag::view(&format!("probe-{n}"), &format!("{minute}00Z"));
    let next = format!("2022-02-01T{:02}:{:02}:00", (n + 1) / 60, (n + 1) % 60);
    let count = format!("/aggregates?time_range={minute}00_{next}&action=VIEW&aggregates=COUNT");
    let steps: [&dyn Fn() -> Result<(), String>; 4] = [
        &|| is(server.ask(&Request::get("/health")).status, 200),
        &|| is(server.ask(&tag.request()).status, 204),
        &|| match server.ask(&profile_request(&tag.cookie)) {
            answer if answer.status != 200 => Err(format!("{answer:?}")),
            answer if answer.text().contains(&tag.time) => Ok(()),
            answer => Err(answer.text().to_owned()),
        },
        // Once at least: a tag whose answer was lost was sent again.
        &|| match server.ask(&Request::post(&count)) {
            answer if answer.status == 200 && answer.json()["rows"][0][2] != "0" => Ok(()),
            answer => Err(format!("{answer:?}")),
        },
    ];
    let until = Instant::now() + patience;
    for step in steps {
        while let Err(wrong) = step() {
            if Instant::now() > until {
                return Err(wrong);
            }
            std::thread::sleep(LOOK);
        }
    }
    Ok(())
}

fn is(status: u16, expected: u16) -> Result<(), String> {
    if status == expected { Ok(()) } else { Err(format!("{status} instead of {expected}")) }
}

async fn harm_connections(proxy: &Proxy, fault: Fault, time: Duration) {
    proxy.set(fault);
    tokio::time::sleep(time).await;
    proxy.set(Fault::None);
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kafka/kafka")
}

fn log_path(home: &TempDir) -> PathBuf {
    home.path().join("log")
}

/// The last lines of all parts.
fn log_text(home: &TempDir) -> String {
    const LINES: usize = 100;
    let text = std::fs::read(log_path(home)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
