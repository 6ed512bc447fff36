//! A run's shared state, and the tasks that send tags and ask questions.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use super::board::{Board, WrongAnswer};
use super::horizon::Schedule;
use super::ledger::{Fate, Ledger};
use super::minutes::{MINUTE_TAGS, Minutes};
use super::options::ScoreOptions;
use super::{aggregates, profiles};
use crate::connection::{Answer, Connection, Exception, Question};
use crate::gate::Gate;
use crate::questions;
use crate::questions::aggregates::AggregatesQuestion;
use crate::questions::profile::ProfileQuestion;
use crate::stream::{Stream, Tag, minute_of};

/// First pause before a doubtful tag is repeated; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The shared state.
#[derive(Debug)]
pub struct Session {
    /// The stream.
    pub stream: Stream,
    /// Lets tags through.
    pub tags: Gate,
    /// Lets questions about profiles through.
    pub profiles: Gate,
    /// Lets questions about aggregates through.
    pub aggregates: Gate,
    /// When profiles are asked for.
    pub profile_schedule: Schedule,
    /// When aggregates are asked for.
    pub aggregates_schedule: Schedule,
    minutes: Minutes,
    ledger: Mutex<Ledger>,
    board: Mutex<Board>,
    retry_doubtful: u32,
    send_expected: bool,
}

/// A question that was asked.
struct Asked {
    path: String,
    result: Result<Answer, Exception>,
    latency: Duration,
}

impl Session {
    /// A run that has not begun.
    pub fn new(options: &ScoreOptions) -> Self {
        Self {
            stream: Stream::new(options.shape.clone(), 1),
            tags: Gate::new(),
            profiles: Gate::new(),
            aggregates: Gate::new(),
            profile_schedule: schedule(options.profiles_after, questions::profile::EVERY),
            aggregates_schedule: schedule(options.aggregates_after, questions::aggregates::EVERY),
            minutes: Minutes::default(),
            ledger: Mutex::new(Ledger::new(options.shape.cookies, options.kept)),
            board: Mutex::new(Board::default()),
            retry_doubtful: options.retry_doubtful,
            send_expected: options.send_expected,
        }
    }

    /// The counts.
    pub fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ledger.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends tags until the gate has no more.
    pub async fn send_tags(self: Arc<Self>, mut connection: Connection) {
        let mut text = String::with_capacity(512);
        while let Some(number) = self.tags.enter().await {
            let tag = self.stream.tag(u32::try_from(number).expect("streams have 32-bit numbers"));
            text.clear();
            self.stream.push_json(&mut text, &tag);
            self.ledger().send(&tag);
            self.board().sent += 1;
            let fate = self.send_tag(&mut connection, &tag, Bytes::copy_from_slice(text.as_bytes())).await;
            self.ledger().settle(tag.number, fate);
        }
    }

    /// Asks for profiles until the gate has no more.
    pub async fn ask_profiles(self: Arc<Self>, mut connection: Connection) {
        while let Some(number) = self.profiles.enter().await {
            let question = ProfileQuestion::roll(&self.stream, number, self.profile_schedule.visible(number));
            let path = question.path(&self.stream, &connection.endpoint().path);
            let body =
                self.expected_body(|| self.expected_profile(&question).to_json(&self.stream, &question));
            self.board().profiles.total += 1;
            let asked = ask(&mut connection, path, body).await;
            self.judge_profile(&question, asked);
        }
    }

    /// Asks for aggregates until the gate has no more.
    pub async fn ask_aggregates(self: Arc<Self>, mut connection: Connection) {
        while let Some(number) = self.aggregates.enter().await {
            let visible = self.aggregates_schedule.visible(number);
            let question = AggregatesQuestion::roll(&self.stream, number, minute_of(visible));
            let path = question.path(&self.stream, &connection.endpoint().path);
            let expected = self.expected_aggregates(question.clone()).await;
            let body = self.expected_body(|| expected.to_json(&self.stream, &question));
            self.board().aggregates.total += 1;
            let asked = ask(&mut connection, path, body).await;
            self.judge_aggregates(&question, &expected, asked);
        }
    }

    async fn send_tag(&self, connection: &mut Connection, tag: &Tag, body: Bytes) -> Option<Fate> {
        let key = (self.retry_doubtful > 0).then(|| {
            HeaderValue::try_from(format!("{}-{}", self.stream.shape().seed, tag.number))
                .expect("digits are a header")
        });
        let mut pause = FIRST_PAUSE;
        for attempt in 0..=self.retry_doubtful {
            if attempt > 0 {
                tokio::time::sleep(pause).await;
                pause = MAX_PAUSE.min(pause * 2);
            }
            let uri = questions::uri(connection.endpoint().path.clone());
            let sent = Instant::now();
            let result = connection.ask(Question { uri, body: body.clone(), key: key.clone() }).await;
            self.note_event(&result, sent.elapsed());
            match result {
                Ok(answer) if answer.status == StatusCode::NO_CONTENT => return None,
                // An earlier attempt may have been stored.
                Ok(answer) if answer.status.is_client_error() && attempt == 0 => return Some(Fate::Refused),
                // Nothing was sent: with no connection there is no doubt, but there may be one from an earlier attempt.
                Err(Exception::Connect) if self.retry_doubtful == 0 => return Some(Fate::Refused),
                Ok(_) | Err(_) => {}
            }
        }
        Some(Fate::Doubtful)
    }

