//! The edge: one address for all functions, as a gateway is in a cluster.
//!
//! It looks at the path only; bodies pass through as they come. A function that is away for a moment is waited for, as long as
//! nothing of the request has been sent to it.

mod answers;
mod forward;
mod headers;
mod shared_body;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{RwLock, Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::client::{Body, Client, client};
use crate::error::Error;

/// Each is a file here and one at a function; most systems allow 20,000 files to a process.
const MAX_CONNECTIONS: usize = 8_192;
/// As many as one function answers at once; more is a queue without hope.
const MAX_REQUESTS: usize = 8_192;
/// hyper counts the wait for a next request too. Clients keep idle connections for 90 s and should be the ones that close them.
const HEAD: Duration = Duration::from_secs(120);
/// The time that requests have to finish when the edge is stopped: as long as a function gives them.
const DRAIN: Duration = Duration::from_secs(20);
/// The pause when no connection can be accepted, as with no files left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A function behind the edge.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    /// Paths that go to it, and everything below them. Empty for a part that clients do not reach.
    pub(crate) paths: &'static [&'static str],
    /// Read while a request is at the function; written by who restarts it in order.
    pub(crate) gate: Arc<RwLock<()>>,
}

/// The running edge.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

struct Shared {
    upstreams: Arc<[Upstream]>,
    client: Client,
    connections: Arc<Semaphore>,
    requests: Semaphore,
}

impl Edge {
    /// Takes the address, and serves from now on.
    pub(crate) async fn start(listen: SocketAddr, upstreams: Arc<[Upstream]>) -> Result<Self, Error> {
        let failed = |error| Error::Listen(listen, error);
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shared = Arc::new(Shared {
            upstreams,
            client: client(),
            connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            requests: Semaphore::new(MAX_REQUESTS),
        });
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(listener, shared, stopped));
        Ok(Self { address, stop, task })
    }

    /// Accepts no more, lets what is under way finish, returns when all is done.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        // A panic was told when it happened.
        let _ = self.task.await;
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, mut stop: oneshot::Receiver<()>) {
    let graceful = GracefulShutdown::new();
    loop {
        let free = shared.connections.clone().acquire_owned();
        let accepted = tokio::select! {
            accepted = async { (free.await.expect("never closed"), listener.accept().await) } => accepted,
            // Also when the handle was dropped.
            _ = &mut stop => break,
        };
        match accepted {
            (permit, Ok((stream, peer))) => {
                let serving = graceful.watch(connection(shared.clone(), stream, peer));
                tokio::spawn(async move {
                    let _permit = permit;
                    // Broken connections are their clients' affair.
                    let _ = serving.await;
                });
            }
            (_, Err(_)) => sleep(ACCEPT_PAUSE).await,
        }
    }
    drop(listener);
    let _ = timeout(DRAIN, graceful.shutdown()).await;
}

fn connection(
    shared: Arc<Shared>,
    stream: TcpStream,
    peer: SocketAddr,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> {
    // A small answer must not wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(shared.answer(request, peer).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service)
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let Ok(_permit) = self.requests.try_acquire() else {
            return answers::problem(StatusCode::SERVICE_UNAVAILABLE, "too many requests at once");
        };
        let path = request.uri().path();
        if let Some(upstream) = route(&self.upstreams, path) {
            return forward::forward(&self.client, upstream, request, peer.ip()).await;
        }
        let is_read = [Method::GET, Method::HEAD].contains(request.method());
        match path {
            "/health" | "/health/readiness" if is_read => {
                answers::health(&self.client, &self.upstreams).await
            }
            "/health/liveness" if is_read => answers::alive(),
            "/openapi.json" if is_read => answers::openapi(),
            _ => answers::problem(StatusCode::NOT_FOUND, "no function has this path"),
        }
    }
}

fn route<'u>(upstreams: &'u [Upstream], path: &str) -> Option<&'u Upstream> {
    let has =
        |known: &str| path.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    upstreams.iter().find(|upstream| upstream.paths.iter().any(|known| has(known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_goes_to_the_function_that_has_it() {
        let upstream = |name, paths| {
            let address = SocketAddr::from(([127, 0, 0, 1], 1));
            Upstream { name, address, paths, gate: Arc::default() }
        };
        let upstreams = [upstream("tags", &["/user_tags"]), upstream("ids", &["/get_id", "/get_ids"])];
        let check = |path, expected: Option<&str>| {
            assert_eq!(route(&upstreams, path).map(|upstream| upstream.name), expected, "{path}");
        };
        check("/user_tags", Some("tags"));
        check("/user_tags/", Some("tags"));
        check("/user_tags/a/b", Some("tags"));
        check("/user_tagsies", None);
        check("/get_ids", Some("ids"));
        check("/get_id", Some("ids"));
        check("/", None);
        check("", None);
        check("//user_tags", None);
    }
}
