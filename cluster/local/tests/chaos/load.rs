//! The load: writers that post tags and keep account of them, and one that has names numbered.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use crate::ledger::Writer;
use crate::support::http::{Client, Request};

/// Some 1,000 tags a second, as each waits for Kafka.
const WRITERS: u64 = 12;
/// After that many a writer looks whether it is to go on, and at the minute.
const TAGS: usize = 20;
/// Nobody answers: not at once again.
const PAUSE: Duration = Duration::from_millis(20);
/// Far fewer than tags, as names are.
const NAME_EACH: Duration = Duration::from_millis(50);

/// What was written, for the check.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) writers: Vec<Writer>,
    pub(crate) numbers: Numbers,
}

/// Load that is running.
pub(crate) struct Load {
    goes_on: Arc<AtomicBool>,
    minute: Arc<AtomicUsize>,
    writers: Vec<JoinHandle<Writer>>,
    numbers: JoinHandle<Numbers>,
}

impl Load {
    /// Goes on with what was written before, or begins.
    pub(crate) fn start(edge: SocketAddr, mut before: Written) -> Self {
        let goes_on = Arc::new(AtomicBool::new(true));
        let minute = Arc::new(AtomicUsize::new(0));
        if before.writers.is_empty() {
            before.writers = (0..WRITERS).map(|worker| Writer::new(worker).behind_an_edge()).collect();
        }
        let writers = before.writers.into_iter().map(|mut writer| {
            let (goes_on, minute) = (goes_on.clone(), minute.clone());
            std::thread::spawn(move || {
                while goes_on.load(Ordering::Relaxed) {
                    let count = writer.count();
                    writer.write(edge, minute.load(Ordering::Relaxed), TAGS);
                    if writer.count() < count + TAGS {
                        sleep(PAUSE);
                    }
                }
                writer
            })
        });
        let writers = writers.collect();
        let numbers = {
            let (goes_on, mut numbers) = (goes_on.clone(), before.numbers);
            std::thread::spawn(move || {
                while goes_on.load(Ordering::Relaxed) {
                    numbers.write(edge);
                    sleep(NAME_EACH);
                }
                numbers
            })
        };
        Self { goes_on, minute, writers, numbers }
    }

    /// Tags are of this minute from now on.
    pub(crate) fn minute(&self, minute: usize) {
        self.minute.store(minute, Ordering::Relaxed);
    }

    /// Ends it; a writer that has met a wrong answer panics here.
    pub(crate) fn stop(self) -> Written {
        self.goes_on.store(false, Ordering::Relaxed);
        let writers = self.writers.into_iter().map(|writer| writer.join().expect("only right answers"));
        Written { writers: writers.collect(), numbers: self.numbers.join().expect("only right answers") }
    }
}

impl Written {
    /// How many tags were sent, and how many of them answered 204.
    pub(crate) fn counts(&self) -> (usize, usize) {
        self.writers.iter().fold((0, 0), |(s, a), writer| (s + writer.count(), a + writer.answered()))
    }

    /// How often each status was answered.
    pub(crate) fn statuses(&self) -> BTreeMap<u16, usize> {
        let mut all = BTreeMap::new();
        for (status, count) in self.writers.iter().flat_map(|writer| &writer.statuses) {
            *all.entry(*status).or_default() += count;
        }
        all
    }
}

/// Names that were numbered in front of us.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    known: HashMap<String, u64>,
    next: usize,
}

impl Numbers {
    fn write(&mut self, edge: SocketAddr) {
        let Ok(mut client) = Client::connect(edge) else { return };
        // A name in doubt is asked for again.
        if self.ask(&mut client, &format!("name {}", self.next)).is_some() {
            self.next += 1;
        }
    }

    fn ask(&mut self, client: &mut Client, name: &str) -> Option<u64> {
        let body = format!(r#"{{"collection_name":"chaos","element":"{name}","create_missing":true}}"#);
        let answer = client.ask(&Request::post("/get_id").body(body)).ok()?;
        match answer.status {
            200 => {
                let id = answer.json()["id"].as_u64()?;
                let before = self.known.insert(name.to_owned(), id);
                assert!(before.is_none_or(|before| before == id), "{name} was {before:?} and is {id}");
                Some(id)
            }
            503 | 504 => None,
            other => panic!("{other}: {answer:?}"),
        }
    }

    /// Each name has its number still, and none has another's.
    pub(crate) fn check(&mut self, edge: SocketAddr) {
        let mut client = Client::connect(edge).expect("the edge is there");
        let names: Vec<String> = self.known.keys().cloned().collect();
        let ask = |name: &String| self.ask(&mut client, name).expect("all is well again");
        let mut ids: Vec<u64> = names.iter().map(ask).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), names.len(), "two names have one number");
    }
}
