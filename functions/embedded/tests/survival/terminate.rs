//! SIGTERM under load.

use std::time::Duration;

use crate::alone;
use crate::ledger::{Writer, check};
use crate::support::allezon::Home;
use crate::support::http::Client;
use crate::support::tags::Tag;

#[test]
fn ends_with_zero_and_keeps_what_it_answered() {
    let _alone = alone();
    let home = Home::new();
    let mut writers: Vec<Writer> = (0..4).map(Writer::new).collect();
    for (round, durability) in ["disk", "process", "disk"].into_iter().enumerate() {
        let server = home.start(&["--durability", durability]);
        let address = server.address;
        let status = std::thread::scope(|scope| {
            for writer in &mut writers {
                scope.spawn(move || writer.write(address, round, usize::MAX));
            }
            std::thread::sleep(Duration::from_millis(300));
            server.terminate()
        });
        assert_eq!(status.code(), Some(0), "{}", home.log());
        let server = home.start(&[]);
        check(&server, &writers);
        assert!(server.terminate().success());
    }
    assert!(writers.iter().all(|writer| writer.answered() > 0));
}

#[test]
fn finishes_what_has_begun_and_takes_no_more() {
    let _alone = alone();
    let home = Home::new();
    let server = home.start(&[]);
    server.accept(&Tag::default());
    let address = server.address;
    let (erased, status) = std::thread::scope(|scope| {
        let mut idle = server.client();
        assert_eq!(
            idle.ask(&crate::support::http::Request::get("/health/readiness")).expect("an answer").status,
            200
        );
        // An erasure takes four seconds.
        let erasing = scope.spawn(move || {
            let erase = crate::support::http::Request::new("DELETE", "/user_profiles/9WkYGxkiXBfpMIjBGURC");
            Client::connect(address).expect("it listens").ask(&erase).expect("an answer").status
        });
        std::thread::sleep(Duration::from_millis(500));
        let status = server.terminate();
        assert!(Client::connect(address).is_err());
        (erasing.join().expect("no panic"), status)
    });
    assert_eq!((erased, status.code()), (204, Some(0)), "{}", home.log());
    let server = home.start(&[]);
    server.profile("9WkYGxkiXBfpMIjBGURC", (0, 0));
}
