//! All parts together: started in stages, stopped the other way round.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;
use tokio::sync::RwLock;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::client::{Client, client, is_ready};
use crate::console::Console;
use crate::edge::{Edge, Upstream};
use crate::error::Error;
use crate::kafka::{Broker, KAFKA};
use crate::parts::{PARTS, Part, SEALER, STAGES, Surroundings};
use crate::ports;
use crate::process::{Launch, Process, State};
use crate::settings::Settings;
use crate::ticks::tick;

/// Functions wait a minute for what they stand on; Kafka may have to read its log again after a crash.
const READY: Duration = Duration::from_secs(120);
/// The pause between two questions whether a part is ready.
const LOOK: Duration = Duration::from_millis(20);
/// A function drains for 20 s at most.
const GRACE: Duration = Duration::from_secs(25);
/// A restart in order waits so long for the requests that are under way.
const HOLD: Duration = Duration::from_secs(10);
const LOCAL: &str = "local";

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    kafka: Broker,
    broker: Option<Process>,
    members: Vec<Member>,
    edge: Option<Edge>,
    ticking: Option<JoinHandle<()>>,
    client: Client,
    console: Console,
    launcher: PathBuf,
    /// Held as long as the data are ours.
    _lock: File,
}

#[derive(Debug)]
struct Member {
    part: &'static Part,
    address: SocketAddr,
    gate: Arc<RwLock<()>>,
    process: Option<Process>,
}

impl Cluster {
    /// Starts everything; returns when all of it is ready. After an error nothing of it runs any more.
    pub async fn start(settings: Settings) -> Result<Self, Error> {
        let mut cluster = Self::new(&settings)?;
        match cluster.bring_up(&settings).await {
            Ok(()) => Ok(cluster),
            Err(error) => {
                cluster.stop().await;
                Err(error)
            }
        }
    }

    /// The edge's address.
    pub fn address(&self) -> SocketAddr {
        self.edge.as_ref().expect("it is there until the cluster is stopped").address
    }

