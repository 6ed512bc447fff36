//! The program: from a topic of Kafka to a function.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use deliverer::{HttpSink, SinkOptions};
use event_log_kafka::{Kafka, KafkaOptions, KafkaTopic, OpenError, Source};
use runtime::{Mounts, ServerOptions};
use tokio::sync::watch;
use tokio::time::sleep;

/// The pause before the group is joined again, after the brokers have refused us.
const REJOIN_PAUSE: Duration = Duration::from_secs(5);

/// Delivers the events of a topic to a function over HTTP, as KafkaSource does in a cluster.
#[derive(Debug, Parser)]
#[command(name = "deliverer", version, max_term_width = 110)]
struct Options {
    /// Topic to read
    #[arg(long, env = "TOPIC", default_value = "user-tags")]
    topic: String,
    /// Consumer group, which remembers how far it has read; by our custom the name of the function
    #[arg(long, env = "GROUP")]
    group: String,
    /// The sink.
    #[command(flatten)]
    sink: SinkOptions,
    /// The log.
    #[command(flatten)]
    kafka: KafkaOptions,
    /// The server, for health and metrics.
    #[command(flatten)]
    server: ServerOptions,
}

fn main() -> ExitCode {
    let options = Options::parse();
    runtime::run("deliverer", &options.server, set_up(&options))
}

async fn set_up(options: &Options) -> anyhow::Result<(Mounts, impl Future<Output = anyhow::Result<()>>)> {
    let kafka = Kafka::patient(&options.kafka)?;
    let open = || kafka.topic(&options.sink.dead_letters);
    let dead_letters = runtime::patiently(open, OpenError::is_temporary).await?;
    kafka.topic(&options.topic).await?;
    let sink = Arc::new(HttpSink::new(&options.sink, dead_letters)?);
    let source = Source { topic: options.topic.clone(), group: options.group.clone() };
    let limits = options.sink.limits();
    let (stop, stopped) = watch::channel(false);
    let consuming = tokio::spawn(consume(kafka, source, sink, limits, stopped));
    let close = async move {
        stop.send_replace(true);
        consuming.await.context("the consumer has panicked")
    };
    Ok((Mounts::new("deliverer", env!("CARGO_PKG_VERSION")), close))
}

/// Until it is stopped: a member that was refused joins again.
async fn consume(
    kafka: Kafka,
    source: Source,
    sink: Arc<HttpSink<KafkaTopic>>,
    limits: event_log::delivery::Limits,
    stopped: watch::Receiver<bool>,
) {
    let stop = || {
        let mut stopped = stopped.clone();
        async move { drop(stopped.wait_for(|stop| *stop).await) }
    };
    while !*stopped.borrow() {
        let consumed = kafka.consume(source.clone(), Arc::clone(&sink), limits.clone(), stop()).await;
        if let Err(error) = consumed {
            tracing::error!(error = %format!("{:#}", anyhow::Error::from(error)), "cannot consume, joining again");
            tokio::select! {
                () = stop() => {}
                () = sleep(REJOIN_PAUSE) => {}
            }
        }
    }
}
