//! Any batches, however they come and whenever they are sealed, and any question: what a list of all tags would answer.

use std::cell::Cell;
use std::collections::HashSet;

use aggregates::event::{Aggregate, Question};
use columns::{Filter, Totals};
use futures_util::future::join_all;
use model::{AcceptedTag, Action, MinuteRange, UserTag};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use store::MinuteStore;
use tokio::runtime::Builder;

use crate::shop::{Shop, keyed, plain, tag};

/// A tag of a batch: action, minute, names and price in one, and perhaps a key.
type Sent = (Action, u32, [usize; 3], Option<u8>);

/// What happens in the shop.
#[derive(Debug, Clone)]
enum Step {
    /// These batches come at once.
    Come(Vec<usize>),
    /// The sealer is told to tick.
    Tick,
    /// A sealing of this minute begins and never ends.
    Begin(u32),
}

fn step(batches: usize) -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(0..batches, 1..4).prop_map(Step::Come),
        2 => Just(Step::Tick),
        1 => (0..3_u32).prop_map(Step::Begin),
    ]
}

fn history() -> impl Strategy<Value = (Vec<Vec<Sent>>, Vec<Step>)> {
    let action = prop::sample::select(&Action::ALL[..]);
    let names = prop::array::uniform3(0..3_usize);
    let one = (action, 0..3_u32, names, prop::option::weighted(0.3, 0..2_u8));
    prop::collection::vec(prop::collection::vec(one, 0..10), 1..8).prop_flat_map(|batches| {
        let steps = prop::collection::vec(step(batches.len()), 1..12);
        (Just(batches), steps)
    })
}

#[test]
fn any_history_and_any_question() {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    let shop = runtime.block_on(async { Shop::open() });
    let case = Cell::new(0);
    let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
    let filter = prop::array::uniform3(prop::option::of(0..4_usize));
    let all = TestRunner::new(config).run(&(history(), filter), |((batches, steps), filter)| {
        // A case has minutes and numbers of batches that no other one has.
        case.set(case.get() + 1);
        let list = List { case: case.get(), batches };
        runtime.block_on(list.check(&shop, &steps, filter));
        Ok(())
    });
    all.expect("the list's answers");
}

struct List {
    case: u32,
    batches: Vec<Vec<Sent>>,
}

impl List {
    fn tag(&self, (action, minute, names, _): &Sent) -> UserTag {
        let names = [["o0", "", "o_2"][names[0]], ["b0", "", "b_2"][names[1]], ["c0", "", "c_2"][names[2]]];
        let price = i32::try_from(names.concat().len()).expect("short") - 4;
        let text = tag(*action, &format!("{minute:02}:30"), names, price);
        let json = serde_json::to_string(&text).expect("JSON");
        let day = format!("{:04}-03-22T", 2_000 + self.case);
        UserTag::from_json(json.replace("2022-03-22T", &day).as_bytes()).expect("a tag")
    }

    fn accepted(&self, sent: &Sent) -> AcceptedTag {
        match sent.3 {
            None => plain(self.tag(sent)),
            Some(key) => keyed(&key.to_string(), self.tag(sent)),
        }
    }

    fn minutes(&self) -> MinuteRange {
        let day = format!("{:04}-03-22T", 2_000 + self.case);
        MinuteRange::parse(&format!("{day}12:00:00_{day}12:03:00")).expect("a range")
    }

    /// What the tags of these batches that a filter takes come to.
    fn totals(&self, come: &HashSet<usize>, action: Action, filter: &Filter) -> Vec<Totals> {
        let mut totals = vec![Totals::default(); 3];
        let mut owns = HashSet::new();
        for sent in come.iter().flat_map(|&index| &self.batches[index]) {
            let tag = self.tag(sent);
            let row = columns::Row::of(&tag);
            let counts = sent.3.is_none() || owns.insert(sent);
            if counts && sent.0 == action && filter.takes(&row) {
                totals[sent.1 as usize].add_row(row.price.into());
            }
        }
        totals
    }

    async fn check(&self, shop: &Shop, steps: &[Step], filter: [Option<usize>; 3]) {
        let [origin, brand, category] = filter;
        let name = |letter: &str, number: Option<usize>| {
            let names = [format!("{letter}0"), String::new(), format!("{letter}_2"), "never".into()];
            number.map(|number| names[number].clone())
        };
        let filter =
            Filter { origin: name("o", origin), brand: name("b", brand), category: name("c", category) };
        let mut come = HashSet::new();
        for step in steps {
            match step {
                Step::Come(batches) => {
                    let number = |&index: &usize| u64::from(self.case) * 100 + index as u64;
                    let put = |index| {
                        shop.put(number(index), self.batches[*index].iter().map(|s| self.accepted(s)))
                    };
                    join_all(batches.iter().map(put)).await;
                    come.extend(batches);
                }
                Step::Tick => shop.sealer.tick().await.expect("ticks"),
                Step::Begin(minute) => {
                    let bucket = self.minutes().buckets().nth(*minute as usize).expect("one of three");
                    shop.store.begin_seal(bucket).await.expect("begins");
                }
            }
            for filter in [filter.clone(), Filter::default()] {
                for action in Action::ALL {
                    self.check_answer(shop, &come, (action, filter.clone())).await;
                }
            }
        }
    }

    async fn check_answer(&self, shop: &Shop, come: &HashSet<usize>, (action, filter): (Action, Filter)) {
        let expected = self.totals(come, action, &filter);
        let question = Question { range: self.minutes(), action, filter, aggregates: vec![Aggregate::Count] };
        let minutes = shop.function.ask(&question).await.expect("is answered");
        let found: Vec<Totals> = minutes.into_iter().map(|(_, totals)| totals).collect();
        assert_eq!(found, expected, "{action:?}, {:?}", question.filter);
    }
}
