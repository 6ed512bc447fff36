//! What a cluster withstands: its parts killed, suspended, cut off and slowed under load. Nothing that was answered 204 is lost,
//! nothing is counted twice, nothing appears that was not sent; and all is back within 30 s of the repair.
//!
//! Runs where `ALLEZON_AEROSPIKE_SERVER` is a command that starts an Aerospike in the foreground, given a port and a directory:
//! `make chaos`. `ALLEZON_CHAOS_SEED` makes another order of the same harm, `ALLEZON_CHAOS_ROUNDS` more of it.

mod clients;
#[path = "../../../../functions/embedded/tests/survival/ledger.rs"]
mod ledger;
mod load;
mod server;
mod support;
mod tools;
mod world;

use std::time::Duration;

use local::Fault;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tokio::sync::{Mutex, MutexGuard};

use clients::Clients;
use support::small_disk::SmallDisk;
use world::{Harm, World};

const SEED: &str = "ALLEZON_CHAOS_SEED";
const ROUNDS: &str = "ALLEZON_CHAOS_ROUNDS";
/// Rounds of each scenario that draws its harm.
const FEW_ROUNDS: usize = 8;
/// As long as the contract of this suite says.
const LONG: Duration = Duration::from_secs(60);
/// What Kafka writes in this test is a few megabytes; the rest is filled.
const DISK_MEGABYTES: usize = 300;
/// Long enough that Kafka has seen it, ended, and been started in vain.
const FULL: Duration = Duration::from_secs(10);
const FUNCTIONS: [&str; 9] = [
    "user-tags",
    "user-profiles",
    "aggregates",
    "profile-worker",
    "aggregate-worker",
    "sealer",
    "id-service",
    "profile-deliverer",
    "aggregate-deliverer",
];

/// These tests load the machine; one after the other they disturb nobody.
async fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

/// How a server is started. Without, the test says that it is skipped.
fn command(test: &str) -> Option<String> {
    let command = std::env::var(server::COMMAND).ok().filter(|command| !command.is_empty());
    if command.is_none() {
        println!("SKIPPED {test}: {} is not set", server::COMMAND);
    }
    command
}

fn number(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).ok().map_or(otherwise, |text| text.parse().expect("a number"))
}

/// A few seconds, and parts of them.
fn moment(random: &mut SmallRng) -> Duration {
    Duration::from_millis(random.random_range(300..5_000))
}

/// Runs a scenario: harm in this order under load, then the check. Skipped where there is no server.
async fn scenario(name: &str, harms: impl FnOnce(&mut SmallRng, usize) -> Vec<Harm>) {
    let Some(command) = command(name) else { return };
    let _alone = alone().await;
    let seed = number(SEED, 1);
    let harms = harms(&mut SmallRng::seed_from_u64(seed as u64), number(ROUNDS, FEW_ROUNDS));
    println!("{name}, {SEED}={seed}: {harms:?}");
    let mut world = World::start(&command).await;
    world.load().await;
    for (round, harm) in harms.into_iter().enumerate() {
        world.suffer(round, harm).await;
    }
    world.check().await;
    world.stop().await;
}

fn any(random: &mut SmallRng) -> &'static str {
    FUNCTIONS.choose(random).expect("some")
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_are_killed() {
    scenario("functions_are_killed", |random, rounds| {
        // Each once at least, then any.
        let each = FUNCTIONS.into_iter();
        let more: Vec<_> = (0..rounds).map(|_| any(random)).collect();
        each.chain(more).map(Harm::Kill).collect()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_is_killed() {
    scenario("kafka_is_killed", |_, rounds| vec![Harm::Kill("kafka"); rounds / 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aerospike_is_killed() {
    scenario("aerospike_is_killed", |_, rounds| vec![Harm::KillStore; rounds / 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_suspended() {
    scenario("parts_are_suspended", |random, rounds| {
        let short = (0..rounds).map(|round| match round % 4 {
            0 => Harm::Suspend("kafka", moment(random)),
            1 => Harm::SuspendStore(moment(random)),
            _ => Harm::Suspend(any(random), moment(random)),
        });
        short.collect()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_suspended_for_a_minute() {
    scenario("parts_are_suspended_for_a_minute", |random, _| {
        vec![Harm::Suspend("kafka", LONG), Harm::SuspendStore(LONG), Harm::Suspend(any(random), LONG)]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_cut_and_slowed() {
    scenario("connections_are_cut_and_slowed", |random, rounds| {
        let slow = Fault::Slow { delay: Duration::from_millis(50), bytes_per_second: 200_000 };
        let faults = [Fault::Cut, Fault::Stall, slow];
        let drawn = (0..rounds).map(|round| {
            let fault = faults[round / 2 % faults.len()];
            if round % 2 == 0 {
                Harm::Kafka(fault, moment(random))
            } else {
                Harm::Store(fault, moment(random))
            }
        });
        drawn.collect()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_delivered_again() {
    scenario("everything_is_delivered_again", |_, _| {
        vec![Harm::Redeliver, Harm::Kill("kafka"), Harm::Redeliver]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_becomes_dead_letters() {
    scenario("poison_becomes_dead_letters", |_, _| vec![Harm::Poison; 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_of_kafka_is_full() {
    let name = "the_disk_of_kafka_is_full";
    let Some(command) = command(name) else { return };
    let Some(disk) = SmallDisk::mount(DISK_MEGABYTES) else {
        return println!("SKIPPED {name}: this user may not mount a small disk");
    };
    let _alone = alone().await;
    let mut world = World::start_on(&command, Some(disk)).await;
    world.load().await;
    for round in 0..2 {
        world.suffer(round, Harm::FillDisk(FULL)).await;
    }
    world.check().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_out_fails_no_request() {
    let Some(command) = command("a_roll_out_fails_no_request") else { return };
    let _alone = alone().await;
    let mut world = World::start(&command).await;
    world.load().await;
    let clients = Clients::start(world.edge());
    for (round, part) in FUNCTIONS.into_iter().enumerate() {
        world.suffer(round, Harm::Restart(part)).await;
    }
    let (answered, wrong) = clients.stop();
    println!("{answered} requests answered meanwhile");
    assert!(answered > 0 && wrong.is_empty(), "{answered} answered, and {}: {wrong:#?}", wrong.len());
    world.check().await;
    world.stop().await;
}
