//! `id-service backup` and `restore`, as a person runs them, on a real Kafka.

#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "../../shared/event-log-kafka/tests/support/broker.rs"]
mod broker;

use std::path::Path;
use std::process::{Command, Output};

use broker::Broker;
use event_log_kafka::{Kafka, KafkaOptions};
use id_service::NameLog;
use model::Collection;
use store::Names;

const NAMES: usize = 3_000;

fn id_service(broker: &Broker, topic: &str, command: &str, file: &Path) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_id-service"));
    program.env_clear().args(["--kafka-brokers", &broker.address, "--topic", topic, command]).arg(file);
    program.output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_survive_the_loss_of_their_topic() {
    let Some(broker) = broker::own("backup and restore of names") else { return };
    broker.run("topics");
    let options = KafkaOptions {
        kafka_brokers: broker.address.clone(),
        kafka_append_timeout_ms: Some(10_000),
        ..KafkaOptions::default()
    };
    let kafka = Kafka::new(&options).unwrap();
    let names: Vec<String> = (0..NAMES).map(|number| format!("name {number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let brands = Collection::BRAND;
    let numbers = NameLog::open(kafka.log("names").await.unwrap()).await.unwrap();
    let before = numbers.number(&brands, &names).await.unwrap();
    drop(numbers);

    let directory = tempfile::tempdir().unwrap();
    let (file, again) = (directory.path().join("backup"), directory.path().join("again"));
    let done = id_service(&broker, "names", "backup", &file);
    assert!(done.status.success(), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stdout).contains(&format!("{NAMES} names")), "{done:?}");

    // A file that was cut is refused in one line. Any topic of one partition will do for the rest.
    let cut = directory.path().join("cut");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let refused = id_service(&broker, "checkpoints", "restore", &cut);
    assert!(!refused.status.success(), "{refused:?}");
    let told = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(told.lines().filter(|line| line.starts_with("Error: ")).count(), 1, "{told}");

    for _ in 0..2 {
        let done = id_service(&broker, "checkpoints", "restore", &file);
        assert!(done.status.success(), "again is no harm: {done:?}");
    }
    let done = id_service(&broker, "checkpoints", "backup", &again);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(std::fs::read(&again).unwrap(), whole);
    let numbers = NameLog::open(kafka.log("checkpoints").await.unwrap()).await.unwrap();
    assert_eq!(numbers.find(&brands, &names).await.unwrap(), before);
}
