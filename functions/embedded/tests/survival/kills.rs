//! kill -9 at random moments under load, again and again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::alone;
use crate::ledger::{Writer, check};
use crate::support::allezon::{Allezon, Home};
use crate::support::http::{Client, Request};
use crate::support::tags::{Tag, profile_request, profile_text};

/// How often it is killed, and for how long on a slow machine, unless `ALLEZON_KILLS` asks for a number of kills.
const KILLS: usize = 200;
const KILLING: Duration = Duration::from_secs(240);
/// Rounds between two checks of everything.
const CHECK_EACH: usize = 50;
const WRITERS: u64 = 3;
/// The most tags of one writer in a round: enough to be killed in the midst of them.
const TAGS_PER_ROUND: usize = 60;

/// Names that were numbered in front of us.
#[derive(Debug, Default)]
struct Numbers {
    known: HashMap<String, u64>,
    next: usize,
}

impl Numbers {
    fn ask(&mut self, client: &mut Client, name: &str) -> Option<u64> {
        let body = format!(r#"{{"collection_name":"kills","element":"{name}","create_missing":true}}"#);
        let answer = client.ask(&Request::post("/get_id").body(body)).ok()?;
        let id = answer.json()["id"].as_u64()?;
        let before = self.known.insert(name.to_owned(), id);
        assert!(before.is_none_or(|before| before == id), "{name} was {before:?} and is {id}");
        Some(id)
    }

    /// New names, until nobody answers any more.
    fn write(&mut self, address: SocketAddr, most: usize) {
        let Ok(mut client) = Client::connect(address) else { return };
        for _ in 0..most {
            // A name in doubt is asked for again in the next round.
            if self.ask(&mut client, &format!("name {}", self.next)).is_none() {
                return;
            }
            self.next += 1;
        }
    }

    fn check(&mut self, server: &Allezon) {
        let mut client = server.client();
        let names: Vec<String> = self.known.keys().cloned().collect();
        let mut ids: Vec<u64> =
            names.iter().map(|name| self.ask(&mut client, name).expect("an answer")).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), names.len(), "two names have one number");
    }
}

/// Ticks, until nobody answers any more, so that it is killed in the midst of sealing too.
fn seal(address: SocketAddr) {
    let Ok(mut client) = Client::connect(address) else { return };
    while client.ask(&Request::post("/sealer")).is_ok() {
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn nothing_is_lost_and_nothing_counted_twice() {
    let _alone = alone();
    let wanted = std::env::var("ALLEZON_KILLS").ok().map(|kills| kills.parse().expect("a number"));
    let started = Instant::now();
    let goes_on = |round| match wanted {
        Some(wanted) => round < wanted,
        None => round < KILLS && started.elapsed() < KILLING,
    };
    let mut random = SmallRng::seed_from_u64(17);
    let home = Home::new();
    let mut writers: Vec<Writer> = (0..WRITERS).map(Writer::new).collect();
    let mut numbers = Numbers::default();
    let mut kills = 0;
    for round in (0..).take_while(|round| goes_on(*round)) {
        kills = round + 1;
        let durability = if round % 2 == 0 { "disk" } else { "process" };
        let starting = home.spawn(&["--durability", durability, "--log-level", "warn"]);
        if random.random_ratio(1, 10) {
            // In the midst of repairing what the last one left.
            std::thread::sleep(Duration::from_micros(random.random_range(0..60_000)));
            starting.kill();
            continue;
        }
        let server = starting.wait();
        let (address, life) = (server.address, Duration::from_micros(random.random_range(5_000..120_000)));
        std::thread::scope(|scope| {
            for writer in &mut writers {
                scope.spawn(move || writer.write(address, round, TAGS_PER_ROUND));
            }
            scope.spawn(|| numbers.write(address, TAGS_PER_ROUND / 4));
            scope.spawn(move || seal(address));
            std::thread::sleep(life);
            server.kill();
        });
        if round % CHECK_EACH == CHECK_EACH - 1 {
            let server = home.start(&["--durability", durability]);
            check(&server, &writers);
            numbers.check(&server);
            server.kill();
        }
    }
    let server = home.start(&[]);
    check(&server, &writers);
    numbers.check(&server);
    assert!(server.terminate().success());
    let server = home.start(&[]);
    check(&server, &writers);
    let (sent, answered) =
        writers.iter().fold((0, 0), |(s, a), writer| (s + writer.count(), a + writer.answered()));
    println!(
        "killed {kills} times: {answered} of {sent} tags were answered, {} names numbered",
        numbers.known.len()
    );
    assert!(kills == 0 || answered > kills, "hardly anything was written: {answered}");
}

#[test]
fn an_answered_erasure_stays_done() {
    let _alone = alone();
    let home = Home::new();
    let (before, after) = (Tag::view("c", "2022-03-01T00:00:00Z"), Tag::view("c", "2022-03-01T00:01:00Z"));
    let server = home.start(&["--durability", "process"]);
    server.accept(&before);
    let erased = server.ask(&Request::new("DELETE", "/user_profiles/c"));
    server.accept(&after);
    server.kill();
    assert_eq!(erased.status, 204);
    for _ in 0..2 {
        let server = home.start(&[]);
        server.answers(&profile_request("c"), &profile_text("c", &[&after], &[]));
        server.kill();
    }
}
