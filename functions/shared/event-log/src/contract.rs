//! The contract suite: what every adapter of [`EventLog`] must keep.
//!
//! An adapter's tests call each check, or [`all`], with a [`Fixture`] of their own; each check wants a fresh one. A check
//! panics where the contract is broken. No check says how long anything may take.

mod deliveries;
mod log;

use std::future::Future;
use std::time::Duration;

use cloudevents::{AttributesReader, Data, Event, EventBuilder, EventBuilderV10};

use crate::{EventLog, Position, Recorded};

pub use deliveries::{
    delivers_each_event, delivers_from_the_checkpoint, lags_until_taken, later_holds_up_nobody,
    never_is_buried, panics_are_survived, stops_without_losing,
};
pub use log::{
    a_waiting_read_wakes_up, abandoned_appends_harm_nobody, bounds_hold_the_events,
    concurrent_appends_are_all_there, gives_back_what_was_appended, keeps_the_order, reads_from_anywhere,
    reads_in_pieces, reopening_keeps_everything, too_large_is_refused,
};

/// A topic of its own for one check.
pub trait Fixture: Send + Sync {
    /// The adapter.
    type Log: EventLog;

    /// Opens the topic: empty the first time; again, with what it holds, after the log that was opened before was dropped.
    fn open(&self) -> impl Future<Output = Self::Log> + Send;

    /// The most bytes of data that an event may surely have. One of four times as many is surely refused.
    fn max_data_bytes(&self) -> usize;
}

/// Every check, each with a fixture of its own.
pub async fn all<F: Fixture>(fresh: impl Fn() -> F) {
    gives_back_what_was_appended(&fresh()).await;
    keeps_the_order(&fresh()).await;
    reads_from_anywhere(&fresh()).await;
    reads_in_pieces(&fresh()).await;
    a_waiting_read_wakes_up(&fresh()).await;
    bounds_hold_the_events(&fresh()).await;
    too_large_is_refused(&fresh()).await;
    concurrent_appends_are_all_there(&fresh()).await;
    abandoned_appends_harm_nobody(&fresh()).await;
    reopening_keeps_everything(&fresh()).await;
    delivers_each_event(&fresh()).await;
    delivers_from_the_checkpoint(&fresh()).await;
    later_holds_up_nobody(&fresh()).await;
    never_is_buried(&fresh()).await;
    panics_are_survived(&fresh()).await;
    lags_until_taken(&fresh()).await;
    stops_without_losing(&fresh()).await;
}

/// How long a check waits for what must come. Only a broken log lets it wait so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a check waits for what must not come.
const NOT_LONG: Duration = Duration::from_millis(50);
/// As much as a check wants to read at once.
const READ_BYTES: usize = 1024 * 1024;

/// A small event that can be told from others by its id.
fn numbered(number: usize) -> Event {
    EventBuilderV10::new()
        .id(number.to_string())
        .source("/contract")
        .ty("shop.allezon.contract")
        .data("application/json", format!("{{\"number\":{number}}}").into_bytes())
        .build()
        .expect("all that an event needs")
}

fn number_of(event: &Event) -> usize {
    event.id().parse().expect("the id of a numbered event")
}

/// Appends so many numbered events, one after the other.
async fn append_numbered(log: &impl EventLog, count: usize) -> Vec<Position> {
    let mut positions = Vec::new();
    for number in 0..count {
        positions.push(log.append(numbered(number)).await.expect("append"));
    }
    positions
}

/// Reads so many events from there on, and checks that their positions are in order.
async fn read(log: &impl EventLog, from: Position, count: usize) -> Vec<Recorded> {
    let (mut events, mut next) = (Vec::<Recorded>::new(), from);
    while events.len() < count {
        let more = log.read(next, READ_BYTES, PATIENCE).await.expect("read");
        assert!(!more.is_empty(), "only {} of {count} events came", events.len());
        for recorded in more {
            assert!(recorded.position >= next, "{:?} came before {next:?}", recorded.position);
            assert!(recorded.next > recorded.position, "reading on leads back");
            next = recorded.next;
            events.push(recorded);
        }
    }
    assert_eq!(events.len(), count, "more events than were appended");
    events
}

/// Nothing is there, and nothing comes.
async fn assert_nothing(log: &impl EventLog, from: Position) {
    let events = log.read(from, READ_BYTES, NOT_LONG).await.expect("read");
    assert!(events.is_empty(), "unexpected events: {events:?}");
}

/// Equal in all that survives a hop through any log: names and texts of attributes, and the bytes of the data.
fn assert_same(read: &Event, appended: &Event) {
    let texts = |event: &Event| {
        let mut texts: Vec<_> =
            event.iter().map(|(name, value)| (name.to_owned(), value.to_string())).collect();
        texts.sort();
        texts
    };
    assert_eq!(texts(read), texts(appended));
    assert_eq!(bytes(read), bytes(appended));
}

fn bytes(event: &Event) -> Vec<u8> {
    match event.data() {
        None => Vec::new(),
        Some(Data::Binary(bytes)) => bytes.clone(),
        Some(Data::String(text)) => text.clone().into_bytes(),
        Some(Data::Json(value)) => value.to_string().into_bytes(),
    }
}
