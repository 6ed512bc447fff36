//! Overload: 503 with Retry-After, nothing worse, and back to normal when it ends.

use crate::alone;
use crate::ledger::{Writer, check};
use crate::support::allezon::{Allezon, Home};
use crate::support::http::Client;
use crate::support::tags::{Tag, profile_request};

const CLIENTS: u64 = 64;

fn flood(server: &Allezon, writers: &mut [Writer], minute: usize) {
    let address = server.address;
    std::thread::scope(|scope| {
        for writer in writers {
            scope.spawn(move || writer.write(address, minute, 50));
        }
    });
}

fn count(writers: &[Writer], status: u16) -> usize {
    writers.iter().filter_map(|writer| writer.statuses.get(&status)).sum()
}

#[test]
fn too_many_requests_are_refused_and_nothing_answered_is_lost() {
    let _alone = alone();
    let home = Home::new();
    let server = home.start(&["--max-requests", "4"]);
    let mut writers: Vec<Writer> = (0..CLIENTS).map(Writer::new).collect();
    flood(&server, &mut writers, 0);
    let (taken, refused) = (count(&writers, 204), count(&writers, 503));
    assert!(taken > 0 && refused > 0, "{taken} taken, {refused} refused");
    // At once.
    for n in 0..10 {
        server.accept(&Tag::view("after", &format!("2022-03-01T00:00:0{n}Z")));
    }
    server.profile("after", (10, 0));
    // The ledger does not know those.
    let minute = 1;
    flood(&server, &mut writers, minute);
    server.kill();
    let server = home.start(&["--reset", "--yes"]);
    assert_eq!(server.ask(&profile_request("after")).json()["views"], serde_json::json!([]));
}

#[test]
fn what_is_answered_under_a_flood_is_there_once() {
    let _alone = alone();
    let home = Home::new();
    let server = home.start(&["--max-requests", "8"]);
    let mut writers: Vec<Writer> = (0..CLIENTS).map(Writer::new).collect();
    for minute in 0..3 {
        flood(&server, &mut writers, minute);
    }
    check(&server, &writers);
    assert!(count(&writers, 503) > 0);
}

#[test]
fn too_many_connections_are_turned_away() {
    let _alone = alone();
    let home = Home::new();
    let server = home.start(&["--max-connections", "8"]);
    let mut kept: Vec<Client> = (0..8).map(|_| server.client()).collect();
    for client in &mut kept {
        assert_eq!(
            client.ask(&Tag::view("c", "2022-03-01T00:00:00Z").request()).expect("an answer").status,
            204
        );
    }
    let turned_away = server.client().ask(&profile_request("c"));
    assert!(turned_away.is_ok_and(|answer| answer.status == 503 && answer.header("retry-after").is_some()));
    drop(kept);
    crate::support::eventually(|| match server.client().ask(&profile_request("c")) {
        Ok(answer) if answer.status == 200 => Ok(()),
        other => Err(format!("{other:?}")),
    });
    server.profile("c", (8, 0));
}

#[test]
fn too_many_bytes_at_once_are_refused() {
    let _alone = alone();
    let home = Home::new();
    let server = home.start(&["--max-held-bytes", "200000"]);
    let mut writers: Vec<Writer> = (0..16).map(|worker| Writer::new(worker).padded(60_000)).collect();
    flood(&server, &mut writers, 0);
    assert!(count(&writers, 204) > 0 && count(&writers, 503) > 0);
    check(&server, &writers);
}
