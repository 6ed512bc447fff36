//! Any batches and erasures, however they come, and any question: what a list of all tags would answer.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};

use function::{Call, Function};
use model::{AcceptedTag, Action, Batch, BatchId, Cookie, Erasure, Instant, OwnIdentity, TimeRange, UserTag};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Builder;
use user_profiles::event::Question;

use crate::shop::{Shop, tag};

/// When the tags of a case were accepted; an erasure takes those of before its own time.
const TIMES_MS: u64 = 4;

#[derive(Debug, Clone)]
struct Sent {
    cookie: usize,
    action: Action,
    second: u32,
    price: i32,
    key: Option<u8>,
}

#[derive(Debug, Clone)]
enum Event {
    Batch(u64, Vec<Sent>),
    Erased(usize, u64),
}

fn sent() -> impl Strategy<Value = Sent> {
    let action = prop::sample::select(&Action::ALL[..]);
    // The last of the three cookies is never erased: only it has tags with keys. A tag that is sent again under its key
    // on the other side of an erasure is there or not, as the erasure comes.
    let key = prop::option::weighted(0.5, 0..2_u8);
    (0..3_usize, action, 0..10_u32, 0..3_i32, key).prop_map(|(cookie, action, second, price, key)| Sent {
        cookie,
        action,
        second,
        price,
        key: key.filter(|_| cookie == 2),
    })
}

fn event() -> impl Strategy<Value = Event> {
    let batch = (0..TIMES_MS, prop::collection::vec(sent(), 0..12));
    prop_oneof![
        5 => batch.prop_map(|(ms, tags)| Event::Batch(ms, tags)),
        1 => (0..2_usize, 0..=TIMES_MS).prop_map(|(cookie, ms)| Event::Erased(cookie, ms)),
    ]
}

/// The events, in which order they come, some of them several times.
fn history() -> impl Strategy<Value = (Vec<Event>, Vec<usize>)> {
    prop::collection::vec(event(), 1..10).prop_flat_map(|events| {
        let once: Vec<usize> = (0..events.len()).collect();
        let again = prop::collection::vec(0..events.len(), 0..6);
        let order = again.prop_map(move |again| once.iter().copied().chain(again).collect::<Vec<_>>());
        (Just(events), order.prop_shuffle())
    })
}

#[test]
fn any_history_and_any_question() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let shop = runtime.block_on(Shop::open());
    let case = Cell::new(0);
    let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
    let question = (0..11_u32, 0..11_u32, 0..8_usize);
    let all = TestRunner::new(config).run(&(history(), question), |((events, order), (from, to, limit))| {
        // A case has cookies and numbers of batches that no other one has.
        case.set(case.get() + 1);
        let model = Model { case: case.get(), events };
        runtime.block_on(model.check(&shop, &order, (from.min(to), from.max(to)), limit));
        Ok(())
    });
    all.expect("the model's answers");
}

struct Model {
    case: u64,
    events: Vec<Event>,
}

impl Model {
    fn cookie(&self, number: usize) -> String {
        format!("{}/{number}", self.case)
    }

    fn tag(&self, sent: &Sent) -> UserTag {
        tag(&self.cookie(sent.cookie), sent.action.as_str(), &format!("00:{:02}", sent.second), sent.price)
    }

    fn event(&self, index: usize) -> cloudevents::Event {
        match &self.events[index] {
            Event::Batch(accepted_ms, tags) => {
                let accepted = |sent: &Sent| {
                    let tag = self.tag(sent);
                    let identity = sent.key.map(|key| OwnIdentity::of_key(&key.to_string(), &tag));
                    AcceptedTag { tag, identity }
                };
                let batch = Batch { accepted_ms: *accepted_ms, tags: tags.iter().map(accepted).collect() };
                let source = format!("/user-tags/{}", self.case);
                batch.to_event(&BatchId { source: source.into(), sequence: index as u64 })
            }
            Event::Erased(cookie, accepted_before_ms) => {
                let cookie = Cookie(self.cookie(*cookie));
                let erasure = Erasure { cookie, accepted_before_ms: *accepted_before_ms };
                erasure.to_event("/user-profiles/test", &index.to_string())
            }
        }
    }

    /// All tags of a cookie that count, by what tells them apart.
    fn kept(&self, cookie: usize) -> Vec<UserTag> {
        let mut erased: HashMap<usize, u64> = HashMap::new();
        for event in &self.events {
            if let Event::Erased(cookie, ms) = event {
                erased.entry(*cookie).and_modify(|before| *before = (*before).max(*ms)).or_insert(*ms);
            }
        }
        let before = erased.get(&cookie).copied().unwrap_or(0);
        let mut kept = BTreeMap::new();
        for (index, event) in self.events.iter().enumerate() {
            let Event::Batch(accepted_ms, tags) = event else { continue };
            for (place, sent) in tags.iter().enumerate().filter(|(_, sent)| sent.cookie == cookie) {
                let own = (sent.action, sent.second, sent.price);
                let identity = sent.key.map_or(Err((index, place)), |key| Ok((key, own)));
                if *accepted_ms >= before {
                    kept.insert(identity, self.tag(sent));
                }
            }
        }
        kept.into_values().collect()
    }

    async fn check(&self, shop: &Shop, order: &[usize], (from, to): (u32, u32), limit: usize) {
        for &index in order {
            shop.worker.call(Call::Event(Box::new(self.event(index)))).await.expect("is taken");
        }
        let instant = |second: u32| {
            let noon = tag("c", "VIEW", "00:00", 0).time.instant();
            Instant::from_ms(noon.ms() + i64::from(second) * 1_000)
        };
        let range = TimeRange { from: instant(from), to: instant(to) };
        for cookie in 0..3 {
            let question = Question { cookie: Cookie(self.cookie(cookie)), range, limit };
            let answer = shop.function.ask(question).await.expect("is answered");
            for (action, list) in [(Action::View, answer.views), (Action::Buy, answer.buys)] {
                let in_range = |tag: &UserTag| tag.action == action && range.contains(tag.time.instant());
                let expected: Vec<UserTag> = self.kept(cookie).into_iter().filter(in_range).collect();
                assert_eq!(list.len(), expected.len().min(limit));
                same(&list, expected);
            }
        }
    }
}

/// A list is the newest of these tags; at its end, of those of one millisecond any.
fn same(list: &[UserTag], mut expected: Vec<UserTag>) {
    expected.sort_by_key(|tag| -tag.time.instant().ms());
    let times = |tags: &[UserTag]| tags.iter().map(|tag| tag.time.instant()).collect::<Vec<_>>();
    assert_eq!(times(list), times(&expected[..list.len()]));
    for tag in list {
        let found = expected.iter().position(|other| other == tag).expect("it was sent, and not so often");
        expected.swap_remove(found);
    }
}
