//! A keep-alive HTTP/1.1 connection that asks one question at a time and is opened again when it was lost.
//!
//! hyper's connection is driven by the task that waits for the answer, not by one of its own: the load generator
//! shares its processor with the server, and this saves two task switches a request.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Body;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use crate::target::Endpoint;

/// The most that an answer may hold: 400 tags with names of 4 KiB fit in.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// How long opening a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A header that makes a repeated tag count once.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// After how many seconds to try again, where the target says so.
    pub retry_after_s: Option<u64>,
    /// The body.
    pub body: Bytes,
}

/// Why nothing came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exception {
    /// No connection could be opened; nothing was sent.
    Connect,
    /// No answer in time; the request may have been served.
    ReadTimeout,
    /// The connection was lost, or what came was not HTTP; the request may have been served.
    Other,
}

impl Exception {
    /// The contract's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::ReadTimeout => "read.timeout",
            Self::Other => "other",
        }
    }
}

/// A question: where to, with which body.
#[derive(Debug)]
pub struct Question {
    /// Path and query.
    pub uri: Uri,
    /// The body; may be empty.
    pub body: Bytes,
    /// The `Idempotency-Key`.
    pub key: Option<HeaderValue>,
}

/// The connection.
#[derive(Debug)]
pub struct Connection {
    endpoint: Endpoint,
    live: Option<Live>,
    alarm: Pin<Box<Sleep>>,
}

#[derive(Debug)]
struct Live {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: http1::Connection<TokioIo<TcpStream>, Full<Bytes>>,
}

/// The connection had been closed before the request was written: it is safe to send it on another one.
struct Stale(Box<Request<Full<Bytes>>>);

