//! One process under supervision: started again when it dies, signalled, stopped in order.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use crate::console::Console;
use crate::error::Error;
use crate::launch::LAUNCH;

/// The pause before a process that died is started again; doubled each time it dies soon after.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// A part that cannot run is tried this often at least.
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// Who lived so long was well.
const WELL: Duration = Duration::from_secs(10);
/// Orders come from one hand, one at a time.
const ORDERS: usize = 8;

/// How a process is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program `local`, which becomes the part.
    pub launcher: PathBuf,
    /// The part's name, before each of its lines.
    pub name: String,
    /// The part's program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables that it has beside those of this process.
    pub environment: Vec<(String, String)>,
    /// How long it may take to end after SIGTERM; then it is killed.
    pub grace: Duration,
}

/// What a process is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It runs under this id.
    Running(Pid),
    /// It has ended by itself with this status, or could not be started, and will be started again.
    Died(Option<ExitStatus>),
    /// It was stopped, and stays so until it is started.
    Stopped,
}

/// A handle to a supervised process. Dropping it kills the process.
#[derive(Debug)]
pub struct Process {
    name: String,
    orders: mpsc::Sender<Order>,
    state: watch::Receiver<State>,
}

#[derive(Debug, Clone, Copy)]
enum Order {
    Start,
    Stop,
    Signal(Signal),
}

impl Process {
    /// Starts it. Must be called within a tokio runtime, on a thread that lives as long as that: the process is killed when the
    /// thread that started it ends.
    pub fn start(launch: Launch, console: Console) -> Result<Self, Error> {
        let (orders, ordered) = mpsc::channel(ORDERS);
        let name = launch.name.clone();
        let child = launch.spawn(&console)?;
        let (changes, state) = watch::channel(running(&child));
        let supervisor = Supervisor { launch, console, orders: ordered, state: changes };
        tokio::spawn(supervisor.run(child));
        Ok(Self { name, orders, state })
    }

    /// What it is doing now.
    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Follows what it is doing.
    pub(crate) fn states(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// The name of the part.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends a signal, if it runs. Killed, it is started again after a pause.
    pub async fn signal(&self, signal: Signal) {
        self.order(Order::Signal(signal)).await;
    }

    /// Ends it in order, or by force when its time is over; returns when it has ended. It stays so.
    pub async fn stop(&self) {
        self.order(Order::Stop).await;
        self.reaches(|state| state == State::Stopped).await;
    }

    /// Starts it again after [`Process::stop`], or at once instead of after the pause; returns when it runs.
    pub async fn start_again(&self) {
        self.order(Order::Start).await;
        self.reaches(|state| matches!(state, State::Running(_))).await;
    }

    async fn order(&self, order: Order) {
        self.orders.send(order).await.expect("the supervisor lives as long as this handle");
    }

    async fn reaches(&self, wanted: impl Fn(State) -> bool) {
        let mut states = self.states();
        states.wait_for(|state| wanted(*state)).await.expect("the supervisor lives as long as this handle");
    }
}

impl Launch {
    fn spawn(&self, console: &Console) -> Result<Child, Error> {
        let mut command = Command::new(&self.launcher);
        command
            .arg(LAUNCH)
            .arg(std::process::id().to_string())
            .arg(&self.program)
            .args(&self.args)
            // A Ctrl-C on the terminal is for us only, so that all end in their order.
            .process_group(0)
            // Knative's; here each part has an address of its own.
            .env_remove("PORT")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| Error::Spawn(self.name.clone(), error))?;
        if let Some(out) = child.stdout.take() {
            tokio::spawn(console.clone().copy(self.name.clone(), out));
        }
        if let Some(out) = child.stderr.take() {
            tokio::spawn(console.clone().copy(self.name.clone(), out));
        }
        Ok(child)
    }
}

struct Supervisor {
    launch: Launch,
    console: Console,
    orders: mpsc::Receiver<Order>,
    state: watch::Sender<State>,
}

impl Supervisor {
    async fn run(mut self, first: Child) {
        let (mut child, mut pause) = (Some(first), FIRST_PAUSE);
        loop {
            let since = Instant::now();
            let state = match &mut child {
                Some(child) => match self.live(child).await {
                    Some(state) => state,
                    // Nobody holds the handle: the child is killed as it is dropped.
                    None => return,
                },
                None => State::Died(None),
            };
            self.state.send_replace(state);
            let rest = match state {
                State::Stopped => None,
                _ => {
                    pause = if since.elapsed() > WELL { FIRST_PAUSE } else { pause };
                    self.tell(state, pause).await;
                    Some(pause)
                }
            };
            pause = if rest.is_some() { LAST_PAUSE.min(pause * 2) } else { FIRST_PAUSE };
            if !self.rest(rest).await {
                return;
            }
            child = self.again().await;
        }
    }

    /// Until it has ended, by itself or by order. None when nobody gives orders any more.
    async fn live(&mut self, child: &mut Child) -> Option<State> {
        loop {
            tokio::select! {
                ended = child.wait() => return Some(State::Died(ended.ok())),
                order = self.orders.recv() => match order? {
                    Order::Start => {}
                    Order::Signal(signal) => send(child, signal),
                    Order::Stop => {
                        self.end(child).await;
                        return Some(State::Stopped);
                    }
                },
            }
        }
    }

    async fn end(&self, child: &mut Child) {
        send(child, Signal::TERM);
        // One that is stopped takes the signal when it goes on.
        send(child, Signal::CONT);
        if timeout(self.launch.grace, child.wait()).await.is_err() {
            let seconds = self.launch.grace.as_secs();
            self.console
                .say(&self.launch.name, format!("still runs {seconds} s after SIGTERM, is killed"))
                .await;
            // An error says that it has ended meanwhile.
            let _ = child.kill().await;
        }
    }

    /// Waits for the pause, or without one for the order to start. False when nobody gives orders any more.
    async fn rest(&mut self, pause: Option<Duration>) -> bool {
        let mut until = pause.map(|pause| Instant::now() + pause);
        loop {
            let order = match until {
                Some(until) => match tokio::time::timeout_at(until, self.orders.recv()).await {
                    Ok(order) => order,
                    Err(_over) => return true,
                },
                None => self.orders.recv().await,
            };
            match order {
                None => return false,
                Some(Order::Start) => return true,
                Some(Order::Stop) => {
                    until = None;
                    self.state.send_replace(State::Stopped);
                }
                Some(Order::Signal(_)) => {}
            }
        }
    }

    async fn again(&mut self) -> Option<Child> {
        match self.launch.spawn(&self.console) {
            Ok(child) => {
                self.state.send_replace(running(&child));
                Some(child)
            }
            Err(error) => {
                self.console.say(&self.launch.name, error.to_string()).await;
                None
            }
        }
    }

    async fn tell(&self, state: State, pause: Duration) {
        let how = match state {
            State::Died(Some(status)) => format!("has ended ({status})"),
            _ => "does not start".to_owned(),
        };
        let text = format!("{how}; is started again in {:.1} s", pause.as_secs_f32());
        self.console.say(&self.launch.name, text).await;
    }
}

fn running(child: &Child) -> State {
    pid(child).map_or(State::Died(None), State::Running)
}

/// None once it has been waited for: from then on the id may be another's.
fn pid(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
}

fn send(child: &Child, signal: Signal) {
    if let Some(pid) = pid(child) {
        // It may have ended a moment ago; then it takes no signal, and is waited for next.
        let _ = kill_process(pid, signal);
    }
}
