//! The ticks that Knative's PingSource gives the sealer in a cluster.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::client::{Body, client};
use crate::console::Console;
use crate::parts::SEALER;

/// As the schedule in a cluster.
const TICK: Duration = Duration::from_secs(10);
/// Sealing what lay for long takes its time; a tick meanwhile does nothing.
const PATIENCE: Duration = Duration::from_secs(60);
const TYPE: &str = "dev.knative.sources.ping";

/// Ticks for ever.
pub(crate) async fn tick(sealer: SocketAddr, console: Console) {
    let client = client();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let wrong = match timeout(PATIENCE, client.request(event(sealer))).await {
            Ok(Ok(answer)) if answer.status().is_success() => continue,
            Ok(Ok(answer)) => format!("answered a tick with {}", answer.status()),
            Ok(Err(error)) => format!("has not taken a tick: {error}"),
            Err(_over) => "gives no answer to a tick".to_owned(),
        };
        console.say(SEALER, wrong).await;
    }
}

fn event(sealer: SocketAddr) -> Request<Body> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Request::builder()
        .method(Method::POST)
        .uri(format!("http://{sealer}/"))
        .header("ce-specversion", "1.0")
        .header("ce-type", TYPE)
        .header("ce-source", "/local/ticks")
        .header("ce-id", now.as_millis().to_string())
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from_static(b"{}")).map_err(|never| match never {}).boxed_unsync())
        .expect("all of it is ASCII")
}