impl Connection {
    /// A connection that will be opened when it is first used.
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, live: None, alarm: Box::pin(tokio::time::sleep(Duration::ZERO)) }
    }

    /// Where it leads.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Posts the question and waits for its answer, at most the endpoint's time-out once a connection is open.
    pub async fn ask(&mut self, question: Question) -> Result<Answer, Exception> {
        let mut request = Request::new(Full::new(question.body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = question.uri;
        request.headers_mut().insert(HOST, self.endpoint.host_header.clone());
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = question.key {
            request.headers_mut().insert(IDEMPOTENCY_KEY, key);
        }
        match self.exchange_once(request).await {
            Ok(result) => result,
            Err(Stale(request)) => self.exchange_once(*request).await.unwrap_or(Err(Exception::Other)),
        }
    }

    async fn exchange_once(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Result<Answer, Exception>, Stale> {
        let live = match self.live.take() {
            Some(live) => live,
            None => match open(&self.endpoint).await {
                Ok(live) => live,
                Err(exception) => return Ok(Err(exception)),
            },
        };
        let deadline = Instant::now() + self.endpoint.timeout;
        let Live { mut sender, driver } = live;
        let mut driver = Some(driver);
        let result = {
            let mut exchange = pin!(exchange(&mut sender, request));
            let alarm = &mut self.alarm;
            poll_fn(|context| {
                // Only dropping a driver that has ended tells the sender that it will get no answer.
                driver.take_if(|driver| Pin::new(driver).poll(context).is_ready());
                if let Poll::Ready(result) = exchange.as_mut().poll(context) {
                    return Poll::Ready(result);
                }
                if driver.is_none() {
                    return Poll::Ready(Ok(Err(Exception::Other)));
                }
                poll_alarm(alarm, deadline, context).map(|()| Ok(Err(Exception::ReadTimeout)))
            })
            .await
        };
        if matches!(result, Ok(Ok(_))) {
            self.live = driver.map(|driver| Live { sender, driver });
        }
        result
    }
}

async fn open(endpoint: &Endpoint) -> Result<Live, Exception> {
    let connecting = TcpStream::connect((endpoint.host.as_str(), endpoint.port));
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
    let stream = stream.map_err(|_| Exception::Connect)?.map_err(|_| Exception::Connect)?;
    stream.set_nodelay(true).map_err(|_| Exception::Connect)?;
    let (sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| Exception::Connect)?;
    Ok(Live { sender, driver })
}

async fn exchange(
    sender: &mut http1::SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<Result<Answer, Exception>, Stale> {
    if sender.ready().await.is_err() {
        return Err(Stale(Box::new(request)));
    }
    let response = match sender.try_send_request(request).await {
        Ok(response) => response,
        Err(mut refused) => {
            return refused
                .take_message()
                .map_or(Ok(Err(Exception::Other)), |again| Err(Stale(Box::new(again))));
        }
    };
    let (head, body) = response.into_parts();
    let retry_after_s = head.headers.get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
    let answer = |body| Answer { status: head.status, retry_after_s, body };
    if body.is_end_stream() {
        return Ok(Ok(answer(Bytes::new())));
    }
    let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
    Ok(body.map(|body| answer(body.to_bytes())).map_err(|_| Exception::Other))
}

/// Ready at the deadline. The alarm is set again only when it rings, not at every question: one timer operation in a
/// time-out's length instead of two a request.
fn poll_alarm(alarm: &mut Pin<Box<Sleep>>, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
    while alarm.as_mut().poll(context).is_ready() {
        if Instant::now() >= deadline {
            return Poll::Ready(());
        }
        alarm.as_mut().reset(deadline);
    }
    Poll::Pending
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn endpoint(listener: &TcpListener, timeout: Duration) -> Endpoint {
        let address = listener.local_addr().unwrap();
        let host_header = HeaderValue::from_static("here");
        Endpoint {
            host: address.ip().to_string(),
            port: address.port(),
            host_header,
            path: String::new(),
            timeout,
        }
    }

    fn question() -> Question {
        Question { uri: Uri::from_static("/"), body: Bytes::from_static(b"{}"), key: None }
    }

    /// Answers one request on each of so many connections, and closes each.
    async fn answer_once_each(listener: TcpListener, connections: usize, answer: &'static [u8]) {
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().await.unwrap();
            let read = stream.read(&mut [0; 4096]).await.unwrap();
            assert!(read > 0);
            stream.write_all(answer).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_meanwhile_is_opened_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut connection = Connection::new(endpoint(&listener, Duration::from_secs(60)).await);
        let server = tokio::spawn(answer_once_each(listener, 3, b"HTTP/1.1 204 No Content\r\n\r\n"));
        for _ in 0..3 {
            assert_eq!(connection.ask(question()).await.unwrap().status, StatusCode::NO_CONTENT);
            // The end of the stream has to arrive; without it the request is under way when it does.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server.await.unwrap();
        assert_eq!(connection.ask(question()).await.err(), Some(Exception::Connect));
    }

    #[tokio::test]
    async fn bodies_and_retry_after_arrive() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut connection = Connection::new(endpoint(&listener, Duration::from_secs(60)).await);
        let answer = b"HTTP/1.1 503 Slow\r\nretry-after: 3\r\ncontent-length: 2\r\n\r\nno";
        let server = tokio::spawn(answer_once_each(listener, 1, answer));
        let answer = connection.ask(question()).await.unwrap();
        assert_eq!(
            (answer.status.as_u16(), answer.retry_after_s, &answer.body[..]),
            (503, Some(3), &b"no"[..])
        );
        server.await.unwrap();
    }

    #[tokio::test]
    async fn lost_late_and_garbled_answers_are_told_apart() {
        for (answer, exception) in [(&b""[..], Exception::Other), (b"no HTTP\r\n\r\n", Exception::Other)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut connection = Connection::new(endpoint(&listener, Duration::from_secs(60)).await);
            tokio::spawn(answer_once_each(listener, 1, answer));
            assert_eq!(connection.ask(question()).await.err(), Some(exception));
        }
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut connection = Connection::new(endpoint(&silent, Duration::from_millis(10)).await);
        assert_eq!(connection.ask(question()).await.err(), Some(Exception::ReadTimeout));
    }
}
