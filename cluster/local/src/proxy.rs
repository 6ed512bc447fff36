//! A TCP proxy that harms what passes through it: cuts, stalls, slows. For tests.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// What is read at once. Small, so that slowness is smooth.
const PIECE_BYTES: usize = 16 << 10;

/// What happens to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing: bytes pass.
    #[default]
    None,
    /// Open connections are closed, new ones too.
    Cut,
    /// Connections stay, new ones are accepted, and no byte passes.
    Stall,
    /// Each piece passes after a delay, and not more than so many bytes a second in each direction of a connection.
    Slow {
        /// The delay of each piece.
        delay: Duration,
        /// The bound; 0 for none.
        bytes_per_second: u32,
    },
}

/// A running proxy. Dropping it closes all connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    passed: Arc<AtomicUsize>,
    state: watch::Sender<State>,
    accepting: JoinHandle<()>,
}

/// What connections look at.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    fault: Fault,
    /// How often all were cut: a connection from before the last time must end, however short that was.
    cuts: usize,
}

impl Proxy {
    /// Listens on a free port of loopback and connects each client with the target.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (state, states) = watch::channel(State::default());
        let passed = Arc::new(AtomicUsize::new(0));
        let accepting = tokio::spawn(accept(listener, target, states, passed.clone()));
        Ok(Self { address, passed, state, accepting })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has taken up to now: a test that harms them should see some.
    pub fn connections(&self) -> usize {
        self.passed.load(Ordering::Relaxed)
    }

    /// From now on this happens to all connections.
    pub fn set(&self, fault: Fault) {
        self.state.send_modify(|state| {
            state.fault = fault;
            state.cuts += usize::from(fault == Fault::Cut);
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    states: watch::Receiver<State>,
    passed: Arc<AtomicUsize>,
) {
    loop {
        // With no files left there is nothing to do but to try again.
        let Ok((client, _)) = listener.accept().await else { continue };
        let state = *states.borrow();
        if state.fault != Fault::Cut {
            passed.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(connect(client, target, states.clone(), state.cuts));
        }
    }
}

async fn connect(client: TcpStream, target: SocketAddr, mut states: watch::Receiver<State>, cuts: usize) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (there, back) = (states.clone(), states.clone());
    let pumps =
        async { tokio::join!(pump(from_client, to_server, there), pump(from_server, to_client, back)) };
    tokio::select! {
        _ = pumps => {}
        // An error says that nobody holds the proxy any more.
        _ = states.wait_for(|state| state.cuts != cuts) => {}
    }
}

/// Passes on what comes until its end, and then that end.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut states: watch::Receiver<State>) {
    let mut piece = vec![0; PIECE_BYTES];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        let flows = states.wait_for(|state| state.fault != Fault::Stall).await.map(|state| state.fault);
        let Ok(fault) = flows else { return };
        if let Fault::Slow { delay, bytes_per_second } = fault {
            sleep(delay + time_for(read, bytes_per_second)).await;
        }
        if to.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

fn time_for(bytes: usize, bytes_per_second: u32) -> Duration {
    match bytes_per_second {
        0 => Duration::ZERO,
        rate => Duration::from_secs_f64(bytes as f64 / f64::from(rate)),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    /// Far longer than anything takes, far shorter than a test may.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// A proxy before a server that says everything again, and a client of it.
    async fn echo() -> (Proxy, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let target = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        let proxy = Proxy::start(target).await.expect("a free port");
        let client = TcpStream::connect(proxy.address()).await.expect("it listens");
        (proxy, client)
    }

    async fn hears(client: &mut TcpStream, text: &[u8]) -> bool {
        let mut heard = vec![0; text.len()];
        if client.write_all(text).await.is_err() {
            return false;
        }
        let reading = timeout(PATIENCE, client.read_exact(&mut heard));
        reading.await.expect("an answer or an end").is_ok() && heard == text
    }

    #[tokio::test]
    async fn bytes_and_ends_pass() {
        let (_proxy, mut client) = echo().await;
        assert!(hears(&mut client, &vec![7; 100_000]).await);
        client.shutdown().await.expect("open");
        let mut rest = Vec::new();
        timeout(PATIENCE, client.read_to_end(&mut rest)).await.expect("the end").expect("in order");
        assert!(rest.is_empty());
    }

    #[tokio::test]
    async fn a_cut_ends_all_and_can_be_mended() {
        let (proxy, mut client) = echo().await;
        assert!(hears(&mut client, b"before").await);
        proxy.set(Fault::Cut);
        proxy.set(Fault::None);
        assert!(!hears(&mut client, b"after").await, "also a short cut is one");
        proxy.set(Fault::Cut);
        let mut new = TcpStream::connect(proxy.address()).await.expect("it listens");
        assert!(!hears(&mut new, b"refused").await);
        proxy.set(Fault::None);
        let mut new = TcpStream::connect(proxy.address()).await.expect("it listens");
        assert!(hears(&mut new, b"mended").await);
        assert_eq!(proxy.connections(), 2);
    }

    #[tokio::test]
    async fn what_is_stalled_comes_later() {
        let (proxy, mut client) = echo().await;
        assert!(hears(&mut client, b"before").await);
        proxy.set(Fault::Stall);
        client.write_all(b"later").await.expect("open");
        let mut heard = [0; 5];
        let early = timeout(Duration::from_millis(100), client.read_exact(&mut heard)).await;
        assert!(early.is_err(), "{early:?}");
        proxy.set(Fault::None);
        timeout(PATIENCE, client.read_exact(&mut heard)).await.expect("in time").expect("open");
        assert_eq!(&heard, b"later");
    }

    #[tokio::test]
    async fn slowness_takes_its_time() {
        let (proxy, mut client) = echo().await;
        let delay = Duration::from_millis(20);
        proxy.set(Fault::Slow { delay, bytes_per_second: 1_000_000 });
        let begin = Instant::now();
        assert!(hears(&mut client, &[1; 10_000]).await);
        // There and back. A bound from below: nothing can make it faster.
        assert!(begin.elapsed() >= 2 * (delay + Duration::from_millis(10)));
    }

    #[tokio::test]
    async fn a_dropped_proxy_leaves_nothing() {
        let (proxy, mut client) = echo().await;
        assert!(hears(&mut client, b"before").await);
        drop(proxy);
        assert!(!hears(&mut client, b"after").await);
    }
}
