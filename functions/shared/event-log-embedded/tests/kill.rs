//! `kill -9`, many times, of a process that appends: what it said is there, in order, and nothing that it did not send.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod disk;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use cloudevents::AttributesReader;
use disk::{ids, numbered};
use event_log::{Append, EventLog, Position};
use event_log_embedded::{Durability, EmbeddedLog, Options};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const DIRECTORY: &str = "EVENT_LOG_TEST_DIRECTORY";
const DURABILITY: &str = "EVENT_LOG_TEST_DURABILITY";
const ROUNDS: u32 = 40;
/// Callers at once in the child. Each waits for its answer before it sends the next.
const CALLERS: u64 = 8;

fn options(durability: Durability) -> Options {
    Options { durability, segment_bytes: 300_000, ..Options::default() }
}

/// Not a test of its own: the process that is killed. Appends without an end, and says what was acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let durability = if std::env::var(DURABILITY).is_ok() { Durability::Process } else { Durability::Disk };
    let log = Arc::new(EmbeddedLog::open(directory, options(durability)).unwrap());
    let begin = first_free(&log).await;
    let callers = (0..CALLERS).map(|caller| {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            for nth in 0.. {
                let id = begin + caller + nth * CALLERS;
                let position = log.append(numbered(id, (id % 7 * 3_000) as usize)).await.unwrap();
                // One write for a line: a killed process leaves no half of one.
                std::io::stdout()
                    .write_all(format!("acknowledged {id} {}\n", position.0).as_bytes())
                    .unwrap();
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
}

/// Larger than every id in the log.
async fn first_free(log: &EmbeddedLog) -> u64 {
    ids(log).await.into_iter().max().map_or(0, |id| id + 1)
}

async fn kill_many_times(durability: Durability) {
    let directory = tempfile::tempdir().unwrap();
    let mut random = StdRng::seed_from_u64(9);
    let mut acknowledged = Vec::new();
    for _ in 0..ROUNDS {
        let lines = random.random_range(0..200);
        let pause = Duration::from_micros(random.random_range(0..8_000));
        acknowledged.extend(run_and_kill(directory.path(), durability, lines, pause));
    }
    assert!(acknowledged.len() > ROUNDS as usize, "nothing happened");
    let log = EmbeddedLog::open(directory.path(), options(durability)).unwrap();
    assert_eq!(log.bounds().await.unwrap().oldest, Position::default());
    let mut found = Vec::new();
    let mut next = Position::default();
    loop {
        let events = log.read(next, 1_000_000, Duration::ZERO).await.unwrap();
        let Some(last) = events.last() else { break };
        next = last.next;
        for recorded in events {
            let id: u64 = recorded.event.id().parse().unwrap();
            assert_eq!(recorded.event, numbered(id, (id % 7 * 3_000) as usize));
            found.push((id, recorded.position.0));
        }
    }
    let mut once: Vec<_> = found.iter().map(|(id, _)| *id).collect();
    once.sort_unstable();
    assert!(once.is_sorted_by(|one, next| one < next), "an event is there twice");
    // What was not acknowledged was on its way when a child was killed.
    assert!(found.len() - acknowledged.len() <= (ROUNDS as u64 * CALLERS) as usize, "phantoms");
    for (id, position) in &acknowledged {
        assert!(found.contains(&(*id, *position)), "{id} at {position} is lost");
    }
}

fn run_and_kill(directory: &Path, durability: Durability, lines: usize, pause: Duration) -> Vec<(u64, u64)> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child", "--exact", "--nocapture"]).env(DIRECTORY, directory);
    if durability == Durability::Process {
        command.env(DURABILITY, "process");
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut acknowledged = Vec::new();
    let mut read = output.lines().map(|line| line.unwrap()).filter_map(|line| parse(&line));
    acknowledged.extend(read.by_ref().take(lines));
    std::thread::sleep(pause);
    child.kill().unwrap();
    child.wait().unwrap();
    acknowledged.extend(read);
    acknowledged
}

fn parse(line: &str) -> Option<(u64, u64)> {
    let (_, rest) = line.split_once("acknowledged ")?;
    let (id, position) = rest.split_once(' ')?;
    Some((id.parse().ok()?, position.parse().ok()?))
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing() {
    kill_many_times(Durability::Disk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing_without_syncs() {
    kill_many_times(Durability::Process).await;
}
