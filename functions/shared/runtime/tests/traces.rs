//! Traces on their way from callers, through functions, to a collector. A process of its own, since telemetry starts
//! once.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use function::{Access, Call, Description, Failure, Function, Reply, Route};
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use runtime::{LogFormat, Mounts, Server, ServerOptions, Telemetry, TelemetryOptions};

/// Answers with the ids of the trace and of the span that it runs in.
struct Traced;

impl Function for Traced {
    fn describe(&self) -> Description {
        let routes = const { &[Route::public("POST", "/traced")] };
        Description {
            name: "traced",
            path: "/traced",
            routes,
            events: &[],
            events_from: Access::Public,
            body_limit: 1_000,
        }
    }

    async fn call(&self, _: Call) -> Result<Reply, Failure> {
        tokio::task::yield_now().await;
        let span = Context::current().span().span_context().clone();
        let json = format!("\"{} {}\"", span.trace_id(), span.span_id()).into();
        Ok(Reply::Answer { json, event_type: "test.traced" })
    }
}

/// A collector: takes anything, and hands on path and body.
fn collector() -> (SocketAddr, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port 0 is free");
    let address = listener.local_addr().expect("it is bound");
    let (sender, received) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || collect(&stream, &sender));
        }
    });
    (address, received)
}

fn collect(stream: &TcpStream, sender: &Sender<(String, Vec<u8>)>) {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_ascii_lowercase()),
            }
        }
        let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.expect("a length")];
        reader.read_exact(&mut body).expect("a body");
        let path = head[0].split(' ').nth(1).expect("a path").to_owned();
        let _ = sender.send((path, body));
        let _ = writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    }
}

fn ask(address: SocketAddr, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    let request = format!(
        "POST /traced HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: 2\r\n{headers}\r\n{{}}"
    );
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.rsplit_once("\r\n\r\n").expect("a body").1.trim_matches('"').to_owned()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

#[test]
fn spans_join_the_trace_of_the_request_or_of_the_event() {
    let (collector, received) = collector();
    let telemetry = TelemetryOptions {
        log_format: LogFormat::Json,
        otlp_endpoint: Some(format!("http://{collector}/")),
        // Nothing begins a trace here: whatever is sent was decided by the callers.
        trace_ratio: 0.0,
        ..TelemetryOptions::default()
    };
    let options =
        ServerOptions { listen: Some(([127, 0, 0, 1], 0).into()), telemetry, ..ServerOptions::default() };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let telemetry =
        runtime.block_on(async { Telemetry::start(&options.telemetry, "traced").expect("it starts") });
    let server = runtime.block_on(Server::bind(&options, &telemetry)).expect("port 0 is free");
    let address = server.address();
    let mounts = Mounts::new("traced", "0").mount(Arc::new(Traced));
    runtime.spawn(server.run(mounts, std::future::pending()));

    let (delivery, delivery_span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let (origin, origin_span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let by_request = format!("traceparent: 00-{delivery}-{delivery_span}-01\r\n");
    let by_event = format!(
        "{by_request}ce-specversion: 1.0\r\nce-id: event-7\r\nce-source: /s\r\nce-type: t\r\n\
         ce-traceparent: 00-{origin}-{origin_span}-01\r\n"
    );
    let plain = ask(address, &by_request);
    let event = ask(address, &by_event);
    let unsampled = ask(address, "");
    assert!(plain.starts_with(delivery) && !plain.ends_with(delivery_span), "{plain}");
    assert!(event.starts_with(origin) && !event.ends_with(origin_span), "{event}");
    assert!(!unsampled.starts_with(delivery) && !unsampled.starts_with(origin));
    let refused = format!("content-type: application/cloudevents\r\n{by_request}");
    assert!(ask(address, &refused).contains("415"), "it does not reach the function");

    runtime.block_on(async { telemetry.stop() });
    let all: Vec<(String, Vec<u8>)> = received.try_iter().collect();
    let sent = |path: &str| -> Vec<u8> {
        all.iter().filter(|(to, _)| to == path).flat_map(|(_, body)| body.clone()).collect()
    };
    let (traces, metrics) = (sent("/v1/traces"), sent("/v1/metrics"));
    let has = |sent: &[u8], part: &[u8]| sent.windows(part.len()).any(|window| window == part);
    for answer in [&plain, &event] {
        let (trace, span) = answer.split_once(' ').expect("two ids");
        assert!(has(&traces, &bytes(trace)) && has(&traces, &bytes(span)), "{answer}");
    }
    for parent_or_link in [delivery_span, origin_span] {
        assert!(has(&traces, &bytes(parent_or_link)), "{parent_or_link}");
    }
    for text in ["POST /traced", "event-7", "http.response.status_code"] {
        assert!(has(&traces, text.as_bytes()), "{text}");
    }
    let spans = traces.windows(b"POST /traced".len()).filter(|window| window == b"POST /traced").count();
    assert_eq!(spans, 3, "the refused one as well, the unsampled one not");
    assert!(!has(&traces, &bytes(unsampled.split_once(' ').expect("two ids").0)));
    assert!(has(&metrics, b"http.server.request.duration"));
    assert!(has(&metrics, b"traced"), "the service's name");
}