    fn note_event(&self, result: &Result<Answer, Exception>, latency: Duration) {
        let mut board = self.board();
        board.events.add(result, latency);
        note_instant(&mut board, result);
    }

    fn expected_body(&self, expected: impl FnOnce() -> String) -> Bytes {
        if self.send_expected { Bytes::from(expected()) } else { Bytes::new() }
    }

    fn expected_profile(&self, question: &ProfileQuestion) -> profiles::Expected {
        let Some(cookie) = question.cookie else {
            return profiles::Expected { views: Vec::new(), buys: Vec::new() };
        };
        let start = self.stream.time_ms(0);
        let number = |at_ms: i64| u32::try_from((at_ms - start).max(0)).expect("streams have 32-bit numbers");
        let range = (number(question.from_ms), number(question.to_ms));
        let ledger = self.ledger();
        let list = |action| ledger.candidates((cookie, action), range, question.effective_limit());
        let [views, buys] = profiles::LISTS.map(list);
        profiles::Expected { views, buys }
    }

    fn judge_profile(&self, question: &ProfileQuestion, asked: Asked) {
        // Only now: what was sent while the question was under way may have pushed out the oldest of 200.
        let expected = self.expected_profile(question);
        let verdict = asked.body().map(|body| expected.check(&self.stream, question, body));
        let mut board = self.board();
        board.profiles.tally.add(&asked.result, asked.latency);
        note_instant(&mut board, &asked.result);
        match verdict {
            None => {}
            Some(Ok(right)) => {
                board.profiles.ok += 1;
                board.profiles.lenient += u64::from(expected.doubtful() > 0);
                board.empty_profiles += u64::from(right.is_empty);
            }
            Some(Err(reason)) => {
                board.profiles.wrong += 1;
                let expected = expected.to_json(&self.stream, question);
                let got = asked.text();
                board.note_wrong(WrongAnswer { question: asked.path, reason, expected, got });
            }
        }
    }

    async fn expected_aggregates(self: &Arc<Self>, question: AggregatesQuestion) -> aggregates::Expected {
        let session = Arc::clone(self);
        let scan = move || {
            let row = |minute: u32| {
                let fates = session.ledger().fates(minute * MINUTE_TAGS, (minute + 1) * MINUTE_TAGS);
                session.minutes.row(&session.stream, &question, minute, &fates)
            };
            aggregates::Expected { rows: (question.from..question.to).map(row).collect() }
        };
        tokio::task::spawn_blocking(scan).await.expect("scanning columns does not panic")
    }

    fn judge_aggregates(&self, question: &AggregatesQuestion, expected: &aggregates::Expected, asked: Asked) {
        let verdict = asked.body().map(|body| expected.check(&self.stream, question, body));
        let mut board = self.board();
        board.aggregates.tally.add(&asked.result, asked.latency);
        note_instant(&mut board, &asked.result);
        match verdict {
            None => {}
            Some(Ok(())) => {
                board.aggregates.ok += 1;
                board.aggregates.lenient += u64::from(expected.doubtful() > 0);
            }
            Some(Err(reason)) => {
                board.aggregates.wrong += 1;
                let expected = expected.to_json(&self.stream, question);
                let got = asked.text();
                board.note_wrong(WrongAnswer { question: asked.path, reason, expected, got });
            }
        }
    }
}

fn schedule(after: Duration, every: u32) -> Schedule {
    Schedule { first: u32::try_from(after.as_millis()).unwrap_or(u32::MAX).max(1), every }
}

async fn ask(connection: &mut Connection, path: String, body: Bytes) -> Asked {
    let question = Question { uri: questions::uri(path.clone()), body, key: None };
    let sent = Instant::now();
    let result = connection.ask(question).await;
    Asked { path, result, latency: sent.elapsed() }
}

impl Asked {
    /// The body of an answer that has one to judge.
    fn body(&self) -> Option<&Bytes> {
        self.result.as_ref().ok().filter(|answer| answer.status == StatusCode::OK).map(|answer| &answer.body)
    }

    fn text(&self) -> String {
        self.body().map(|body| String::from_utf8_lossy(body).into_owned()).unwrap_or_default()
    }
}

fn note_instant(board: &mut Board, result: &Result<Answer, Exception>) {
    let last = match result {
        Ok(answer) if answer.status.is_success() => &mut board.last_success,
        _ => &mut board.last_failure,
    };
    *last = Some(Instant::now());
}
