//! Looks at a target before a run: is it there, and is it empty where the stream begins?

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use tokio::net::TcpStream;

use crate::calendar::{self, Precision};
use crate::connection::{Answer, Connection, Exception, Question};
use crate::questions::aggregates::{MAX_MINUTES, minute_ms};
use crate::questions::uri;
use crate::stream::{Action, Stream};
use crate::target::{Endpoint, Target};

/// How long to wait before a target that is still starting is tried again.
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Deserialize)]
struct Rows {
    rows: Vec<Vec<String>>,
}

/// Refuses a target that already counts something in the stream's first minutes, and one that is not there.
pub async fn refuse_used(target: &Target, stream: &Stream, wait: Duration) -> anyhow::Result<()> {
    let endpoint = &target.aggregates[0];
    let give_up = Instant::now() + wait;
    for action in [Action::View, Action::Buy] {
        let [from, to] =
            [0, MAX_MINUTES].map(|minute| calendar::instant(minute_ms(stream, minute), Precision::Seconds));
        let action = action.as_str();
        let path = format!("{}?time_range={from}_{to}&action={action}&aggregates=COUNT", endpoint.path);
        let answer = ask_patiently(endpoint, &path, give_up).await?;
        let counted = count(&answer)
            .with_context(|| format!("{} does not answer as an Allezon does", endpoint.url()))?;
        ensure!(
            counted == 0,
            "the target already holds {counted} {action} tags from {from} to {to}, where the stream begins, so no \
             answer could be right. Empty it (`allezon --reset`), start it with another data directory (`--data`), or \
             begin elsewhere with other shoppers (`--start`, `--seed`)."
        );
    }
    Ok(())
}

/// Waits until something listens there.
pub async fn reach(endpoint: &Endpoint, wait: Duration) -> anyhow::Result<()> {
    let give_up = Instant::now() + wait;
    while let Err(error) = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await {
        if Instant::now() >= give_up {
            return Err(anyhow::Error::from(error).context(unreachable(endpoint)));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn ask_patiently(endpoint: &Endpoint, path: &str, give_up: Instant) -> anyhow::Result<Answer> {
    let mut connection = Connection::new(endpoint.clone());
    loop {
        let question = Question { uri: uri(path.to_owned()), body: Bytes::new(), key: None };
        let result = connection.ask(question).await;
        let is_starting = match &result {
            Ok(answer) => answer.status == StatusCode::SERVICE_UNAVAILABLE,
            Err(exception) => *exception == Exception::Connect,
        };
        if is_starting && Instant::now() < give_up {
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        return match result {
            Ok(answer) => Ok(answer),
            Err(Exception::Connect) => bail!(unreachable(endpoint)),
            Err(Exception::ReadTimeout) => {
                bail!("{} does not answer in {:?}", endpoint.url(), endpoint.timeout)
            }
            Err(Exception::Other) => {
                bail!("{} closes the connection, or does not speak HTTP", endpoint.url())
            }
        };
    }
}

fn unreachable(endpoint: &Endpoint) -> String {
    format!("nothing listens at {}: start the target, or name it with --target", endpoint.url())
}

fn count(answer: &Answer) -> anyhow::Result<u64> {
    ensure!(
        answer.status == StatusCode::OK,
        "status {}: {}",
        answer.status,
        String::from_utf8_lossy(&answer.body[..answer.body.len().min(500)])
    );
    let Rows { rows } = serde_json::from_slice(&answer.body)?;
    let counts = rows
        .iter()
        .map(|row| row.last().context("a row is empty")?.parse::<u64>().context("a count is no number"));
    counts.sum()
}
