//! What a store that does not answer does to questions, and they to each other.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use explore::Explore;
use function::{Failure, Function, Reply};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, poll_immediate};
use http::HeaderMap;
use model::BucketStart;
use store::{BlockKey, ChunkKey, Error, Head, MinuteStore, Sealing, Swap};
use tokio::sync::Semaphore;

use crate::shop::posted;

/// An empty store that answers a read of heads for each permit.
struct Slow(Semaphore);

impl MinuteStore for Slow {
    async fn add_blocks(&self, _: Vec<(BucketStart, Bytes)>) -> Result<usize, Error> {
        unreachable!("explore only reads")
    }

    async fn heads(&self, buckets: &[BucketStart]) -> Result<Vec<Head>, Error> {
        self.0.acquire().await.expect("open").forget();
        Ok(vec![Head::default(); buckets.len()])
    }

    async fn blocks(&self, keys: &[BlockKey]) -> Result<Vec<Option<Bytes>>, Error> {
        Ok(vec![None; keys.len()])
    }

    async fn chunks(&self, keys: &[ChunkKey]) -> Result<Vec<Option<Bytes>>, Error> {
        Ok(vec![None; keys.len()])
    }

    async fn calendar(&self) -> Result<Vec<(BucketStart, usize)>, Error> {
        Ok(vec![])
    }

    async fn begin_seal(&self, _: BucketStart) -> Result<Sealing, Error> {
        unreachable!("explore only reads")
    }

    async fn swap(&self, _: Swap) -> Result<bool, Error> {
        unreachable!("explore only reads")
    }

    async fn floor(&self) -> Result<Option<BucketStart>, Error> {
        Ok(None)
    }

    async fn raise_floor(&self, _: BucketStart) -> Result<(), Error> {
        unreachable!("explore only reads")
    }

    async fn tidy(&self) -> Result<(), Error> {
        unreachable!("explore only reads")
    }
}

fn ask(function: &Explore<Arc<Slow>>) -> BoxFuture<'_, Result<Reply, Failure>> {
    let question = r#"{"time_range":"2022-03-22T12:00:00_2022-03-22T12:01:00"}"#;
    function.call(posted(HeaderMap::new(), question)).boxed()
}

/// Whether a question is answered, or refused for now; none while it waits.
async fn answered(question: &mut BoxFuture<'_, Result<Reply, Failure>>) -> Option<bool> {
    match poll_immediate(question).await? {
        Ok(_) => Some(true),
        Err(Failure::Unavailable { .. }) => Some(false),
        Err(failure) => panic!("{failure}"),
    }
}

#[tokio::test]
async fn questions_wait_in_a_short_queue_and_leave_it_when_their_clients_go() {
    let store = Arc::new(Slow(Semaphore::new(0)));
    let function = Explore::new(Arc::clone(&store), 0);
    let mut waiting = Vec::new();
    loop {
        let mut question = ask(&function);
        match answered(&mut question).await {
            None => waiting.push(question),
            Some(is_answered) => {
                assert!(!is_answered, "nothing can be answered");
                break;
            }
        }
    }
    assert_eq!(waiting.len(), 18, "two are being answered, 16 wait");
    // The clients of those that are being answered go: the next two have their turns, and there is room for two more.
    drop(waiting.drain(..2));
    for _ in 0..2 {
        let mut question = ask(&function);
        assert_eq!(answered(&mut question).await, None);
        waiting.push(question);
    }
    assert_eq!(answered(&mut ask(&function)).await, Some(false));
    // More than are read for all of them, those of the clients that went included.
    store.0.add_permits(100);
    let all = futures_util::future::join_all(waiting);
    let all = tokio::time::timeout(Duration::from_secs(30), all).await.expect("the store answers");
    assert!(all.iter().all(Result::is_ok), "{all:?}");
}
