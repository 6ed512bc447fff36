//! What every [`MinuteStore`] must keep.

use std::collections::{BTreeSet, HashSet};

use bytes::Bytes;
use futures_util::future::{join, join3};
use model::{Action, BucketStart};

use crate::{BlockKey, ChunkKey, Head, MinuteStore, Swap, Token};

/// 2022-03-01T00:00Z.
const START_MINUTES: i64 = 27_434_880;
/// 9999-12-31T23:59Z.
const LAST_MINUTES: i64 = 4_223_371_679;
/// 0000-01-01T00:00Z.
const FIRST_MINUTES: i64 = -1_036_120_320;
/// How often a reader takes the head again when a record is gone.
const READS: usize = 20;

/// A minute that nobody added to is empty, and a key that nobody made leads nowhere.
pub async fn an_unknown_minute_is_empty(store: &impl MinuteStore) {
    assert_eq!(heads(store, &[minute(0), minute(1)]).await, [Head::default(), Head::default()]);
    assert_eq!(heads(store, &[]).await, []);
    assert_eq!(store.calendar().await.expect("lists"), []);
    let block = BlockKey { writer: 1, counter: u64::MAX };
    let chunk = ChunkKey { token: Token(1), piece: 0, action: Action::View };
    assert_eq!(store.blocks(&[block]).await.expect("reads"), [None]);
    assert_eq!(store.chunks(&[chunk, chunk]).await.expect("reads"), [None, None]);
    assert_eq!(store.add_blocks(Vec::new()).await.expect("adds nothing"), 0);
}

/// Blocks of many minutes added in one call, and again: all are in their heads, as they were.
pub async fn added_blocks_are_in_their_minutes(store: &impl MinuteStore) {
    let minutes: Vec<_> = [FIRST_MINUTES, -1, 0, START_MINUTES, START_MINUTES + 1, LAST_MINUTES]
        .map(BucketStart::from_minutes)
        .into();
    for round in 0..3 {
        let blocks = minutes.iter().map(|&bucket| (bucket, rows(&[bucket.minutes(), round]))).collect();
        assert_eq!(store.add_blocks(blocks).await.expect("adds"), 0);
    }
    let twice = (minutes[2], rows(&[7]));
    store.add_blocks(vec![twice.clone(), twice]).await.expect("adds");
    let asked: Vec<_> = minutes.iter().rev().chain(&minutes).copied().collect();
    let found = heads(store, &asked).await;
    assert_eq!(
        found[..minutes.len()].iter().rev().collect::<Vec<_>>(),
        found[minutes.len()..].iter().collect::<Vec<_>>()
    );
    for (bucket, head) in minutes.iter().zip(&found[minutes.len()..]) {
        let mut expected: Vec<_> = (0..3).map(|round| rows(&[bucket.minutes(), round])).collect();
        if *bucket == minutes[2] {
            expected.extend([rows(&[7]), rows(&[7])]);
        }
        assert_eq!(sorted(blocks(store, head).await), sorted(expected));
        assert_eq!(head.chunks, []);
    }
    let waiting: Vec<_> = minutes.iter().map(|&m| (m, if m == minutes[2] { 5 } else { 3 })).collect();
    assert_eq!(store.calendar().await.expect("lists"), waiting);
}

/// Records may be empty, and as large as the room `columns` makes them.
pub async fn records_of_any_size(store: &impl MinuteStore) {
    let sizes = [0, 1, 100, 5_000, 512 * 1_024];
    let records: Vec<_> = sizes.map(|size| Bytes::from(vec![0xa5; size])).into();
    let added = records.iter().map(|record| (minute(0), record.clone())).collect();
    store.add_blocks(added).await.expect("adds");
    let sealing = store.begin_seal(minute(0)).await.expect("begins");
    assert_eq!(sorted(blocks(store, &sealing.head).await), records);
    let chunks: Vec<_> = records.iter().map(|record| (Action::Buy, record.clone())).collect();
    assert!(store.swap(Swap { chunks, ..swap_of(&sealing) }).await.expect("swaps"));
    assert_eq!(chunks_of(store, &head(store, 0).await).await, records);
}

