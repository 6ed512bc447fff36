//! What every [`Names`] must keep.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;
use model::{Collection, MAX_ELEMENT_BYTES, NameNumber};

use super::shuffle::Random;
use crate::Names;

const BRAND: Collection = Collection::BRAND;
/// Names that somebody once took for something else.
const STRANGE: [&str; 14] = [
    "",
    " ",
    "null",
    "a\"b\\c/",
    "\0\u{1}\n\r\t\u{7f}",
    "\u{2028}\u{feff}",
    "Łódź",
    "e\u{301}",
    "é",
    "É",
    "日本語",
    "👩‍👩‍👧",
    "\u{10ffff}",
    "%41+&=\\u0041",
];

/// Numbers grow by one in each collection, in the order asked; a name has one number, and a number one name.
pub async fn numbers_grow_by_one_in_each_collection(names: &impl Names) {
    let told = number(names, &BRAND, &["Nike", "Puma", "Nike", ""]).await;
    assert_eq!(told, [Some(1), Some(2), Some(1), Some(3)]);
    assert_eq!(number(names, &Collection::ORIGIN, &["Puma"]).await, [Some(1)]);
    assert_eq!(number(names, &BRAND, &["Adidas", "Puma"]).await, [Some(4), Some(2)]);
    assert_eq!(number(names, &BRAND, &[]).await, []);
    assert_eq!(name(names, &BRAND, &[3, 1, 4, 1]).await, ["", "Nike", "Adidas", "Nike"].map(known));
    assert_eq!(name(names, &Collection::ORIGIN, &[1, 2]).await, [known("Puma"), None]);
}

/// Asking what is gives nothing a number, and an absence is one as of the question.
pub async fn an_absence_does_not_last(names: &impl Names) {
    let asked = ["a", "b"];
    for collection in [BRAND, Collection::new("sizes")] {
        assert_eq!(find(names, &collection, &[]).await, []);
        assert_eq!(name(names, &collection, &[]).await, [] as [Option<String>; 0]);
        for step in 0..2 {
            let both = [1, 2, NameNumber::MAX];
            assert_eq!(find(names, &collection, &asked).await, [(step > 0).then_some(1), None]);
            assert_eq!(name(names, &collection, &both).await, [(step > 0).then(|| "a".into()), None, None]);
            assert_eq!(number(names, &collection, &[asked[step]]).await, [Some(step as u32 + 1)]);
        }
        assert_eq!(find(names, &collection, &asked).await, [Some(1), Some(2)]);
    }
}

/// What is too long has no number and takes none away; what is just short enough has one.
pub async fn what_is_too_long_has_no_number(names: &impl Names) {
    let (longest, longer) = ("x".repeat(MAX_ELEMENT_BYTES), "x".repeat(MAX_ELEMENT_BYTES + 1));
    // Bytes count, and not characters.
    let wider = "ł".repeat(MAX_ELEMENT_BYTES / 2) + "x";
    let asked = [&*longer, "a", &*wider, &*longest];
    assert_eq!(find(names, &BRAND, &asked).await, [None; 4]);
    for _ in 0..2 {
        assert_eq!(number(names, &BRAND, &asked).await, [None, Some(1), None, Some(2)]);
    }
    assert_eq!(find(names, &BRAND, &asked).await, [None, Some(1), None, Some(2)]);
    assert_eq!(number(names, &BRAND, &[&longer]).await, [None]);
    assert_eq!(name(names, &BRAND, &[2]).await, [Some(longest)]);
    let collection = Collection::new(longer);
    assert_eq!(number(names, &collection, &["a"]).await, [None]);
    assert_eq!(find(names, &collection, &["a"]).await, [None]);
    assert_eq!(name(names, &collection, &[1]).await, [None]);
}

/// A name is any text, and a collection's name too; what differs in one byte is another one.
pub async fn any_text_is_a_name(names: &impl Names) {
    for collection in STRANGE {
        let collection = Collection::new(collection);
        let told = number(names, &collection, &STRANGE).await;
        assert_eq!(told, (1..=STRANGE.len() as u32).map(Some).collect::<Vec<_>>(), "{collection}");
        assert_eq!(find(names, &collection, &STRANGE).await, told, "{collection}");
        let numbers: Vec<u32> = told.into_iter().flatten().collect();
        assert_eq!(name(names, &collection, &numbers).await, STRANGE.map(known), "{collection}");
    }
}

