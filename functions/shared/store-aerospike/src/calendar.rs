//! Which minutes hold data: a record for each day that lists its minutes, and one that lists the days.
//!
//! A minute is entered before its head is written, so no head is missing here. It may be entered without a head.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aerospike::operations::maps::{put_items, remove_by_key_list, size};
use aerospike::operations::{MapReturnType, get_bin};
use aerospike::{BatchOperation, Key, Value};
use model::BucketStart;
use store::Error;

use crate::heads::{BLOCKS, CHUNKS};
use crate::keys::Set;
use crate::profiles::SORTED;
use crate::rows::{reading, record, updating, writing};
use crate::store::Shared;
use crate::values;

const DAYS_KEY: &[u8] = b"days";
const DAYS: &str = "days";
const MINUTES: &str = "minutes";
const MINUTES_A_DAY: i64 = 1_440;
/// A store that forgot gets the minute again this soon.
const REMEMBERED: Duration = Duration::from_secs(10);
/// A worker that catches up touches many minutes; more than are kept are not worth remembering.
const MAX_REMEMBERED: usize = 4_096;

/// The minutes that this process entered a short time ago.
#[derive(Debug, Default)]
pub(crate) struct Entered(Mutex<HashMap<BucketStart, Instant>>);

impl Entered {
    fn lock(&self) -> MutexGuard<'_, HashMap<BucketStart, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn missing(&self, buckets: &[BucketStart]) -> Vec<BucketStart> {
        let entered = self.lock();
        let is_new = |since: &Instant| since.elapsed() < REMEMBERED;
        buckets.iter().filter(|&bucket| !entered.get(bucket).is_some_and(is_new)).copied().collect()
    }

    fn add(&self, buckets: &[BucketStart], since: Instant) {
        let mut entered = self.lock();
        if entered.len() + buckets.len() > MAX_REMEMBERED {
            entered.clear();
        }
        entered.extend(buckets.iter().map(|&bucket| (bucket, since)));
    }
}

impl Shared {
    /// Enters these minutes, unless this process just did.
    pub(crate) async fn enter(&self, buckets: &[BucketStart]) -> Result<(), Error> {
        let missing = self.entered.missing(buckets);
        if missing.is_empty() {
            return Ok(());
        }
        let since = Instant::now();
        let days = by_day(&missing);
        let mut rows: Vec<_> = days
            .iter()
            .map(|(&day, minutes)| {
                let add = put_items(&SORTED, MINUTES, listed(minutes));
                BatchOperation::write(&writing(), self.day_key(day), vec![add])
            })
            .collect();
        let days: Vec<_> = days.into_keys().collect();
        rows.push(BatchOperation::write(
            &writing(),
            self.days_key(),
            vec![put_items(&SORTED, DAYS, listed(&days))],
        ));
        self.run(rows).await?;
        self.entered.add(&missing, since);
        Ok(())
    }

    /// The minutes that hold data at or above the floor, ascending, each with how many blocks it has.
    pub(crate) async fn calendar(&self) -> Result<Vec<(BucketStart, usize)>, Error> {
        let floor = self.floor().await?;
        let mut listed = self.listed().await?;
        listed.retain(|bucket| floor.is_none_or(|floor| *bucket >= floor));
        let count = |&bucket: &BucketStart| {
            BatchOperation::read_ops(&reading(), self.keys.head(bucket), vec![size(BLOCKS), size(CHUNKS)])
        };
        let rows = self.run(listed.iter().map(count).collect()).await?;
        let mut minutes = Vec::with_capacity(listed.len());
        for (bucket, row) in listed.into_iter().zip(&rows) {
            let Some(record) = record(row)? else { continue };
            let (blocks, chunks) = (values::number(record, BLOCKS)?, values::number(record, CHUNKS)?);
            if blocks > 0 || chunks > 0 {
                minutes.push((bucket, usize::try_from(blocks).unwrap_or(0)));
            }
        }
        Ok(minutes)
    }

    /// Every minute that was entered, ascending, also below the floor.
    pub(crate) async fn listed(&self) -> Result<Vec<BucketStart>, Error> {
        let days = BatchOperation::read_ops(&reading(), self.days_key(), vec![get_bin(DAYS)]);
        let days = self.run_one(days).await?;
        let Some(days) = record(&days)? else { return Ok(Vec::new()) };
        let days = numbers(values::pairs(days, DAYS)?)?;
        let day =
            |&day: &i64| BatchOperation::read_ops(&reading(), self.day_key(day), vec![get_bin(MINUTES)]);
        let rows = self.run(days.iter().map(day).collect()).await?;
        let mut minutes = Vec::new();
        for row in &rows {
            let Some(record) = record(row)? else { continue };
            minutes.extend(numbers(values::pairs(record, MINUTES)?)?);
        }
        minutes.sort_unstable();
        Ok(minutes.into_iter().map(BucketStart::from_minutes).collect())
    }

    /// Strikes these minutes out, all below the floor; a day that is below as a whole goes too.
    pub(crate) async fn strike(&self, buckets: &[BucketStart], floor: BucketStart) -> Result<(), Error> {
        let days = by_day(buckets);
        let strike = |(&day, minutes): (&i64, &Vec<i64>)| {
            let strike = remove_by_key_list(MINUTES, ints(minutes), MapReturnType::NONE);
            BatchOperation::write(&updating(), self.day_key(day), vec![strike])
        };
        self.run(days.iter().map(strike).collect()).await?;
        // Into a day that still reaches above the floor somebody may enter a minute right now.
        let past: Vec<_> = days.into_keys().filter(|&day| day < day_of(floor)).collect();
        if past.is_empty() {
            return Ok(());
        }
        let strike = remove_by_key_list(DAYS, ints(&past), MapReturnType::NONE);
        self.run_one(BatchOperation::write(&updating(), self.days_key(), vec![strike])).await.map(drop)
    }

    fn days_key(&self) -> Key {
        self.keys.key(Set::Calendar, DAYS_KEY)
    }

    fn day_key(&self, day: i64) -> Key {
        self.keys.key(Set::Calendar, day.to_be_bytes())
    }
}

fn day_of(bucket: BucketStart) -> i64 {
    bucket.minutes().div_euclid(MINUTES_A_DAY)
}

fn by_day(buckets: &[BucketStart]) -> BTreeMap<i64, Vec<i64>> {
    let mut days: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for bucket in buckets {
        days.entry(day_of(*bucket)).or_default().push(bucket.minutes());
    }
    days
}

fn listed(numbers: &[i64]) -> HashMap<Value, Value> {
    values::set_of(numbers.iter().map(|&number| Value::Int(number)))
}

fn ints(numbers: &[i64]) -> Vec<Value> {
    numbers.iter().map(|&number| Value::Int(number)).collect()
}

fn numbers(pairs: Vec<(&Value, &Value)>) -> Result<Vec<i64>, Error> {
    pairs.into_iter().map(|(number, _)| values::int(number, "the calendar")).collect()
}
