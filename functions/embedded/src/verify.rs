//! `allezon verify`: the store of a data directory against its log. No rule lives here: see [`replay::verify`].

use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use event_log::EventLog;
use replay::verify::{Patience, Report, verify};

use crate::data_dir::DataDir;
use crate::logs;
use crate::options::{LogKind, Options, Verify};
use crate::shop::Back;

/// Applies what the log still holds for the store, as a start does, then compares, and tells a person.
pub(crate) async fn run(data: &DataDir, options: &Options, how: &Verify) -> anyhow::Result<()> {
    let report = match options.log {
        LogKind::Embedded => {
            let back = Back::start(logs::embedded(data, options)?.keeping_all(), data, options).await?;
            // Nobody else has this log: nothing comes any more.
            compare(back, how, Patience::NONE).await?
        }
        #[cfg(feature = "kafka")]
        LogKind::Kafka => {
            let opened = logs::kafka(&options.topics).await?;
            compare(Back::start(opened, data, options).await?, how, Patience::default()).await?
        }
    };
    println!("{}", report.told());
    if !report.is_whole && options.log == LogKind::Embedded {
        println!("--log-retention-hours says for how long the log is kept");
    }
    if !report.agrees() {
        bail!("the store is not what the log says");
    }
    Ok(())
}

async fn compare<L: EventLog>(back: Back<L>, how: &Verify, patience: Patience) -> anyhow::Result<Report> {
    let stop = runtime::stop_signal()?;
    let verified = async {
        back.workers.catch_up(&back.parts).await.context("cannot read the log")?;
        let stores = (back.store.clone(), Arc::clone(&back.names));
        Ok(verify(back.parts.clone(), stores, how.sampling(), patience).await?)
    };
    let report = tokio::select! {
        report = verified => report,
        () = stop => Err(anyhow!("stopped before the end: nothing is known")),
    };
    back.close().await.context("the data could not be closed in order; the next start will repair it")?;
    report
}
