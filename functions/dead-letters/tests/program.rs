//! The program on a real Kafka, over HTTP.

#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "../../shared/event-log-kafka/tests/support/broker.rs"]
mod broker;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use broker::{Broker, PATIENCE};

/// Killed at the end, whatever happens.
struct Program {
    address: String,
    child: Child,
}

impl Program {
    fn start(broker: &Broker) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let child = command(broker).args(["--listen", &address]).spawn().unwrap();
        let program = Self { address, child };
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(&program.address).is_err() {
            assert!(Instant::now() < until, "it does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        program
    }

    fn ask(&self, head: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        let request = format!(
            "{head}\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// As KafkaSource posts a dead letter. A broker that has only just started may be slow.
    fn post(&self, id: usize) {
        let head = format!(
            "POST / HTTP/1.1\r\nce-specversion: 1.0\r\nce-id: {id}\r\nce-source: /x\r\nce-type: t\r\n\
             ce-knativeerrordest: http://worker/\r\nce-knativeerrorcode: 400\r\nce-knativeerrordata: bm8gdGFn\r\n\
             content-type: application/json"
        );
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = self.ask(&head, "{}");
            if answer.starts_with("HTTP/1.1 204") {
                return;
            }
            assert!(answer.starts_with("HTTP/1.1 503") && Instant::now() < until, "{answer}");
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(broker: &Broker) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dead-letters"));
    command.env_clear().args(["--kafka-brokers", &broker.address, "--kafka-append-timeout-ms", "10000"]);
    command
}

#[test]
fn letters_are_kept_told_and_sent_back_once() {
    let Some(broker) = broker::own("dead letters on Kafka") else { return };
    broker.run("topics");
    let program = Program::start(&broker);
    (0..3).for_each(|id| program.post(id));
    let list = program.ask("GET /dead_letters HTTP/1.1", "");
    assert!(list.starts_with("HTTP/1.1 200") && list.contains(r#""reason":"no tag""#), "{list}");
    assert!(list.contains(r#""http://worker/":3"#), "{list}");
    let sent = program.ask("POST /replay?limit=2 HTTP/1.1", "");
    assert!(sent.contains(r#""left":1"#) && sent.contains(r#""sent":2"#), "{sent}");

    // How far they went is the group's: another process goes on from there.
    drop(program);
    let done = command(&broker).arg("replay").output().unwrap();
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && told.contains("1 dead letters went back"), "{done:?}");
    let done = command(&broker).arg("replay").output().unwrap();
    assert!(String::from_utf8_lossy(&done.stdout).contains("0 dead letters went back"), "{done:?}");
}
