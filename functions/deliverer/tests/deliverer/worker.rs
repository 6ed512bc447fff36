//! A small function that does as the data of an event says, on a port of its own.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use cloudevents::{AttributesReader, Data, Event};
use function::{Access, Call, Description, Failure, Function, Refused, Reply};
use runtime::{Mounts, Server, ServerOptions, Telemetry, TelemetryOptions};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// The function, and every event that reached it.
pub(crate) struct Worker {
    events: watch::Sender<Vec<Event>>,
}

/// The function's server.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) worker: Arc<Worker>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), runtime::Error>>,
}

impl Worker {
    /// On any free port.
    pub(crate) async fn serve() -> Running {
        Self::serve_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    pub(crate) async fn serve_at(address: SocketAddr) -> Running {
        let worker = Arc::new(Self { events: watch::Sender::default() });
        let options = ServerOptions { listen: Some(address), ..ServerOptions::default() };
        let server = Server::bind(&options, telemetry()).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let address = server.address();
        let mounts = Mounts::new("worker", "0").mount(Arc::clone(&worker));
        let task = tokio::spawn(server.run(mounts, async {
            let _ = stopped.await;
        }));
        Running { address, worker, stop, task }
    }

    /// Waits for so many events with this id, and gives the last one.
    pub(crate) async fn event(&self, id: &str, count: usize) -> Event {
        let with_id = |events: &[Event]| events.iter().filter(|event| event.id() == id).count();
        let mut events = self.events.subscribe();
        let events = events.wait_for(|events| with_id(events) >= count).await.unwrap();
        events.iter().rfind(|event| event.id() == id).unwrap().clone()
    }

    /// How often an event with this id has come.
    pub(crate) fn count(&self, id: &str) -> usize {
        self.events.borrow().iter().filter(|event| event.id() == id).count()
    }
}

impl Running {
    pub(crate) fn url(&self) -> String {
        format!("http://{}/worker", self.address)
    }

    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        self.task.await.unwrap().unwrap();
    }
}

impl Function for Worker {
    fn describe(&self) -> Description {
        Description {
            name: "worker",
            path: "/worker",
            routes: &[],
            events: &[],
            events_from: Access::Public,
            body_limit: 1 << 20,
        }
    }

    async fn call(&self, call: Call) -> Result<Reply, Failure> {
        let Call::Event(event) = call else { panic!("only events are posted") };
        self.events.send_modify(|events| events.push((*event).clone()));
        let attempts = self.count(event.id());
        match event.data() {
            Some(Data::Binary(data)) if data == b"never" => {
                Err(Failure::malformed("price", "no \u{142} price"))
            }
            Some(Data::Binary(data)) if data == b"unknown" => {
                Err(Failure::refused(Refused::Unknown, None, "who?"))
            }
            Some(Data::Binary(data)) if data == b"broken" => Err(Failure::broken("a secret")),
            Some(Data::Binary(data)) if data == b"at the third attempt" && attempts < 3 => {
                Err(Failure::unavailable("not yet"))
            }
            Some(Data::Binary(data)) if data == b"answer" => {
                Ok(Reply::Answer { json: vec![b' '; 500_000].into(), event_type: "test.answer" })
            }
            _ => Ok(Reply::Done),
        }
    }
}

/// The one telemetry of a test process.
fn telemetry() -> &'static Telemetry {
    static TELEMETRY: OnceLock<Telemetry> = OnceLock::new();
    TELEMETRY.get_or_init(|| {
        let options = TelemetryOptions { log_level: "off".to_owned(), ..TelemetryOptions::default() };
        Telemetry::start(&options, "test").expect("telemetry starts")
    })
}