/// A sealing puts chunks in the place of blocks; what is added meanwhile stays; the next sealing replaces the chunks.
pub async fn sealing_puts_chunks_for_blocks(store: &impl MinuteStore) {
    add(store, 0, &[1]).await;
    add(store, 0, &[2]).await;
    add(store, 1, &[9]).await;
    let first = store.begin_seal(minute(0)).await.expect("begins");
    assert_eq!((first.bucket, &first.head), (minute(0), &head(store, 0).await));
    add(store, 0, &[3]).await;
    let chunks = vec![(Action::View, rows(&[1])), (Action::View, rows(&[2])), (Action::Buy, rows(&[]))];
    assert!(store.swap(Swap { chunks: chunks.clone(), ..swap_of(&first) }).await.expect("swaps"));
    let sealed = head(store, 0).await;
    assert_eq!(blocks(store, &sealed).await, [rows(&[3])]);
    assert_eq!(
        sealed.chunks.iter().map(|key| key.action).collect::<Vec<_>>(),
        [Action::View, Action::View, Action::Buy]
    );
    assert_eq!(
        chunks_of(store, &sealed).await,
        chunks.iter().map(|(_, chunk)| chunk.clone()).collect::<Vec<_>>()
    );
    assert_eq!(store.calendar().await.expect("lists"), [(minute(0), 1), (minute(1), 1)]);

    let second = store.begin_seal(minute(0)).await.expect("begins");
    assert_eq!(second.head, sealed);
    // Only a part is replaced: the rest stays.
    let replaced = vec![sealed.chunks[0], sealed.chunks[2]];
    let chunks = vec![(Action::View, rows(&[1, 3]))];
    assert!(store.swap(Swap { replaced, chunks, ..swap_of(&second) }).await.expect("swaps"));
    let sealed = head(store, 0).await;
    assert_eq!(sorted(chunks_of(store, &sealed).await), [rows(&[2]), rows(&[1, 3])]);
    assert_eq!(sealed.blocks, []);
    assert_eq!(store.calendar().await.expect("lists"), [(minute(0), 0), (minute(1), 1)]);
    assert_eq!(read(store, 1).await, [9]);
}

/// Only the youngest sealing of a minute can finish, once; whoever began before changes nothing.
pub async fn only_the_youngest_sealing_finishes(store: &impl MinuteStore) {
    add(store, 0, &[1]).await;
    let stale = store.begin_seal(minute(0)).await.expect("begins");
    let young = store.begin_seal(minute(0)).await.expect("begins");
    let other = store.begin_seal(minute(1)).await.expect("begins");
    assert_ne!(stale.token, young.token);
    let before = head(store, 0).await;
    let chunks = vec![(Action::View, rows(&[1]))];
    let swap = |token| Swap { token, chunks: chunks.clone(), ..swap_of(&young) };
    for token in [stale.token, other.token, Token(0), Token(u128::MAX)] {
        assert!(!store.swap(swap(token)).await.expect("refuses"));
        assert_eq!(head(store, 0).await, before);
    }
    assert!(store.swap(swap(young.token)).await.expect("swaps"));
    let after = head(store, 0).await;
    assert_eq!(chunks_of(store, &after).await, [rows(&[1])]);
    // Again, in doubt whether it had happened: the answer is open, the minute is not.
    let _ = store.swap(swap(young.token)).await.expect("answers");
    assert_eq!(head(store, 0).await, after);
    assert_eq!(chunks_of(store, &after).await, [rows(&[1])]);
    assert!(!store.swap(swap(stale.token)).await.expect("refuses"));
    assert_eq!(read(store, 0).await, [1]);
}

/// Blocks whose rows are all there already leave without a new chunk.
pub async fn a_sealing_may_bring_nothing(store: &impl MinuteStore) {
    add(store, 0, &[1]).await;
    let sealing = store.begin_seal(minute(0)).await.expect("begins");
    assert!(
        store
            .swap(Swap { chunks: vec![(Action::Buy, rows(&[1]))], ..swap_of(&sealing) })
            .await
            .expect("swaps")
    );
    add(store, 0, &[1]).await;
    let again = store.begin_seal(minute(0)).await.expect("begins");
    assert!(store.swap(Swap { replaced: Vec::new(), ..swap_of(&again) }).await.expect("swaps"));
    let sealed = head(store, 0).await;
    assert_eq!((sealed.blocks.len(), sealed.chunks.len()), (0, 1));
    assert_eq!(read(store, 0).await, [1]);
}