    /// The names of all parts.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.members.iter().map(|member| member.part.name).chain([KAFKA])
    }

    /// The address of a part, past the edge.
    pub fn address_of(&self, name: &str) -> Result<SocketAddr, Error> {
        match name {
            KAFKA => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, self.kafka.port))),
            _ => Ok(self.member(name)?.address),
        }
    }

    /// Kills a part with -9. It is started again by itself.
    pub async fn kill(&self, name: &str) -> Result<(), Error> {
        self.signal(name, Signal::KILL).await
    }

    /// Stops a part in its midst (SIGSTOP) until [`Cluster::resume`].
    pub async fn suspend(&self, name: &str) -> Result<(), Error> {
        self.signal(name, Signal::STOP).await
    }

    /// Lets a suspended part go on (SIGCONT).
    pub async fn resume(&self, name: &str) -> Result<(), Error> {
        self.signal(name, Signal::CONT).await
    }

    /// Ends a part in order. It stays so until [`Cluster::begin`].
    pub async fn end(&self, name: &str) -> Result<(), Error> {
        self.process(name)?.stop().await;
        Ok(())
    }

    /// Starts a part that was ended; returns when it is ready.
    pub async fn begin(&self, name: &str) -> Result<(), Error> {
        self.process(name)?.start_again().await;
        self.ready(name).await
    }

    /// Restarts a part in order, as a roll-out does: its requests finish, new ones wait at the edge. Returns when it is ready.
    pub async fn restart(&self, name: &str) -> Result<(), Error> {
        let gate = match name {
            KAFKA => Arc::default(),
            _ => self.member(name)?.gate.clone(),
        };
        let held = timeout(HOLD, gate.write()).await;
        self.end(name).await?;
        self.begin(name).await?;
        drop(held);
        Ok(())
    }

    /// Waits until a part is ready, as after it was killed.
    pub async fn ready(&self, name: &str) -> Result<(), Error> {
        let until = Instant::now() + READY;
        while !self.is_ready(name).await? {
            if Instant::now() > until {
                return Err(Error::NotReady(name.to_owned(), READY.as_secs()));
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Stops everything: the edge first, then who calls, then who is called, Kafka last.
    pub async fn stop(mut self) {
        if let Some(edge) = self.edge.take() {
            edge.stop().await;
        }
        if let Some(ticking) = self.ticking.take() {
            ticking.abort();
        }
        for stage in (0..STAGES).rev() {
            let stopping: Vec<Process> =
                self.of_stage(stage).filter_map(|at| self.members[at].process.take()).collect();
            self.stop_all(stopping).await;
        }
        let broker = self.broker.take();
        self.stop_all(broker.into_iter().collect()).await;
    }

    fn new(settings: &Settings) -> Result<Self, Error> {
        let data = settings.data.clone();
        let failed = |error| Error::Data(data.clone(), error);
        fs::create_dir_all(&data).map_err(failed)?;
        // Kafka's script looks from where it is called; so do we, but only once.
        let data = fs::canonicalize(&data).map_err(failed)?;
        let lock = File::create(data.join("lock")).map_err(failed)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| Error::InUse(data.clone()))?;
        let kafka = Broker {
            script: existing(&settings.kafka)?,
            data: data.join(KAFKA),
            port: if settings.kafka_port == 0 {
                ports::free_pair().map_err(Error::Ports)?
            } else {
                settings.kafka_port
            },
            advertise: settings.kafka_advertise.clone(),
        };
        Ok(Self {
            kafka,
            broker: None,
            members: members(settings.first_port)?,
            edge: None,
            ticking: None,
            client: client(),
            console: settings.console.clone(),
            launcher: existing(&settings.launcher)?,
            _lock: lock,
        })
    }

    async fn bring_up(&mut self, settings: &Settings) -> Result<(), Error> {
        let surroundings = Surroundings {
            brokers: self.kafka.advertised(),
            aerospike: settings.aerospike.clone(),
            namespace: settings.namespace.clone(),
        };
        let launches = self.launches(&settings.programs, &surroundings)?;
        // Before all else, as it fails at once if the address is taken.
        self.edge = Some(Edge::start(settings.listen, self.upstreams()).await?);
        self.kafka.install(&self.console).await?;
        self.broker = Some(Process::start(self.kafka.launch(&self.launcher), self.console.clone())?);
        self.comes_up(KAFKA).await?;
        self.kafka.create_topics(&self.console).await?;
        for stage in 0..STAGES {
            let of_stage: Vec<usize> = self.of_stage(stage).collect();
            for at in &of_stage {
                let process = Process::start(launches[*at].clone(), self.console.clone())?;
                self.members[*at].process = Some(process);
            }
            for at in of_stage {
                self.comes_up(self.members[at].part.name).await?;
            }
        }
        self.ticking = Some(tokio::spawn(tick(self.address_of(SEALER)?, self.console.clone())));
        Ok(())
    }

    /// As [`Cluster::ready`], but its death is an error: at the first start it will not get better.
    async fn comes_up(&self, name: &str) -> Result<(), Error> {
        let since = Instant::now();
        let mut states = self.process(name)?.states();
        let died = states.wait_for(|state| matches!(state, State::Died(_)));
        tokio::select! {
            ready = self.ready(name) => ready?,
            Ok(state) = died => match *state {
                State::Died(Some(status)) => return Err(Error::Ended(name.to_owned(), status)),
                _ => return Err(Error::NotReady(name.to_owned(), since.elapsed().as_secs())),
            },
        }
        let text =
            format!("ready on {} after {:.1} s", self.address_of(name)?, since.elapsed().as_secs_f32());
        self.console.say(name, text).await;
        Ok(())
    }

    fn launches(&self, programs: &Path, surroundings: &Surroundings) -> Result<Vec<Launch>, Error> {
        let address_of =
            |name: &str| self.address_of(name).expect("the table names no part that it does not have");
        let launch = |part: &Part| {
            Ok(Launch {
                launcher: self.launcher.clone(),
                name: part.name.to_owned(),
                program: existing(&programs.join(part.program))?,
                args: Vec::new(),
                environment: part.environment(surroundings, address_of),
                grace: GRACE,
            })
        };
        PARTS.iter().map(launch).collect()
    }

    fn upstreams(&self) -> Arc<[Upstream]> {
        let upstream = |member: &Member| Upstream {
            name: member.part.name,
            address: member.address,
            paths: member.part.paths,
            gate: member.gate.clone(),
        };
        self.members.iter().map(upstream).collect()
    }

    async fn is_ready(&self, name: &str) -> Result<bool, Error> {
        match name {
            KAFKA => Ok(self.kafka.is_ready().await),
            _ => Ok(is_ready(&self.client, self.member(name)?.address).await),
        }
    }

    async fn signal(&self, name: &str, signal: Signal) -> Result<(), Error> {
        self.process(name)?.signal(signal).await;
        Ok(())
    }

    async fn stop_all(&self, processes: Vec<Process>) {
        let mut stopping = tokio::task::JoinSet::new();
        for process in processes {
            stopping.spawn(async move {
                process.stop().await;
                process
            });
        }
        while let Some(Ok(stopped)) = stopping.join_next().await {
            self.console.say(LOCAL, format!("{} has ended", stopped.name())).await;
        }
    }

    fn process(&self, name: &str) -> Result<&Process, Error> {
        let process = match name {
            KAFKA => self.broker.as_ref(),
            _ => self.member(name)?.process.as_ref(),
        };
        process.ok_or_else(|| Error::Unknown(name.to_owned()))
    }

    fn member(&self, name: &str) -> Result<&Member, Error> {
        let member = self.members.iter().find(|member| member.part.name == name);
        member.ok_or_else(|| Error::Unknown(name.to_owned()))
    }

    fn of_stage(&self, stage: u8) -> impl Iterator<Item = usize> + use<> {
        PARTS.iter().enumerate().filter(move |(_, part)| part.stage == stage).map(|(at, _)| at)
    }
}

/// All parts with their addresses, not running yet.
fn members(first_port: Option<u16>) -> Result<Vec<Member>, Error> {
    let ports: Vec<u16> = match first_port {
        Some(first) => (first..).take(PARTS.len()).collect(),
        None => ports::free(PARTS.len()).map_err(Error::Ports)?,
    };
    let member = |(part, port)| Member {
        part,
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        gate: Arc::default(),
        process: None,
    };
    Ok(PARTS.iter().zip(ports).map(member).collect())
}

fn existing(path: &Path) -> Result<PathBuf, Error> {
    fs::canonicalize(path).map_err(|_| Error::Missing(path.to_owned()))
}
