//! `dead-letters`: keeps the events that no function can take, tells about them, and sends them back.
//!
//! An event that is posted here is appended unchanged, with all that its source noted on it: who refused it and why. It is
//! answered only when it is durable, since a source whose dead letter is refused drops the event. Letters go back to the
//! topic that they came from, under their own identity and without the notes; how far they went is remembered by a
//! [`Bookmark`]. Two that send back at once do no harm: what comes twice counts once.

pub mod letter;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use cloudevents::AttributesReader;
use event_log::{Append, Error, EventLog, Position, Recorded, Span};
use function::{Access, Call, Description, Failure, Function, Query, Refused, Reply, Request, Route};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use opentelemetry::metrics::Counter;
use serde_json::{Value, json};

use letter::{refused_by, told, without_notes};

/// Where letters are told about.
const LIST: Route = Route::staff("GET", "/dead_letters");
/// Where they are sent back.
const REPLAY: Route = Route::audited("POST", "/replay");
/// An event of the largest size that is taken, and what was noted on it.
const MAX_BODY_BYTES: usize = 2 << 20;
/// How many letters of a partition are looked at for the list, the newest.
const LOOKED_AT: u64 = 10_000;
/// How many are told one by one.
const LISTED: usize = 100;
const MAX_LISTED: usize = 1_000;
/// How many go back in one call: some seconds.
const MAX_SENT: usize = 10_000;
/// Appends under way at once.
const APPENDS_AT_ONCE: usize = 16;

/// Remembers how far letters went back.
pub trait Bookmark: Send + Sync + 'static {
    /// For each partition in its order, the position before which all went back; none where nothing ever did.
    fn positions(&self) -> impl Future<Output = Result<Vec<Option<Position>>, Error>> + Send;

    /// Everything of this partition before that position went back.
    fn set(&self, partition: usize, to: Position) -> impl Future<Output = Result<(), Error>> + Send;
}

/// The logs that letters come from and go to.
#[derive(Debug)]
pub struct Logs<L, A> {
    /// The partitions of the letters' topic, by their numbers.
    pub letters: Vec<L>,
    /// That topic, to append to.
    pub shelf: A,
    /// The topic that the events came from.
    pub topic: A,
}

/// The function.
#[derive(Debug)]
pub struct DeadLetters<L, A, B> {
    logs: Logs<L, A>,
    bookmark: B,
    kept: Counter<u64>,
    returned: Counter<u64>,
}

/// What came of sending back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Returned {
    /// Letters that went back.
    pub sent: usize,
    /// Letters that the topic does not take, too large for it. They stay where they are, and are passed over.
    pub passed_over: usize,
    /// Letters that are still to be sent back.
    pub left: usize,
}

impl<L: EventLog, A: Append, B: Bookmark> DeadLetters<L, A, B> {
    /// Over these logs.
    pub fn new(logs: Logs<L, A>, bookmark: B) -> Self {
        let meter = opentelemetry::global::meter("dead-letters");
        let counter =
            |name, help| meter.u64_counter(name).with_description(help).with_unit("{event}").build();
        Self {
            logs,
            bookmark,
            kept: counter("allezon.dead_letters.kept", "Events that no function could take. Alert."),
            returned: counter("allezon.dead_letters.returned", "Dead letters that went back to their topic."),
        }
    }

    async fn keep(&self, letter: cloudevents::Event) -> Result<Reply, Failure> {
        let (id, source, refused_by) = (letter.id().to_owned(), letter.source().clone(), refused_by(&letter));
        match self.logs.shelf.append(letter).await {
            Ok(_) => {
                tracing::warn!(id, source, refused_by, "a dead letter");
                self.kept.add(1, &[]);
                Ok(Reply::Done)
            }
            Err(Error::TooLarge { bytes }) => {
                tracing::error!(id, source, refused_by, bytes, "a dead letter is too large to be kept");
                Err(Failure::refused(Refused::TooLarge, None, "too large for the topic of dead letters"))
            }
            Err(cause) => Err(Failure::not_now(&cause)),
        }
    }

    /// Counts, and the newest letters.
    async fn list(&self, limit: usize) -> Result<Value, Error> {
        let bookmarks = self.bookmark.positions().await?;
        let (mut counts, mut waiting, mut newest) = (BTreeMap::<String, u64>::new(), 0_u64, Vec::new());
        let mut older = false;
        for (partition, log) in self.logs.letters.iter().enumerate() {
            let bounds = log.bounds().await?;
            let from = bounds.oldest.max(Position(bounds.end.0.saturating_sub(LOOKED_AT)));
            older |= from > bounds.oldest;
            let sent = bookmark(&bookmarks, partition);
            let mut span = Span::within(log, from, bounds);
            while let Some(letters) = span.next().await? {
                for letter in letters {
                    *counts.entry(refused_by(&letter.event)).or_default() += 1;
                    waiting += u64::from(letter.position >= sent);
                    newest.push((letter.appended_ms, told(partition, &letter)));
                }
                newest.sort_by_key(|(put_aside_ms, _)| Reverse(*put_aside_ms));
                newest.truncate(limit);
            }
        }
        Ok(json!({
            "letters": counts.values().sum::<u64>(),
            "older_not_counted": older,
            "not_sent_back": waiting,
            "refused_by": counts,
            "newest": newest.into_iter().map(|(_, told)| told).collect::<Vec<_>>(),
        }))
    }

