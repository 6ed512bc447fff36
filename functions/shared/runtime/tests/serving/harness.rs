//! Real servers on port 0 with small functions, and a client that writes bytes.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use cloudevents::{AttributesReader, Event};
use function::{Access, Call, Description, Failure, Function, Refused, Reply, Request, Route};
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use runtime::{LogFormat, Mounts, Server, ServerOptions, Telemetry, TelemetryOptions};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

/// The longest body that the functions of these tests take.
pub(crate) const BODY_LIMIT: usize = 100_000;

/// Tells what reached it, and does what the body asks for.
#[derive(Debug)]
pub(crate) struct Echo {
    /// A call whose body is `wait` waits for one of these.
    pub(crate) permits: Semaphore,
    /// Such a call adds one here when it has begun.
    pub(crate) waiting: Semaphore,
}

/// Takes events only.
#[derive(Debug)]
pub(crate) struct Sink;

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) readiness: runtime::Readiness,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), runtime::Error>>,
}

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Client(pub(crate) BufStream<TcpStream>);

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Echo {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { permits: Semaphore::new(0), waiting: Semaphore::new(0) })
    }

    async fn obey(&self, text: &str) -> Result<(), Failure> {
        match text {
            "panic" => panic!("as asked"),
            "unavailable" => Err(Failure::Unavailable {
                reason: "the log is away".into(),
                retry_after: Duration::from_millis(1_500),
            }),
            "broken" => Err(Failure::broken("a secret cause")),
            "malformed" => Err(Failure::malformed("field.of", "bad ł value")),
            "unknown" => Err(Failure::refused(Refused::Unknown, None, "not there")),
            "full" => Err(Failure::refused(Refused::Full, None, "no room")),
            "wait" => {
                self.waiting.add_permits(1);
                self.permits.acquire().await.expect("never closed").forget();
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Function for Echo {
    fn describe(&self) -> Description {
        Description {
            name: "echo",
            path: "/echo",
            routes: const {
                &[
                    Route::public("POST", "/echo"),
                    Route::public("GET", "/echo/{key}"),
                    Route::public("DELETE", "/echo/{key}"),
                ]
            },
            events: &["test.echo"],
            events_from: Access::Public,
            body_limit: BODY_LIMIT,
        }
    }

    async fn call(&self, call: Call) -> Result<Reply, Failure> {
        match call {
            Call::Http(request) => {
                self.obey(&String::from_utf8_lossy(&request.body)).await?;
                Ok(if request.method == "DELETE" { Reply::Done } else { told(&request) })
            }
            Call::Event(event) => {
                self.obey(&data(&event)).await?;
                Ok(repeated(&event, "echo"))
            }
        }
    }
}

impl Function for Sink {
    fn describe(&self) -> Description {
        Description {
            name: "sink",
            path: "/sink",
            routes: &[],
            events: &["test.sink"],
            events_from: Access::Public,
            body_limit: BODY_LIMIT,
        }
    }

    async fn call(&self, call: Call) -> Result<Reply, Failure> {
        let Call::Event(event) = call else { panic!("only events are taken") };
        Ok(repeated(&event, "sink"))
    }
}

fn told(request: &Request) -> Reply {
    let json = serde_json::json!({"route": request.route, "segment": request.segment, "query": request.query,
        "body": String::from_utf8_lossy(&request.body)});
    Reply::Answer { json: json.to_string().into(), event_type: "test.told" }
}

fn repeated(event: &Event, by: &str) -> Reply {
    let json = serde_json::json!({"by": by, "id": event.id(), "data": data(event),
        "content_type": event.datacontenttype()});
    Reply::Answer { json: json.to_string().into(), event_type: "test.repeated" }
}

fn data(event: &Event) -> String {
    match event.data() {
        Some(cloudevents::Data::Binary(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Some(other) => format!("not binary: {other:?}"),
        None => "none".to_owned(),
    }
}

/// The one telemetry of a test process.
pub(crate) fn telemetry() -> &'static Telemetry {
    static TELEMETRY: OnceLock<Telemetry> = OnceLock::new();
    TELEMETRY.get_or_init(|| {
        let options = TelemetryOptions {
            log_format: LogFormat::Json,
            log_level: "error".to_owned(),
            ..TelemetryOptions::default()
        };
        Telemetry::start(&options, "test").expect("telemetry starts")
    })
}

/// Options for a server of a test.
pub(crate) fn options() -> ServerOptions {
    let listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    ServerOptions { listen, ..ServerOptions::default() }
}

pub(crate) fn mounts() -> Mounts {
    Mounts::new("test-server", "1.2.3")
}

/// A server with `Echo` alone.
pub(crate) async fn echo() -> Running {
    start(options(), mounts().mount(Echo::new())).await
}

pub(crate) async fn start(options: ServerOptions, mounts: Mounts) -> Running {
    let server = Server::bind(&options, telemetry()).await.expect("port 0 is free");
    let (stop, stopped) = oneshot::channel();
    Running {
        address: server.address(),
        readiness: server.readiness(),
        stop: Some(stop),
        task: tokio::spawn(server.run(mounts, async {
            let _ = stopped.await;
        })),
    }
}

impl Running {
    pub(crate) async fn client(&self) -> Client {
        Client(BufStream::new(TcpStream::connect(self.address).await.expect("the server listens")))
    }

    /// A connection that speaks HTTP/2, and the task that drives it.
    pub(crate) async fn http2(
        &self,
    ) -> (http2::SendRequest<Full<Bytes>>, JoinHandle<Result<(), hyper::Error>>) {
        let stream = TcpStream::connect(self.address).await.expect("the server listens");
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, connection) = handshake.expect("prior knowledge is enough");
        (sender, tokio::spawn(connection))
    }

    /// One request on a connection of its own.
    pub(crate) async fn ask(&self, request: &str) -> Response {
        self.client().await.ask(request).await
    }

    /// Tells the server to drain.
    pub(crate) fn stop(&mut self) {
        let _ = self.stop.take().expect("stopped once").send(());
    }

    /// Completes when the server has returned.
    pub(crate) async fn end(self) {
        self.task.await.expect("the server did not panic").expect("the server served");
    }
}

impl Client {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("the server reads");
        self.0.flush().await.expect("the server reads");
    }

    pub(crate) async fn ask(&mut self, request: &str) -> Response {
        self.send(request).await;
        self.answer().await.expect("an answer")
    }

    /// The next answer; none when the server has closed the connection.
    pub(crate) async fn answer(&mut self) -> Option<Response> {
        self.answer_to("POST").await
    }

    pub(crate) async fn answer_to(&mut self, method: &str) -> Option<Response> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let status = lines[0].split(' ').nth(1)?.parse().expect("a status line");
        let headers = lines[1..].iter().map(|line| line.split_once(": ").expect("a header"));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut response = Response { status, headers, body: Vec::new() };
        if method != "HEAD" {
            let length = response.header("content-length").map_or(0, |l| l.parse().expect("a length"));
            response.body.resize(length, 0);
            self.0.read_exact(&mut response.body).await.ok()?;
        }
        Some(response)
    }

    /// Whether the server has closed the connection, with or without a reset.
    pub(crate) async fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0; 1]).await, Ok(0) | Err(_))
    }
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    /// Checks that this is a refusal with a problem body; gives its detail.
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], "about:blank");
        assert!(problem["title"].is_string());
        problem["detail"].as_str().expect("a detail").to_owned()
    }
}

/// A POST with headers and a body.
pub(crate) fn post(path: &str, headers: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

/// A request without a body.
pub(crate) fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: test\r\n\r\n")
}