/// The floor only grows; what lies below goes, is not taken any more, and is counted.
pub async fn the_floor_only_grows(store: &impl MinuteStore) {
    assert_eq!(store.floor().await.expect("reads"), None);
    for number in 0..6 {
        add(store, number, &[number]).await;
    }
    let sealing = store.begin_seal(minute(1)).await.expect("begins");
    store.raise_floor(minute(3)).await.expect("raises");
    for lower in [minute(2), minute(3), BucketStart::from_minutes(FIRST_MINUTES)] {
        store.raise_floor(lower).await.expect("changes nothing");
        assert_eq!(store.floor().await.expect("reads"), Some(minute(3)));
    }
    assert_eq!(store.calendar().await.expect("lists"), [(minute(3), 1), (minute(4), 1), (minute(5), 1)]);
    let late = [1, 3, 2, 4, 2].map(|number| (minute(number), rows(&[100 + number])));
    assert_eq!(store.add_blocks(late.to_vec()).await.expect("adds"), 3);
    for below in 0..3 {
        assert_eq!(head(store, below).await, Head::default());
    }
    assert_eq!((read(store, 3).await, read(store, 4).await), (vec![3, 103], vec![4, 104]));
    // A sealing from before the floor, and one from after it, bring nothing back.
    let late = store.begin_seal(minute(2)).await.expect("begins");
    for sealing in [sealing, late] {
        let _ = store
            .swap(Swap { chunks: vec![(Action::View, rows(&[1]))], ..swap_of(&sealing) })
            .await
            .expect("answers");
        assert_eq!(head(store, 1).await, Head::default());
        assert_eq!(head(store, 2).await, Head::default());
    }
    store.raise_floor(BucketStart::from_minutes(LAST_MINUTES)).await.expect("raises");
    assert_eq!(store.calendar().await.expect("lists"), []);
    assert_eq!(store.add_blocks(vec![(minute(5), rows(&[5]))]).await.expect("drops"), 1);
}

/// Heads, records, floor and calendar are the same after a reopening, and no key is made twice.
pub async fn survives_reopening<S: MinuteStore>(store: S, reopen: impl AsyncFn(S) -> S) {
    let mut keys = HashSet::new();
    let mut store = store;
    for round in 0..3 {
        for number in 0..4 {
            add(&store, number, &[10 * round + number]).await;
        }
        let sealing = store.begin_seal(minute(0)).await.expect("begins");
        let all = read(&store, 0).await;
        assert!(
            store
                .swap(Swap { chunks: vec![(Action::View, rows(&all))], ..swap_of(&sealing) })
                .await
                .expect("swaps")
        );
        add(&store, 0, &[1_000 + round]).await;
        let unfinished = store.begin_seal(minute(1)).await.expect("begins");
        let before = heads(&store, &[0, 1, 2, 3].map(minute)).await;
        let calendar = store.calendar().await.expect("lists");
        store = reopen(store).await;
        assert_eq!(heads(&store, &[0, 1, 2, 3].map(minute)).await, before);
        assert_eq!(store.calendar().await.expect("lists"), calendar);
        for number in 1..4 {
            assert_eq!(
                read(&store, number).await,
                (0..=round).map(|round| 10 * round + number).collect::<Vec<_>>()
            );
        }
        let began_anew = store.begin_seal(minute(1)).await.expect("begins");
        assert_ne!(began_anew.token, unfinished.token);
        assert!(!store.swap(swap_of(&unfinished)).await.expect("refuses"));
        assert!(keys.insert(head(&store, 0).await.chunks[0].token), "a token was made twice");
    }
    let blocks: Vec<_> =
        heads(&store, &[0, 1, 2, 3].map(minute)).await.into_iter().flat_map(|head| head.blocks).collect();
    assert_eq!(blocks.iter().collect::<HashSet<_>>().len(), blocks.len());
    store.raise_floor(minute(2)).await.expect("raises");
    let store = reopen(store).await;
    assert_eq!(store.floor().await.expect("reads"), Some(minute(2)));
    assert_eq!(head(&store, 1).await, Head::default());
    assert_eq!(store.add_blocks(vec![(minute(1), rows(&[1]))]).await.expect("drops"), 1);
    assert_eq!(read(&store, 2).await, [2, 12, 22]);
}

/// Who reads while others add and seal finds every row that was added before, and none that was not.
pub async fn readers_miss_nothing_while_others_seal(store: &impl MinuteStore) {
    const ADDED: i64 = 60;
    let add_all = async {
        for row in 0..ADDED {
            add(store, 0, &[row]).await;
        }
    };
    let seal = async {
        for _ in 0..20 {
            let sealing = store.begin_seal(minute(0)).await.expect("begins");
            let rest = Head { blocks: sealing.head.blocks.clone(), chunks: sealing.head.chunks.clone() };
            let Some(all) = read_head(store, &rest).await else { continue };
            let chunks = vec![(Action::View, rows(&all.into_iter().collect::<Vec<_>>()))];
            assert!(store.swap(Swap { chunks, ..swap_of(&sealing) }).await.expect("swaps"));
        }
    };
    let look = async {
        let mut seen = 0;
        for _ in 0..40 {
            let found = read(store, 0).await;
            assert_eq!(found, (0..i64::try_from(found.len()).expect("few")).collect::<Vec<_>>());
            assert!(found.len() >= seen, "rows went away");
            seen = found.len();
        }
    };
    join3(add_all, seal, look).await;
    assert_eq!(read(store, 0).await, (0..ADDED).collect::<Vec<_>>());
}