    /// Sends letters back, those behind the bookmark, the oldest of each partition first, and moves the bookmark. So many at
    /// most; a dry run only counts. After an error some of them are back, and are sent once more the next time.
    pub async fn send_back(&self, limit: usize, dry_run: bool) -> Result<Returned, Error> {
        let bookmarks = self.bookmark.positions().await?;
        let mut returned = Returned::default();
        for (partition, log) in self.logs.letters.iter().enumerate() {
            let mut span = Span::to_now(log, bookmark(&bookmarks, partition)).await?;
            while let Some(mut letters) = span.next().await? {
                let beyond = limit.saturating_sub(returned.sent + returned.passed_over).min(letters.len());
                returned.left += letters.split_off(beyond).len();
                let Some(last) = letters.last().map(|last| last.next) else { continue };
                if dry_run {
                    returned.sent += letters.len();
                    continue;
                }
                let sent = self.append_again(letters).await?;
                returned.sent += sent.0;
                returned.passed_over += sent.1;
                self.bookmark.set(partition, last).await?;
            }
        }
        Ok(returned)
    }

    /// Sends this one letter back, and moves no bookmark; false where the topic does not take it.
    async fn send_one_back(&self, partition: usize, position: Position) -> Result<bool, Failure> {
        let unknown = || Failure::refused(Refused::Unknown, None, "there is no such letter");
        let log = self.logs.letters.get(partition).ok_or_else(unknown)?;
        let unavailable = |cause: Error| Failure::not_now(&cause);
        let bounds = log.bounds().await.map_err(unavailable)?;
        if !(bounds.oldest..bounds.end).contains(&position) {
            return Err(unknown());
        }
        let found = log.read(position, 1, Duration::ZERO).await.map_err(unavailable)?.into_iter().next();
        let letter = found.filter(|letter| letter.position == position).ok_or_else(unknown)?;
        let (sent, _) = self.append_again(vec![letter]).await.map_err(unavailable)?;
        Ok(sent == 1)
    }

    /// How many went back, and how many the topic will never take.
    async fn append_again(&self, letters: Vec<Recorded>) -> Result<(usize, usize), Error> {
        let append = |letter: Recorded| async move {
            match self.logs.topic.append(without_notes(letter.event)).await {
                Err(Error::TooLarge { bytes }) => {
                    let position = letter.position.0;
                    tracing::error!(position, bytes, "a letter is too large for the topic, passed over");
                    Ok(false)
                }
                appended => appended.map(|_| true),
            }
        };
        let all = letters.len();
        let appends = stream::iter(letters).map(append).buffer_unordered(APPENDS_AT_ONCE);
        let sent = appends.try_filter(|sent| std::future::ready(*sent)).try_collect::<Vec<_>>().await?.len();
        self.returned.add(sent as u64, &[]);
        Ok((sent, all - sent))
    }

    async fn answer(&self, request: &Request) -> Result<Reply, Failure> {
        let query = Query::parse(&request.query)?;
        if request.route == LIST.path {
            let limit = number(&query, "limit")?.unwrap_or(LISTED).min(MAX_LISTED);
            let list = self.list(limit).await.map_err(|cause| Failure::not_now(&cause))?;
            return Ok(reply(&list, "com.allezon.dead-letters.listed"));
        }
        if let Some(position) = number(&query, "position")? {
            let partition = number(&query, "partition")?.unwrap_or(0);
            let sent = self.send_one_back(partition, Position(position as u64)).await?;
            let told = json!({"sent": u8::from(sent), "passed_over": u8::from(!sent), "dry_run": false});
            return Ok(reply(&told, "com.allezon.dead-letters.replayed"));
        }
        let limit = number(&query, "limit")?.unwrap_or(MAX_SENT).min(MAX_SENT);
        let dry_run = match query.one("dry_run")? {
            None | Some("false") => false,
            Some("" | "true") => true,
            Some(_) => return Err(Failure::malformed("dry_run", "is neither true nor false")),
        };
        let returned = self.send_back(limit, dry_run).await.map_err(|cause| Failure::not_now(&cause))?;
        let Returned { sent, passed_over, left } = returned;
        let told = json!({"sent": sent, "passed_over": passed_over, "left": left, "dry_run": dry_run});
        Ok(reply(&told, "com.allezon.dead-letters.replayed"))
    }
}

impl<L: EventLog, A: Append, B: Bookmark> Function for DeadLetters<L, A, B> {
    fn describe(&self) -> Description {
        Description {
            name: "dead-letters",
            path: LIST.path,
            routes: &[LIST, REPLAY],
            events: &[],
            events_from: Access::Public,
            body_limit: MAX_BODY_BYTES,
        }
    }

    async fn call(&self, call: Call) -> Result<Reply, Failure> {
        match call {
            Call::Event(letter) => self.keep(*letter).await,
            Call::Http(request) => self.answer(&request).await,
        }
    }
}

fn bookmark(bookmarks: &[Option<Position>], partition: usize) -> Position {
    bookmarks.get(partition).copied().flatten().unwrap_or_default()
}

fn number(query: &Query<'_>, name: &'static str) -> Result<Option<usize>, Failure> {
    let parse = |text: &str| text.parse().map_err(|_| Failure::malformed(name, "is no number from 0 on"));
    query.one(name)?.map(parse).transpose()
}

fn reply(json: &Value, event_type: &'static str) -> Reply {
    Reply::Answer { json: json.to_string().into(), event_type }
}