/// A call may be of any size.
pub async fn calls_are_of_any_size(names: &impl Names) {
    let many: Vec<String> = (0..12_345).map(|n| format!("name {n}")).collect();
    // Each byte is longer in JSON.
    let long: Vec<String> =
        (0..2_345).map(|n| format!("{n:05}{}", "\0".repeat(MAX_ELEMENT_BYTES - 5))).collect();
    for (collection, asked) in [(BRAND, many), (Collection::ORIGIN, long)] {
        let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
        let numbers: Vec<u32> = (1..=asked.len() as u32).collect();
        let expected: Vec<_> = numbers.iter().copied().map(Some).collect();
        assert_eq!(find(names, &collection, &asked).await, vec![None; asked.len()]);
        assert_eq!(number(names, &collection, &asked).await, expected);
        assert_eq!(find(names, &collection, &asked).await, expected);
        let told = name(names, &collection, &numbers).await;
        assert!(told.iter().zip(&asked).all(|(told, asked)| told.as_deref() == Some(*asked)));
    }
}

/// Whoever asks, and however many at once at several instances: one number a name, without a gap.
pub async fn all_are_told_the_same<N: Names>(instances: &[Arc<N>]) {
    let mut random = Random(11);
    let all: Vec<String> = (0..60).map(|n| format!("name {n}")).collect();
    let askers = (0..48).map(|asker| {
        let names = &instances[asker % instances.len()];
        let asked = random.shuffled(&all).split_off(all.len() - 25);
        async move {
            let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
            let mut told = BTreeMap::new();
            for asked in asked.chunks(5) {
                let numbers = number(&**names, &BRAND, asked).await;
                assert_eq!(find(&**names, &BRAND, asked).await, numbers);
                told.extend(asked.iter().map(|name| (*name).to_owned()).zip(numbers));
            }
            told
        }
    });
    let mut union = BTreeMap::new();
    for told in join_all(askers).await {
        for (name, number) in told {
            assert_eq!(*union.entry(name.clone()).or_insert(number), number, "{name}");
        }
    }
    let numbers: BTreeSet<u32> = union.values().map(|number| number.expect("a number")).collect();
    assert_eq!(numbers, (1..=union.len() as u32).collect());
    for names in instances {
        for (asked, number) in &union {
            assert_eq!(find(&**names, &BRAND, &[asked]).await, [*number]);
            assert_eq!(name(&**names, &BRAND, &[number.expect("a number")]).await, [known(asked)]);
        }
    }
}

/// What one instance gave a number, another one knows, though it has said before that there is none.
pub async fn instances_know_of_each_other(here: &impl Names, there: &impl Names) {
    assert_eq!(find(here, &BRAND, &["a"]).await, [None]);
    assert_eq!(number(there, &BRAND, &["a", "b"]).await, [Some(1), Some(2)]);
    assert_eq!(name(here, &BRAND, &[2]).await, [known("b")]);
    assert_eq!(number(there, &BRAND, &["c"]).await, [Some(3)]);
    assert_eq!(find(here, &BRAND, &["c", "a"]).await, [Some(3), Some(1)]);
    assert_eq!(number(here, &BRAND, &["d", "b"]).await, [Some(4), Some(2)]);
    assert_eq!(find(there, &BRAND, &["d"]).await, [Some(4)]);
}

/// Whatever was numbered is so after a reopening, and counting goes on behind it.
pub async fn survives_reopening<N: Names>(names: N, reopen: impl AsyncFn(N) -> N) {
    let mut names = names;
    let all: Vec<String> = (0..8).map(|n| format!("name {n}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let numbers: Vec<u32> = (1..=all.len() as u32).collect();
    let expected: Vec<_> = numbers.iter().copied().map(Some).collect();
    for (index, asked) in all.iter().enumerate() {
        assert_eq!(find(&names, &BRAND, &[asked]).await, [None]);
        assert_eq!(number(&names, &BRAND, &[asked]).await, [expected[index]]);
        names = reopen(names).await;
    }
    assert_eq!(find(&names, &BRAND, &all).await, expected);
    assert_eq!(number(&names, &BRAND, &all).await, expected);
    let told = name(&names, &BRAND, &numbers).await;
    assert!(told.iter().zip(&all).all(|(told, asked)| told.as_deref() == Some(*asked)));
}

async fn number(names: &impl Names, collection: &Collection, asked: &[&str]) -> Vec<Option<u32>> {
    values(names.number(collection, asked).await.expect("numbers"))
}

async fn find(names: &impl Names, collection: &Collection, asked: &[&str]) -> Vec<Option<u32>> {
    values(names.find(collection, asked).await.expect("an answer"))
}

async fn name(names: &impl Names, collection: &Collection, asked: &[u32]) -> Vec<Option<String>> {
    let asked: Vec<_> = asked.iter().map(|value| NameNumber::new(*value).expect("a number")).collect();
    names.name(collection, &asked).await.expect("an answer")
}

fn values(numbers: Vec<Option<NameNumber>>) -> Vec<Option<u32>> {
    numbers.into_iter().map(|number| number.map(NameNumber::value)).collect()
}

fn known(name: &str) -> Option<String> {
    Some(name.to_owned())
}
