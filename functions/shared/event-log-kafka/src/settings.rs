//! What each kind of client is told, and why.

use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::{Compression, KafkaOptions};

/// The largest record that is sent. Brokers and topics set limits of their own below it; who reads can hold as much.
pub const MAX_RECORD_BYTES: usize = 8 * 1024 * 1024;
/// The most that several records in one batch hold together: a broker refuses a batch, not a record. Topics must take it.
pub(crate) const MAX_BATCH_BYTES: usize = 512 * 1024;
/// How long a question to the cluster may take: where a topic is, where a log ends, what a group has committed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// Appends that wait for their acknowledgement, and their bytes: a few times what arrives in 150 ms at 25,000 tags/s.
const MAX_WAITING: u32 = 4096;
const MAX_WAITING_KB: u32 = 32 * 1024;
/// A broker answers the requests of a connection one after the other: more only hide the time on the network.
const MAX_IN_FLIGHT: u32 = 5;
/// What a reader holds beyond what it was asked for: a few fetches.
const READ_AHEAD_KB: u32 = 2 * 1024;
/// What one fetch brings.
const FETCH_BYTES: u32 = 1024 * 1024;
/// A look at one event need not bring its neighbours.
const LOOK_BYTES: u32 = 64 * 1024;

/// A request that has no answer by then is sent again, while there is time for the append.
const MAX_REQUEST_MS: u32 = 5_000;

/// What all clients of one process have in common.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) brokers: String,
    pub(crate) tls: Option<Tls>,
    compression: Compression,
    append_timeout_ms: u32,
}

/// PEM files.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    pub(crate) ca: PathBuf,
    /// A certificate and its key.
    pub(crate) own: Option<(PathBuf, PathBuf)>,
}

impl Tls {
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let own = self.own.iter().flat_map(|(certificate, key)| [certificate, key]);
        std::iter::once(&self.ca).chain(own)
    }
}

impl Settings {
    pub(crate) fn new(options: &KafkaOptions, append_timeout_ms: u32) -> Self {
        let own = options.kafka_tls_cert.clone().zip(options.kafka_tls_key.clone());
        Self {
            brokers: options.kafka_brokers.clone(),
            tls: options.kafka_tls_ca.clone().map(|ca| Tls { ca, own }),
            compression: options.kafka_compression,
            append_timeout_ms: options.kafka_append_timeout_ms.unwrap_or(append_timeout_ms),
        }
    }

    pub(crate) fn append_timeout(&self) -> Duration {
        Duration::from_millis(self.append_timeout_ms.into())
    }

    /// What every client is told.
    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "allezon")
            // A connection that was cut without a word is noticed, and replaced within seconds after the repair.
            .set("socket.timeout.ms", "6000")
            .set("socket.connection.setup.timeout.ms", "3000")
            .set("socket.keepalive.enable", "true")
            .set("socket.nagle.disable", "true")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            // A new leader is found while an append waits.
            .set("retry.backoff.ms", "20")
            .set("retry.backoff.max.ms", "200")
            // A topic that came by itself would have the broker's settings, not ours.
            .set("allow.auto.create.topics", "false")
            // Nothing is reported to anybody but our own telemetry.
            .set("enable.metrics.push", "false")
            .set("statistics.interval.ms", "0")
            .set("log.connection.close", "false")
            .set_log_level(RDKafkaLogLevel::Warning);
        if let Some(tls) = &self.tls {
            config.set("security.protocol", "ssl").set("ssl.ca.location", tls.ca.to_string_lossy());
            if let Some((certificate, key)) = &tls.own {
                config.set("ssl.certificate.location", certificate.to_string_lossy());
                config.set("ssl.key.location", key.to_string_lossy());
            }
        }
        config
    }

    /// Asks about topics, groups and offsets, and holds no data.
    pub(crate) fn inspector(&self) -> ClientConfig {
        self.client()
    }

    /// Asks on behalf of a group without joining it.
    pub(crate) fn group_inspector(&self, group: &str) -> ClientConfig {
        let mut config = self.client();
        config.set("group.id", group).set("enable.auto.commit", "false");
        config
    }

    pub(crate) fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("acks", "all")
            // Our identities make repeats harmless, and it took 3.4 ms of processor time for a MB in place of 1.9 ms.
            .set("enable.idempotence", "false")
            .set("max.in.flight.requests.per.connection", MAX_IN_FLIGHT.to_string())
            .set("message.timeout.ms", self.append_timeout_ms.to_string())
            .set("request.timeout.ms", self.append_timeout_ms.min(MAX_REQUEST_MS).to_string())
            // Events are batches already. What gathers while requests are under way goes together all the same.
            .set("linger.ms", "0")
            .set("compression.type", self.compression.codec())
            .set("message.max.bytes", MAX_RECORD_BYTES.to_string())
            .set("batch.size", MAX_BATCH_BYTES.to_string())
            .set("queue.buffering.max.messages", MAX_WAITING.to_string())
            .set("queue.buffering.max.kbytes", MAX_WAITING_KB.to_string());
        config
    }

    /// Reads on and on.
    pub(crate) fn reader(&self) -> ClientConfig {
        let mut config = self.consumer();
        config.set("fetch.message.max.bytes", FETCH_BYTES.to_string());
        config
    }

    /// Looks at one event here and one there.
    pub(crate) fn looker(&self) -> ClientConfig {
        let mut config = self.consumer();
        // At the log's end the next look waits behind the fetch of the last one.
        config.set("fetch.message.max.bytes", LOOK_BYTES.to_string()).set("fetch.wait.max.ms", "10");
        config
    }

    fn consumer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            // librdkafka assigns no partition without a group. Nothing is ever committed or joined under this name.
            .set("group.id", "allezon-readers")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // Where a log begins and ends is for us to find out.
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .set("check.crcs", "true")
            .set("queued.min.messages", "1000")
            .set("queued.max.messages.kbytes", READ_AHEAD_KB.to_string())
            // The default lets a reader that has caught up with what was read ahead wait for a second.
            .set("fetch.queue.backoff.ms", "5");
        config
    }

    /// A member of a group, which is told its partitions and commits. Others read them.
    pub(crate) fn member(&self, group: &str) -> ClientConfig {
        let mut config = self.group_inspector(group);
        config
            .set("enable.auto.offset.store", "false")
            // Who stays keeps what it has while others come and go.
            .set("partition.assignment.strategy", "cooperative-sticky")
            // As KafkaSource: so long nobody works on the partitions of a member that was killed.
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", "3000")
            .set("queued.max.messages.kbytes", "64");
        config
    }
}
