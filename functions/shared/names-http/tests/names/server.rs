//! A server that does as the test says, whether that is HTTP or not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What becomes of a request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// These bytes, and the connection stays.
    Send(Vec<u8>),
    /// These bytes, and the connection is closed.
    SendAndClose(Vec<u8>),
    /// The same bytes for ever.
    SendForEver(Vec<u8>),
    /// Nothing.
    Silence,
}

/// The server; ends when it is dropped.
pub(crate) struct Hostile {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Hostile {
    /// That answers the request of this number, counted from 0, with this body.
    pub(crate) async fn start(script: impl Fn(usize, &str) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let (script, counter) = (Arc::new(script), Arc::clone(&requests));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, Arc::clone(&script), Arc::clone(&counter)));
            }
        });
        Self { address, requests, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer with this status line and body.
pub(crate) fn answer(status: &str, body: &str) -> Act {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
    Act::Send(format!("{head}{body}").into_bytes())
}

async fn serve(stream: TcpStream, script: Arc<impl Fn(usize, &str) -> Act>, requests: Arc<AtomicUsize>) {
    let mut stream = BufStream::new(stream);
    while let Some(body) = request(&mut stream).await {
        let number = requests.fetch_add(1, Ordering::SeqCst);
        match script(number, &body) {
            Act::Send(bytes) => write(&mut stream, &bytes).await,
            Act::SendAndClose(bytes) => {
                write(&mut stream, &bytes).await;
                return;
            }
            Act::SendForEver(bytes) => {
                while write(&mut stream, &bytes).await.is_some() {}
                return;
            }
            Act::Silence => std::future::pending().await,
        };
    }
}

async fn write(stream: &mut BufStream<TcpStream>, bytes: &[u8]) -> Option<()> {
    stream.write_all(bytes).await.ok()?;
    stream.flush().await.ok()
}

/// The body of the next request.
async fn request(stream: &mut BufStream<TcpStream>) -> Option<String> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => {
                if let Some(value) = line.strip_prefix("content-length: ") {
                    length = value.parse().unwrap();
                }
            }
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    String::from_utf8(body).ok()
}
