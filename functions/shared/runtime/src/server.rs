//! A server: listens, accepts, serves what is mounted, drains.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::HeaderValue;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

use crate::access::Doorkeeper;
use crate::connection;
use crate::error::Error;
use crate::events::Answers;
use crate::gate::Gate;
use crate::mounts::{Mounted, Mounts};
use crate::options::{Limits, ServerOptions};
use crate::pages::{Pages, Readiness};
use crate::router::Router;
use crate::telemetry::{RequestMetrics, Telemetry};

/// Connections that the operating system keeps until they are accepted: a burst of a few thousand clients.
const BACKLOG: u32 = 4_096;
/// How long to wait when no connection can be accepted, for want of file descriptors most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Requests at once on one HTTP/2 connection.
const HTTP2_STREAMS: u32 = 256;
/// Bytes of a body that an HTTP/2 client may send before we have read any, on one stream and on all of a connection.
const HTTP2_WINDOWS: (u32, u32) = (64 << 10, 1 << 20);
/// After the drain time is over, how long connections have to notice that they are closed.
const CLOSE_TIME: Duration = Duration::from_secs(1);
/// For whom there is no place any more.
const TURNED_AWAY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// A server that listens but does not yet answer.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    options: ServerOptions,
    telemetry: Telemetry,
    readiness: Readiness,
}

impl Server {
    /// Listens at the configured address; port 0 takes any free one. Raises the process's limit of open files as far
    /// as it may, since each connection is one. From here on clients may connect; they are answered once it runs.
    pub async fn bind(options: &ServerOptions, telemetry: &Telemetry) -> Result<Self, Error> {
        raise_open_files();
        let address = options.address();
        let failed = |source| Error::Bind { address, source };
        let listener = listen(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            address,
            options: options.clone(),
            telemetry: telemetry.clone(),
            readiness: Readiness::new(),
        })
    }

    /// Where it listens, with the port that it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The switch behind `/health/readiness`.
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Serves until `stop` completes, then drains: says that it is not ready, accepts no more, and lets the requests
    /// that have begun finish, for the drain time at most. Returns when the last one has, so that stores can be
    /// flushed after it. Fails only before it has served anything.
    pub async fn run(self, mounts: Mounts, stop: impl Future<Output = ()>) -> Result<(), Error> {
        let (phases, _) = watch::channel(Phase::Serving);
        let shared = Arc::new(Shared::new(&self, mounts)?);
        tracing::info!(address = %self.address, "listening");
        tokio::select! {
            () = accept(&self.listener, &shared, &phases) => unreachable!("accepts for ever"),
            () = stop => {}
        }
        drop(self.listener);
        self.readiness.drain();
        tracing::info!(connections = shared.open(), requests = shared.gate.requests(), "draining");
        shared.enter(Phase::Draining, &phases);
        if tokio::time::timeout(shared.limits.drain, phases.closed()).await.is_err() {
            tracing::warn!(requests = shared.gate.requests(), "drain time is over");
            shared.enter(Phase::Closed, &phases);
            // They are gone at their next turn, unless one of them blocks its thread.
            let _ = tokio::time::timeout(CLOSE_TIME, phases.closed()).await;
        }
        tracing::info!("drained");
        Ok(())
    }
}

/// Where a server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    Serving,
    /// Requests that have begun finish; no new ones.
    Draining,
    /// Everything ends at once.
    Closed,
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) http: auto::Builder<TokioExecutor>,
    pub(crate) limits: Limits,
    pub(crate) router: Router,
    pub(crate) functions: Vec<Mounted>,
    /// The `ce-source` of each function's answers.
    pub(crate) sources: Vec<HeaderValue>,
    pub(crate) pages: Pages,
    pub(crate) gate: Arc<Gate>,
    pub(crate) doorkeeper: Doorkeeper,
    pub(crate) answers: Answers,
    pub(crate) metrics: RequestMetrics,
    pub(crate) epoch: Instant,
    phase: AtomicU8,
    open: Arc<AtomicUsize>,
}

impl Shared {
    fn new(server: &Server, mounts: Mounts) -> Result<Self, Error> {
        let router = Router::new(&mounts)?;
        let limits = server.options.limits();
        let gate = Arc::new(Gate::new(server.options.max_requests, server.options.max_held_bytes));
        let open = Arc::new(AtomicUsize::new(0));
        let metrics = server.telemetry.request_metrics(router.routes(), &gate, &open);
        let handles = (server.readiness.clone(), server.telemetry.clone());
        Ok(Self {
            http: http_builder(&limits),
            limits,
            router,
            sources: mounts.functions.iter().map(source).collect(),
            functions: mounts.functions,
            pages: Pages::new((mounts.name, mounts.version), mounts.pages, mounts.health, handles),
            gate,
            doorkeeper: Doorkeeper::new(server.options.staff_file.as_deref(), server.address)?,
            answers: Answers::new(),
            metrics,
            epoch: Instant::now(),
            phase: AtomicU8::new(Phase::Serving as u8),
            open,
        })
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Serving,
            1 => Phase::Draining,
            _ => Phase::Closed,
        }
    }

    fn enter(&self, phase: Phase, phases: &watch::Sender<Phase>) {
        self.phase.store(phase as u8, Ordering::Release);
        phases.send_replace(phase);
    }

    fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

/// One of the open connections; counted until dropped.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>, phases: &watch::Sender<Phase>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) if shared.open() < shared.limits.connections => {
                // A small answer must not wait for the acknowledgement of the one before.
                let _ = stream.set_nodelay(true);
                shared.open.fetch_add(1, Ordering::Relaxed);
                let open = Open(shared.open.clone());
                let (shared, phases) = (shared.clone(), phases.subscribe());
                tokio::spawn(async move {
                    let _open = open;
                    connection::serve(shared, stream, phases).await;
                });
            }
            Ok((stream, _)) => turn_away(&stream),
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Says so if that can be said at once; the connection is closed in any case.
fn turn_away(stream: &TcpStream) {
    let _ = stream.try_write(TURNED_AWAY);
    tracing::debug!("too many connections, one was turned away");
}

/// Whether only the one connection failed, before it was accepted.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

fn http_builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // hyper's `pipeline_flush` stays off: with it an answer waits for the rest of a request that has begun to arrive
    // behind it, is lost when the connection is closed with such bytes unread, and piles up without a bound.
    builder.http1().half_close(true).keep_alive(true).max_buf_size(limits.head_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(HTTP2_WINDOWS.0)
        .initial_connection_window_size(HTTP2_WINDOWS.1);
    builder
}

fn source(mounted: &Mounted) -> HeaderValue {
    HeaderValue::try_from(format!("/{}", mounted.description.name)).expect("a function's name is ASCII")
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted server must get its port back while old connections are still winding down.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// As many open files as the operating system lets this process have; with fewer it still works, for fewer clients.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}
