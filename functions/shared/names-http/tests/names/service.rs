//! The real id-service over the embedded log, on a port of its own.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use event_log_embedded::{Durability, EmbeddedLog, Keep, Options};
use function::{Call, Description, Failure, Function, Reply};
use id_service::{IdService, NameLog};
use runtime::{Mounts, Server, ServerOptions, Telemetry, TelemetryOptions};
use tempfile::TempDir;
use tokio::sync::{RwLock, oneshot};
use tokio::task::JoinHandle;

/// A log of names, on which any number of services may stand.
pub(crate) struct Log {
    log: Arc<EmbeddedLog>,
    _directory: TempDir,
}

/// A running id-service.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) function: Arc<Counted>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), runtime::Error>>,
}

/// The function, and how often it is called.
pub(crate) struct Counted {
    function: IdService<NameLog<Arc<EmbeddedLog>>>,
    calls: AtomicUsize,
    /// Calls wait while somebody writes to it.
    pub(crate) gate: RwLock<()>,
}

impl Log {
    /// That nobody has written to.
    pub(crate) fn empty() -> Self {
        let directory = TempDir::new().unwrap();
        let options = Options { durability: Durability::Process, keep: Keep::Forever, ..Options::default() };
        let log = Arc::new(EmbeddedLog::open(directory.path(), options).unwrap());
        Self { log, _directory: directory }
    }

    /// A service on any free port.
    pub(crate) async fn serve(&self) -> Service {
        self.serve_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// A service at this address.
    pub(crate) async fn serve_at(&self, address: SocketAddr) -> Service {
        let names = NameLog::open(Arc::clone(&self.log)).await.unwrap();
        let (calls, gate) = (AtomicUsize::new(0), RwLock::default());
        let function = Arc::new(Counted { function: IdService::new(names), calls, gate });
        let options = ServerOptions { listen: Some(address), ..ServerOptions::default() };
        let server = Server::bind(&options, telemetry()).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let address = server.address();
        let mounts = Mounts::new("id-service", "0").mount(Arc::clone(&function));
        let task = tokio::spawn(server.run(mounts, async {
            let _ = stopped.await;
        }));
        Service { address, function, stop, task }
    }
}

impl Service {
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        self.task.await.unwrap().unwrap();
    }
}

impl Counted {
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl Function for Counted {
    fn describe(&self) -> Description {
        self.function.describe()
    }

    async fn call(&self, call: Call) -> Result<Reply, Failure> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let _open = self.gate.read().await;
        self.function.call(call).await
    }
}

/// The one telemetry of a test process.
fn telemetry() -> &'static Telemetry {
    static TELEMETRY: OnceLock<Telemetry> = OnceLock::new();
    TELEMETRY.get_or_init(|| {
        let options = TelemetryOptions { log_level: "error".to_owned(), ..TelemetryOptions::default() };
        Telemetry::start(&options, "test").expect("telemetry starts")
    })
}
