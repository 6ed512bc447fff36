//! A writer, sealers and readers at once: what a reader sees is never less than what was added before it asked, nor more
//! than what was sent.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use aggregates::event::{Aggregate, Question};
use columns::Filter;
use futures_util::future::{join, join3};
use model::{Action, MinuteRange};
use sealer::Sealer;

use crate::shop::{Shop, keyed, plain, view};

/// How many batches are sent.
const BATCHES: u64 = 100;

/// What was added and what was sent so far; each batch adds as many tags.
#[derive(Default)]
struct Ledger {
    sent: AtomicU64,
    added: AtomicU64,
    over: AtomicBool,
}

impl Ledger {
    /// Sends batches of a tag with an identity of its own that all share, one of each third batch, and a plain one.
    async fn write(&self, shop: &Shop) {
        for batch in 0..BATCHES {
            let tags = || {
                let shared = keyed("k", view("05:00", 1));
                let own = keyed(&(batch / 3).to_string(), view("05:01", 1));
                [shared, own, plain(view("05:02", 1)), plain(view("06:00", 1))]
            };
            self.sent.store(batch + 1, Ordering::SeqCst);
            // Each third batch is delivered twice at once, each fifth one again later.
            match batch % 3 {
                0 => drop(join(shop.put(batch, tags()), shop.put(batch, tags())).await),
                _ => shop.put(batch, tags()).await,
            }
            self.added.store(batch + 1, Ordering::SeqCst);
            if batch.is_multiple_of(5) {
                shop.put(batch, tags()).await;
            }
        }
        self.over.store(true, Ordering::SeqCst);
    }

    async fn seal(&self, sealer: &Sealer<store_embedded::EmbeddedStore>) {
        while !self.over.load(Ordering::SeqCst) {
            sealer.tick().await.expect("being overtaken is no failure");
            tokio::task::yield_now().await;
        }
    }

    async fn read(&self, shop: &Shop) -> u64 {
        let mut answers = 0;
        while !self.over.load(Ordering::SeqCst) {
            let least = self.added.load(Ordering::SeqCst);
            let counts = counts(shop).await;
            let most = self.sent.load(Ordering::SeqCst);
            for (count, of) in counts.into_iter().zip([in_five, |batches| batches]) {
                assert!((of(least)..=of(most)).contains(&count), "{count} after {least}, of {most}");
            }
            answers += 1;
        }
        answers
    }
}

/// How many tags so many batches have in minute 5.
fn in_five(batches: u64) -> u64 {
    batches + batches.div_ceil(3) + u64::from(batches > 0)
}

async fn counts(shop: &Shop) -> Vec<u64> {
    let range = MinuteRange::parse("2022-03-22T12:05:00_2022-03-22T12:07:00").expect("a range");
    let (action, filter) = (Action::View, Filter::default());
    let question = Question { range, action, filter, aggregates: vec![Aggregate::Count] };
    let minutes = shop.function.ask(&question).await.expect("is answered");
    minutes.into_iter().map(|(_, totals)| totals.count).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_see_all_that_was_added_and_no_more() {
    let (shop, ledger) = (Shop::open(), Ledger::default());
    let other = Sealer::new(shop.store.clone());
    let sealers = join(ledger.seal(&shop.sealer), ledger.seal(&other));
    let readers = join(ledger.read(&shop), ledger.read(&shop));
    let (_, (), (first, second)) = join3(sealers, ledger.write(&shop), readers).await;
    assert!(first > 0 && second > 0);
    assert_eq!(counts(&shop).await, [in_five(BATCHES), BATCHES]);
    shop.sealer.tick().await.expect("ticks");
    assert_eq!(counts(&shop).await, [in_five(BATCHES), BATCHES]);
}
