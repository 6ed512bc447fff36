//! A server that dies, comes back, or stands still.

use model::Cookie;
use rustix::process::Signal;
use store::{Entry, Error, MinuteStore, ProfileStore};

use super::server::Server;
use super::{TOO_LONG, add, at_last, block, cookie, is_unavailable, minute, newest_first, read, view, views};
use crate::AerospikeStore;

#[tokio::test(flavor = "multi_thread")]
async fn goes_on_by_itself_after_a_crash() {
    let Some(mut server) = Server::start("goes_on_by_itself_after_a_crash", &[]) else { return };
    let store = server.connect().await.unwrap();
    let shopper = cookie("shopper");
    let entries: Vec<_> = (0..50).map(|number| view(&shopper, number, 20)).collect();
    store.put(entries[..25].to_vec()).await.unwrap();
    add(&store, minute(0), 1).await;
    let before = store.condition().await.unwrap();
    assert!(before.is_whole(1));
    assert!(!store.condition().await.unwrap().may_have_forgotten_since(&before));

    server.kill();
    for _ in 0..3 {
        assert!(is_unavailable(&store.put(entries.clone()).await));
        assert!(is_unavailable(&store.newest(&shopper, model::Action::View, super::EVER, 1).await));
        assert!(is_unavailable(&store.add_blocks(vec![(minute(0), block(2))]).await));
        assert!(is_unavailable(&store.heads(&[minute(0)]).await));
    }

    server.start_again();
    // Whatever it forgot, the log gives it again.
    at_last(async || store.put(entries.clone()).await).await;
    at_last(async || store.add_blocks(vec![(minute(0), block(2))]).await).await;
    assert_eq!(views(&store, &shopper).await, newest_first(&entries));
    assert!(read(&store, minute(0)).await.contains(&block(2)));
    assert!(store.condition().await.unwrap().may_have_forgotten_since(&before));
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_end_while_a_server_stands_still() {
    let Some(server) = Server::start("calls_end_while_a_server_stands_still", &[]) else { return };
    let store = server.connect().await.unwrap();
    let shopper = cookie("shopper");
    let entries: Vec<_> = (0..5).map(|number| view(&shopper, number, 20)).collect();
    store.put(entries.clone()).await.unwrap();
    add(&store, minute(0), 1).await;

    server.signal(Signal::STOP);
    let calls = async {
        assert!(is_unavailable(&store.put(entries.clone()).await));
        assert!(is_unavailable(&store.erase(&shopper, 1).await));
        assert!(is_unavailable(&store.newest(&shopper, model::Action::View, super::EVER, 1).await));
        assert!(is_unavailable(&store.add_blocks(vec![(minute(0), block(2)); 30]).await));
        assert!(is_unavailable(&store.calendar().await));
        assert!(is_unavailable(&store.begin_seal(minute(0)).await));
        assert!(is_unavailable(&store.raise_floor(minute(0)).await));
        assert!(is_unavailable(&store.condition().await));
    };
    tokio::time::timeout(TOO_LONG, calls).await.expect("every call ends");
    // New ones cannot connect either, and say so.
    let connecting = tokio::time::timeout(TOO_LONG, AerospikeStore::connect(&server.options));
    assert!(connecting.await.expect("ends").is_err());

    server.signal(Signal::CONT);
    at_last(async || store.put(entries.clone()).await).await;
    assert_eq!(views(&store, &shopper).await, newest_first(&entries));
    assert!(read(&store, minute(0)).await.contains(&block(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_writes_is_read() {
    let Some(server) = Server::start("a_server_that_stops_writes_is_read", &[]) else { return };
    let (store, shopper, entry) = with_something(&server).await;
    let fill = async {
        // The server looks only now and then how full it is.
        while !store.condition().await.unwrap().stop_writes {
            let added = add_much(&store).await;
            assert!(added.is_ok() || is_unavailable(&added));
        }
    };
    tokio::time::timeout(TOO_LONG, fill).await.expect("the server is full");
    let refused = store.put(vec![entry.clone()]).await.unwrap_err();
    assert!(refused.to_string().contains("stop-writes"), "{refused}");
    assert!(!store.condition().await.unwrap().is_whole(1));
    assert_eq!(views(&store, &shopper).await, newest_first(&[entry]));
    assert_eq!(read(&store, minute(0)).await, [block(1)]);
}

/// So small that no block of the disk is free long before the server stops the writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_room_is_read() {
    let Some(server) = Server::start("a_server_without_room_is_read", &[("FILESIZE", "128M")]) else {
        return;
    };
    let (store, shopper, entry) = with_something(&server).await;
    let fill = async {
        loop {
            if let Err(refused) = add_much(&store).await {
                return refused;
            }
        }
    };
    let refused = tokio::time::timeout(TOO_LONG, fill).await.expect("the server is full");
    assert!(is_unavailable(&Err::<(), _>(refused)));
    assert_eq!(views(&store, &shopper).await, newest_first(&[entry]));
    assert_eq!(read(&store, minute(0)).await, [block(1)]);
}

async fn with_something(server: &Server) -> (AerospikeStore, Cookie, Entry) {
    let store = server.connect().await.unwrap();
    let shopper = cookie("shopper");
    let entry = view(&shopper, 1, 20);
    store.put(vec![entry.clone()]).await.unwrap();
    add(&store, minute(0), 1).await;
    (store, shopper, entry)
}

/// 4 MB.
async fn add_much(store: &AerospikeStore) -> Result<usize, Error> {
    store.add_blocks(vec![(minute(1), vec![9; 500_000].into()); 8]).await
}
