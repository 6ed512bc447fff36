//! What was read stays in memory for the next question, for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use explore::{Explore, KEPT_BYTES};
use function::{Function, Reply};
use http::HeaderMap;
use model::BucketStart;
use serde_json::Value;
use store::{BlockKey, ChunkKey, Error, Head, MinuteStore, Sealing, Swap};
use store_embedded::EmbeddedStore;

use crate::shop::{Shop, posted};
use crate::tags;

/// A store, and how many chunks were read from it.
struct Watched(EmbeddedStore, AtomicUsize);

impl Watched {
    fn read(&self) -> usize {
        self.1.swap(0, Ordering::SeqCst)
    }
}

impl MinuteStore for Watched {
    async fn add_blocks(&self, _: Vec<(BucketStart, Bytes)>) -> Result<usize, Error> {
        unreachable!("explore only reads")
    }

    async fn heads(&self, buckets: &[BucketStart]) -> Result<Vec<Head>, Error> {
        self.0.heads(buckets).await
    }

    async fn blocks(&self, keys: &[BlockKey]) -> Result<Vec<Option<Bytes>>, Error> {
        self.0.blocks(keys).await
    }

    async fn chunks(&self, keys: &[ChunkKey]) -> Result<Vec<Option<Bytes>>, Error> {
        self.1.fetch_add(keys.len(), Ordering::SeqCst);
        self.0.chunks(keys).await
    }

    async fn calendar(&self) -> Result<Vec<(BucketStart, usize)>, Error> {
        self.0.calendar().await
    }

    async fn begin_seal(&self, _: BucketStart) -> Result<Sealing, Error> {
        unreachable!("explore only reads")
    }

    async fn swap(&self, _: Swap) -> Result<bool, Error> {
        unreachable!("explore only reads")
    }

    async fn floor(&self) -> Result<Option<BucketStart>, Error> {
        self.0.floor().await
    }

    async fn raise_floor(&self, _: BucketStart) -> Result<(), Error> {
        unreachable!("explore only reads")
    }

    async fn tidy(&self) -> Result<(), Error> {
        unreachable!("explore only reads")
    }
}

/// A shop whose tags are in chunks, and its store.
async fn sealed() -> (Shop, Arc<Watched>) {
    let shop = Shop::open();
    shop.put(0, tags()).await;
    shop.sealer.tick().await.expect("ticks");
    let store = Arc::new(Watched(shop.store.clone(), AtomicUsize::new(0)));
    (shop, store)
}

/// How many tags there were in the hour after noon.
async fn count(function: &Explore<Arc<Watched>>) -> Value {
    let question = r#"{"time_range":"2022-03-22T12:00:00_2022-03-22T13:00:00"}"#;
    let reply = function.call(posted(HeaderMap::new(), question)).await;
    let Ok(Reply::Document(document)) = reply else { panic!("no answer") };
    let answer: Value = serde_json::from_slice(&document.body).expect("JSON");
    answer["rows"][0][1].clone()
}

#[tokio::test]
async fn a_chunk_is_read_once_until_nobody_has_asked_for_a_while() {
    let (shop, store) = sealed().await;
    let function = Explore::new(Arc::clone(&store), KEPT_BYTES);
    assert_eq!((count(&function).await, store.read()), (5.into(), 4), "three minutes, one with both actions");
    assert_eq!((count(&function).await, store.read()), (5.into(), 0));
    // More in one of the minutes: its chunk is another one.
    shop.put(1, [tags().remove(0)]).await;
    assert_eq!((count(&function).await, store.read()), (6.into(), 0), "from a block");
    shop.sealer.tick().await.expect("ticks");
    assert_eq!((count(&function).await, store.read()), (6.into(), 1));

    let pass = async |time| {
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::task::yield_now().await;
        tokio::time::resume();
    };
    pass(Duration::from_secs(200)).await;
    assert_eq!((count(&function).await, store.read()), (6.into(), 0));
    pass(Duration::from_secs(200)).await;
    assert_eq!((count(&function).await, store.read()), (6.into(), 0), "200 s after the last question");
    pass(Duration::from_secs(301)).await;
    assert_eq!((count(&function).await, store.read()), (6.into(), 4), "nothing was kept for so long");
}

#[tokio::test]
async fn nothing_is_kept_without_memory_and_all_with_any() {
    let (_shop, store) = sealed().await;
    for (bytes, read_again) in [(0, 4), (u64::MAX, 0)] {
        let function = Explore::new(Arc::clone(&store), bytes);
        assert_eq!((count(&function).await, store.read()), (5.into(), 4));
        assert_eq!((count(&function).await, store.read()), (5.into(), read_again));
    }
}
