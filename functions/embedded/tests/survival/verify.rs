//! `allezon verify` on what a process left.

use std::process::Output;

use crate::alone;
use crate::support::allezon::Home;
use crate::support::http::Request;
use crate::support::tags::Tag;

/// Keeps the log, so that there is something to compare with.
const KEPT: [&str; 2] = ["--log-retention-hours", "24"];
const TAGS: usize = 60;

fn verify(home: &Home, args: &[&str]) -> Output {
    let args = [&["verify"], args].concat();
    home.command(&args).output().expect("the program is there")
}

/// Fills a directory with tags of some minutes, one of them with a key of its own, and an erasure.
fn filled(home: &Home, price: i32) {
    let server = home.start(&KEPT);
    for number in 0..TAGS {
        let time = format!("2022-03-22T12:{:02}:00Z", number % 20);
        let action = if number % 3 == 0 { "BUY" } else { "VIEW" };
        let cookie = format!("c{}", number % 7);
        server.accept(&Tag { action, price, ..Tag::view(&cookie, &time) });
    }
    let keyed = Tag::default().request().header("idempotency-key", "a key");
    server.done(&keyed);
    server.done(&keyed);
    server.done(&Request::new("DELETE", "/user_profiles/c3"));
    assert!(server.terminate().success());
}

#[test]
fn tells_whether_the_store_is_what_the_log_says() {
    let _alone = alone();
    let home = Home::new();
    filled(&home, 3);
    // Twice: it changes nothing and lets nothing go, though it runs without `--log-retention-hours`.
    for _ in 0..2 {
        let output = verify(&home, &[]);
        let told = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{told}{}", home.log());
        for expected in [
            format!("the log: {} tags", TAGS + 2),
            "everything from its beginning on".into(),
            "compared: 20 minutes, the profiles of 8 shoppers".into(),
            "the store is what the log says".into(),
        ] {
            assert!(told.contains(&expected), "{told}");
        }
    }
    let sampled = verify(&home, &["--sample", "1000000"]);
    assert!(String::from_utf8_lossy(&sampled.stdout).contains("(one in 1000000)"));

    // The log of another shop: nothing of it is in this store.
    let other = Home::new();
    filled(&other, 4);
    for part in ["log", "names"] {
        std::fs::rename(home.data().join(part), home.data().join(format!("{part}.away"))).expect("renames");
    }
    std::fs::rename(other.data().join("names"), home.data().join("names")).expect("renames");
    std::fs::rename(other.data().join("log"), home.data().join("log")).expect("renames");
    let output = verify(&home, &[]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}{}", home.log());
    assert!(told.contains("missing in the store"), "{told}");
    assert!(home.log().contains("Error: the store is not what the log says"), "{}", home.log());
}

#[test]
fn says_what_the_log_does_not_hold_any_more() {
    let _alone = alone();
    let home = Home::new();
    let server = home.start(&[]);
    server.accept(&Tag::default());
    server.profile(&Tag::default().cookie, (1, 0));
    assert!(server.terminate().success());
    let output = verify(&home, &[]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}{}", home.log());
    assert!(told.contains("the log: "), "{told}");
}

#[test]
fn refuses_what_it_cannot_verify() {
    let _alone = alone();
    let home = Home::new();
    assert_eq!(verify(&home, &[]).status.code(), Some(1));
    assert!(home.log().contains("holds no data of Allezon"), "{}", home.log());
    let server = home.start(&[]);
    // The command truncates the log of the process; only what follows is looked at.
    assert_eq!(verify(&home, &[]).status.code(), Some(1));
    assert!(home.log().contains("is in use by another process"), "{}", home.log());
    assert!(server.terminate().success());
}