/// Who reads while the floor is raised finds records as they were written, or none, and never those of another minute.
pub async fn readers_find_nothing_wrong_below_the_floor(store: &impl MinuteStore) {
    const MINUTES: i64 = 30;
    for number in 0..MINUTES {
        add(store, number, &[number]).await;
        let sealing = store.begin_seal(minute(number)).await.expect("begins");
        assert!(
            store
                .swap(Swap { chunks: vec![(Action::Buy, rows(&[number]))], ..swap_of(&sealing) })
                .await
                .expect("swaps")
        );
        add(store, number, &[number]).await;
    }
    let all: Vec<_> = (0..MINUTES).map(minute).collect();
    let before = heads(store, &all).await;
    let raise = async {
        for &floor in &all {
            store.raise_floor(floor).await.expect("raises");
        }
    };
    let look = async {
        for _ in 0..5 {
            for (number, head) in (0..).zip(&before) {
                let blocks = store.blocks(&head.blocks).await.expect("reads");
                let chunks = store.chunks(&head.chunks).await.expect("reads");
                assert_eq!((blocks.len(), chunks.len()), (1, 1));
                for record in blocks.into_iter().chain(chunks).flatten() {
                    assert_eq!(record, rows(&[number]));
                }
            }
        }
    };
    join(raise, look).await;
    assert_eq!(read(store, MINUTES - 1).await, [MINUTES - 1]);
}

/// A record of these checks: its rows are numbers.
fn rows(rows: &[i64]) -> Bytes {
    rows.iter().flat_map(|row| row.to_be_bytes()).collect()
}

fn minute(number: i64) -> BucketStart {
    BucketStart::from_minutes(START_MINUTES + number)
}

/// A swap of all that the head had, for nothing.
fn swap_of(sealing: &crate::Sealing) -> Swap {
    let Head { blocks, chunks } = sealing.head.clone();
    Swap {
        bucket: sealing.bucket,
        token: sealing.token,
        merged: blocks,
        replaced: chunks,
        chunks: Vec::new(),
    }
}

async fn add(store: &impl MinuteStore, number: i64, numbers: &[i64]) {
    assert_eq!(store.add_blocks(vec![(minute(number), rows(numbers))]).await.expect("adds"), 0);
}

async fn heads(store: &impl MinuteStore, buckets: &[BucketStart]) -> Vec<Head> {
    store.heads(buckets).await.expect("reads heads")
}

async fn head(store: &impl MinuteStore, number: i64) -> Head {
    heads(store, &[minute(number)]).await.remove(0)
}

async fn blocks(store: &impl MinuteStore, head: &Head) -> Vec<Bytes> {
    let blocks = store.blocks(&head.blocks).await.expect("reads blocks");
    blocks.into_iter().map(|block| block.expect("the head names it")).collect()
}

async fn chunks_of(store: &impl MinuteStore, head: &Head) -> Vec<Bytes> {
    let chunks = store.chunks(&head.chunks).await.expect("reads chunks");
    chunks.into_iter().map(|chunk| chunk.expect("the head names it")).collect()
}

fn sorted(mut records: Vec<Bytes>) -> Vec<Bytes> {
    records.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    records
}

/// The different rows of a minute, as a reader finds them: where a record is gone, it takes the head again.
async fn read(store: &impl MinuteStore, number: i64) -> Vec<i64> {
    for _ in 0..READS {
        if let Some(rows) = read_head(store, &head(store, number).await).await {
            return rows.into_iter().collect();
        }
    }
    panic!("records that the head names were gone {READS} times");
}

async fn read_head(store: &impl MinuteStore, head: &Head) -> Option<BTreeSet<i64>> {
    let mut records = store.blocks(&head.blocks).await.expect("reads blocks");
    records.extend(store.chunks(&head.chunks).await.expect("reads chunks"));
    let mut rows = BTreeSet::new();
    for record in records {
        let record = record?;
        rows.extend(record.as_chunks::<8>().0.iter().map(|row| i64::from_be_bytes(*row)));
    }
    Some(rows)
}
