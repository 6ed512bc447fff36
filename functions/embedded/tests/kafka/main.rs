//! `allezon --log kafka`: every instance applies the whole topic, and what one of them holds is not missed by anybody.

#[path = "../../../shared/event-log-kafka/tests/support/broker.rs"]
mod broker;
#[path = "../support/mod.rs"]
mod support;

use broker::Broker;
use support::allezon::{Allezon, Home};
use support::eventually;
use support::http::Request;
use support::tags::Tag;

const TAGS: usize = 30;

fn flags(broker: &Broker) -> [&str; 4] {
    ["--log", "kafka", "--kafka-brokers", &broker.address]
}

/// Posts a tag until it is accepted: a broker that has only just started may be slow. Repeats count once.
fn accept(server: &Allezon, key: usize, tag: &Tag) {
    let request = tag.request().header("idempotency-key", &key.to_string());
    eventually(|| match server.ask(&request) {
        answer if answer.status == 204 => Ok(()),
        answer => Err(format!("{} {}", answer.status, answer.text())),
    });
}

fn check(server: &Allezon, tags: usize) {
    server.profile("c", (tags, 0));
    let count = "/aggregates?time_range=2022-03-22T12:15:00_2022-03-22T12:16:00&action=VIEW&aggregates=COUNT";
    eventually(|| match server.ask(&Request::post(count)).json()["rows"][0][2].as_str() {
        Some(counted) if counted == tags.to_string() => Ok(()),
        counted => Err(format!("{counted:?} instead of {tags}")),
    });
}

#[test]
fn each_instance_applies_the_whole_topic() {
    let Some(broker) = broker::own("allezon --log kafka") else { return };
    broker.run("topics");
    let (one, two) = (Home::new(), Home::new());
    let server = one.start(&flags(&broker));
    for number in 0..TAGS {
        accept(&server, number, &Tag::view("c", &format!("2022-03-22T12:15:{number:02}Z")));
    }
    server.kill();
    let server = one.start(&flags(&broker));
    check(&server, TAGS);

    // An instance that knows nothing yet, as after the loss of a pod, is ready when it knows everything.
    let other = two.start(&flags(&broker));
    assert_eq!(other.profile("c", (TAGS, 0)).status, 200);
    check(&other, TAGS);
    accept(&other, TAGS, &Tag::view("c", "2022-03-22T12:15:59Z"));
    check(&server, TAGS + 1);
    check(&other, TAGS + 1);

    assert!(server.terminate().success());
    let verified = one.command(&[&flags(&broker)[..], &["verify"]].concat()).output().expect("it is there");
    let told = String::from_utf8_lossy(&verified.stdout);
    assert!(
        verified.status.success() && told.contains("the store is what the log says"),
        "{told}{}",
        one.log()
    );
}

#[test]
fn what_is_missing_is_said_at_the_start() {
    let Some(broker) = broker::own("starts of allezon --log kafka") else { return };
    let told = Home::new().start_fails(&flags(&broker));
    assert!(told.contains("user-tags"), "{told}");
}
