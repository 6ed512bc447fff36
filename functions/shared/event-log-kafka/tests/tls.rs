//! TLS with certificates from files, which are replaced while the program runs.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use event_log::{Append, EventLog, Position};
use event_log_kafka::{Kafka, KafkaOptions, OpenError};
use support::{PATIENCE, number_of, numbered};

/// An authority, and who it vouches for, by the `openssl` of the machine.
struct Authority(PathBuf);

impl Authority {
    fn new(directory: &Path) -> Self {
        let authority = Self(directory.to_owned());
        authority
            .openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem");
        authority
    }

    fn openssl(&self, arguments: &str) {
        let ended = Command::new("openssl").args(arguments.split(' ')).current_dir(&self.0).output().unwrap();
        assert!(ended.status.success(), "{arguments}: {}", String::from_utf8_lossy(&ended.stderr));
    }

    /// NAME.pem and NAME.key.
    fn vouch(&self, name: &str) {
        fs::write(self.0.join("san"), "subjectAltName=IP:127.0.0.1").unwrap();
        self.openssl(&format!(
            "req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"
        ));
        let sign = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san";
        self.openssl(&format!("x509 -req -in {name}.csr {sign} -out {name}.pem"));
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }
}

fn options(address: &str, directory: &Path) -> KafkaOptions {
    KafkaOptions {
        kafka_brokers: address.to_owned(),
        kafka_tls_ca: Some(directory.join("ca.pem")),
        kafka_tls_cert: Some(directory.join("client.pem")),
        kafka_tls_key: Some(directory.join("client.key")),
        kafka_append_timeout_ms: Some(support::APPEND_TIMEOUT_MS),
        ..KafkaOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_know_each_other() {
    const SUITE: &str = "TLS to Kafka";
    if Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_err() {
        assert!(std::env::var_os("CI").is_none(), "{SUITE} must run: openssl is not installed");
        return eprintln!("skipped: {SUITE}: openssl is not installed");
    }
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(directory.path());
    authority.vouch("broker");
    authority.vouch("client");
    fs::write(
        directory.path().join("broker-all.pem"),
        authority.read("broker.key") + &authority.read("broker.pem"),
    )
    .unwrap();
    let Some(broker) = support::with_tls(SUITE, directory.path()) else { return };
    let topic = broker.topic(1, &[]).await;
    let tls = broker.tls.as_deref().unwrap();
    let kafka = Kafka::new(&options(tls, directory.path())).unwrap();
    let log = kafka.log(&topic).await.unwrap();
    log.append(numbered(7)).await.unwrap();
    let read = log.read(Position(0), 1 << 20, PATIENCE).await.unwrap();
    assert_eq!(number_of(&read[0].event), 7);

    // Whom the broker does not know, and who does not know the broker, get nowhere.
    let stranger =
        KafkaOptions { kafka_tls_cert: None, kafka_tls_key: None, ..options(tls, directory.path()) };
    let refused = Kafka::new(&stranger).unwrap().log(&topic).await;
    assert!(matches!(refused, Err(OpenError::Unreachable { .. })), "{refused:?}");
    let elsewhere = tempfile::tempdir().unwrap();
    Authority::new(elsewhere.path());
    let wary = KafkaOptions {
        kafka_tls_ca: Some(elsewhere.path().join("ca.pem")),
        ..options(tls, directory.path())
    };
    let text = Kafka::new(&wary).unwrap().log(&topic).await.unwrap_err().to_string();
    assert!(text.starts_with("cannot reach Kafka at 127.0.0.1:"), "{text}");
    assert!(text.contains("certificate verify failed"), "{text}");
}
