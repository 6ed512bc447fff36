//! Calls: each is a batch of rows, one round trip to each server, and every row's own result counts.

use std::time::{Duration, Instant};

use aerospike::{
    BasePolicy, BatchOperation, BatchPolicy, BatchReadPolicy, BatchWritePolicy, Concurrency, Expiration,
    ReadModeAp, Record, RecordExistsAction, ResultCode,
};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use rand::Rng;
use store::Error;

use crate::calls;
use crate::error::{is_busy, of_call, unavailable};
use crate::store::Shared;

/// The most rows of one request: bounds its buffers. A delivery of tags touches 125 profiles on average.
const MAX_ROWS: usize = 1_000;
/// So many requests of one call are under way at once.
const REQUESTS_AT_ONCE: usize = 4;
/// How often the client itself tries again: on a broken connection, or one that is silent for the socket timeout.
const RETRIES: usize = 2;
const RETRY_AFTER_MS: u32 = 20;
/// How long to wait for a busy record or device, at first; each time twice as long, within the call's time.
const BUSY_FOR: Duration = Duration::from_millis(4);
/// And at most. A device's full write queue of 64 MiB is half empty after as long.
const BUSY_FOR_AT_MOST: Duration = Duration::from_millis(256);

/// What one row came to.
#[derive(Debug)]
pub(crate) enum Answer<'a> {
    /// It was done; what was read is here.
    Done(&'a Record),
    /// There is no such record.
    Missing,
    /// The row's condition does not hold: nothing was done.
    Filtered,
}

impl Shared {
    /// Runs these rows and hands them back, in the same order, each with an answer.
    pub(crate) async fn run(&self, rows: Vec<BatchOperation>) -> Result<Vec<BatchOperation>, Error> {
        if rows.len() <= MAX_ROWS {
            return self.run_some(rows).await;
        }
        let mut rows = rows.into_iter();
        let parts = std::iter::from_fn(|| {
            let part: Vec<_> = rows.by_ref().take(MAX_ROWS).collect();
            (!part.is_empty()).then_some(part)
        });
        let parts: Vec<_> = parts.map(|part| self.run_some(part)).collect();
        let done: Vec<_> = stream::iter(parts).buffered(REQUESTS_AT_ONCE).try_collect().await?;
        Ok(done.into_iter().flatten().collect())
    }

    /// Runs one row.
    pub(crate) async fn run_one(&self, row: BatchOperation) -> Result<BatchOperation, Error> {
        let mut rows = self.run_some(vec![row]).await?;
        rows.pop().ok_or_else(|| unavailable("Aerospike's client lost a row"))
    }

    async fn run_some(&self, mut rows: Vec<BatchOperation>) -> Result<Vec<BatchOperation>, Error> {
        if rows.is_empty() {
            return Ok(rows);
        }
        let deadline = Instant::now() + self.timeout;
        self.call(&mut rows, deadline).await?;
        let mut pause = BUSY_FOR;
        loop {
            let busy: Vec<_> = (0..rows.len()).filter(|&place| is_row_busy(&rows[place])).collect();
            // Two that met here should not meet again.
            let pause_now = pause.mul_f64(rand::rng().random_range(0.5..1.5));
            if busy.is_empty() || Instant::now() + pause_now >= deadline {
                break;
            }
            tokio::time::sleep(pause_now).await;
            pause = BUSY_FOR_AT_MOST.min(pause * 2);
            self.busy.add(busy.len() as u64, &[]);
            let mut again: Vec<_> = busy.iter().map(|&place| rows[place].clone()).collect();
            self.call(&mut again, deadline).await?;
            for (place, row) in busy.into_iter().zip(again) {
                rows[place] = row;
            }
        }
        for row in &rows {
            answer(row)?;
        }
        Ok(rows)
    }

    /// One request. A row's own failure stays on the row.
    async fn call(&self, rows: &mut [BatchOperation], deadline: Instant) -> Result<(), Error> {
        let left = deadline.saturating_duration_since(Instant::now()).as_millis();
        let policy = BatchPolicy {
            base_policy: self.base_policy(u32::try_from(left).unwrap_or(u32::MAX).max(1)),
            concurrency: Concurrency::Parallel,
            ..BatchPolicy::default()
        };
        match calls::batch(&self.client, &policy, rows).await {
            // What failed for a server stands on the rows that were its.
            Err(_) if rows.iter().all(has_outcome) => Ok(()),
            result => result.map_err(of_call),
        }
    }

    /// Retries are right for writes, too: every one of them is idempotent and commutes with the others, or carries a
    /// condition that holds only once, so it does not matter whether one in doubt had happened.
    pub(crate) fn base_policy(&self, total_timeout: u32) -> BasePolicy {
        BasePolicy {
            total_timeout,
            socket_timeout: self.socket_timeout_ms,
            max_retries: RETRIES,
            sleep_between_retries: RETRY_AFTER_MS,
            sleep_multiplier: 2.0,
            // While partitions are on their way, the newest of all copies.
            read_mode_ap: ReadModeAp::All,
            ..BasePolicy::default()
        }
    }
}

/// How a row is read.
pub(crate) fn reading() -> BatchReadPolicy {
    BatchReadPolicy::default()
}

/// How a row is written: into the record as it is, or into a new one.
pub(crate) fn writing() -> BatchWritePolicy {
    BatchWritePolicy { expiration: Expiration::NamespaceDefault, ..BatchWritePolicy::default() }
}

/// How a row is written into a record that is there.
pub(crate) fn updating() -> BatchWritePolicy {
    BatchWritePolicy { record_exists_action: RecordExistsAction::UpdateOnly, ..writing() }
}

/// What a row came to.
pub(crate) fn answer(row: &BatchOperation) -> Result<Answer<'_>, Error> {
    match (row.result_code(), row.record()) {
        (Some(ResultCode::Ok), Some(record)) => Ok(Answer::Done(record)),
        (Some(ResultCode::KeyNotFoundError), _) => Ok(Answer::Missing),
        (Some(ResultCode::FilteredOut), _) => Ok(Answer::Filtered),
        _ => Err(row.error().cloned().map_or_else(|| unavailable("Aerospike left a row out"), of_call)),
    }
}

/// The record of a row; `None` where there is none.
pub(crate) fn record(row: &BatchOperation) -> Result<Option<&Record>, Error> {
    match answer(row)? {
        Answer::Done(record) => Ok(Some(record)),
        Answer::Missing | Answer::Filtered => Ok(None),
    }
}

fn has_outcome(row: &BatchOperation) -> bool {
    row.record().is_some() || row.error().is_some()
}

fn is_row_busy(row: &BatchOperation) -> bool {
    row.result_code().is_some_and(is_busy)
}
