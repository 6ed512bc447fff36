//! The checkpoint: how far the workers were when the store was whole, as an event on a log of its own.

use std::collections::BTreeMap;

use cloudevents::{AttributesReader, Event, EventBuilder, EventBuilderV10};
use event_log::{Error, EventLog, Position, Span};
use model::batch::{BatchError, data_bytes};
use serde::{Deserialize, Serialize};
use store::{Condition, Server};

/// What the workers had put into which store. Everything before these positions was acknowledged by the store before
/// `at_ms`; a store that forgot the last seconds before it went away may miss some of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// For each consumer group, its position in each partition.
    pub groups: Groups,
    /// The key of the store's cluster then.
    pub cluster_key: String,
    /// When each of its servers had started, in milliseconds since 1970.
    pub servers: BTreeMap<String, u64>,
}

/// What a store acknowledged that much earlier, no crash takes back: Aerospike's were seen to take 1.6 s.
const SAFELY_OLDER_MS: u64 = 60_000;

/// For each consumer group, its position in each partition, by the partition's number.
pub type Groups = BTreeMap<String, Vec<Position>>;

#[derive(Serialize, Deserialize)]
struct Payload {
    version: u64,
    at_ms: u64,
    groups: BTreeMap<String, Vec<u64>>,
    cluster_key: String,
    servers: BTreeMap<String, u64>,
}

impl Checkpoint {
    /// The type of its events.
    pub const EVENT_TYPE: &str = "com.allezon.checkpoint.noted";
    const VERSION: u64 = 1;

    /// All that a log holds, the oldest first. What is no checkpoint is left out.
    pub async fn read_all<L: EventLog>(log: &L) -> Result<Vec<Self>, Error> {
        let mut all = Vec::new();
        let mut span = Span::to_now(log, Position::default()).await?;
        while let Some(recorded) = span.next().await? {
            all.extend(recorded.iter().filter_map(|recorded| Self::from_event(&recorded.event).ok()));
        }
        Ok(all)
    }

    /// Of a store in this condition.
    pub fn new(at_ms: u64, groups: Groups, condition: &Condition) -> Self {
        let servers = condition.servers.iter().map(|server| (server.id.clone(), server.started_ms)).collect();
        Self { at_ms, groups, cluster_key: condition.cluster_key.clone(), servers }
    }

    /// Whether the store may have forgotten what it had acknowledged when this was noted.
    pub fn may_be_forgotten_by(&self, condition: &Condition) -> bool {
        let servers =
            self.servers.iter().map(|(id, started_ms)| Server { id: id.clone(), started_ms: *started_ms });
        let then = Condition {
            servers: servers.collect(),
            cluster_key: self.cluster_key.clone(),
            ..Condition::default()
        };
        condition.may_have_forgotten_since(&then)
    }

    /// The position in this partition before which no group has anything left to do.
    pub fn position(&self, partition: usize) -> Position {
        let in_partition = |group: &Vec<Position>| group.get(partition).copied().unwrap_or_default();
        self.groups.values().map(in_partition).min().unwrap_or_default()
    }

    /// The event that carries it.
    pub fn to_event(&self) -> Event {
        let numbers = |positions: &Vec<Position>| positions.iter().map(|position| position.0).collect();
        let payload = Payload {
            version: Self::VERSION,
            at_ms: self.at_ms,
            groups: self.groups.iter().map(|(group, at)| (group.clone(), numbers(at))).collect(),
            cluster_key: self.cluster_key.clone(),
            servers: self.servers.clone(),
        };
        EventBuilderV10::new()
            .id(self.at_ms.to_string())
            .source("/sealer")
            .ty(Self::EVENT_TYPE)
            .data("application/json", serde_json::to_vec(&payload).expect("plain fields always serialise"))
            .build()
            .expect("the attributes are set")
    }

    /// The checkpoint that an event carries.
    pub fn from_event(event: &Event) -> Result<Self, BatchError> {
        if event.ty() != Self::EVENT_TYPE {
            return Err(BatchError::Damaged(format!("type {} is no checkpoint", event.ty())));
        }
        let payload: Payload = serde_json::from_slice(&data_bytes(event))
            .map_err(|cause| BatchError::Damaged(cause.to_string()))?;
        if payload.version > Self::VERSION {
            return Err(BatchError::Newer(payload.version));
        }
        let positions = |numbers: Vec<u64>| numbers.into_iter().map(Position).collect();
        Ok(Self {
            at_ms: payload.at_ms,
            groups: payload.groups.into_iter().map(|(group, at)| (group, positions(at))).collect(),
            cluster_key: payload.cluster_key,
            servers: payload.servers,
        })
    }
}

/// The newest of these, the oldest of which is first, that is so much older than this time that no crash since then takes
/// away what it speaks of. Without one, only the beginning of the log is safe.
pub fn safely_older<'a>(
    checkpoints: impl IntoIterator<Item = &'a Checkpoint, IntoIter: DoubleEndedIterator>,
    than_ms: u64,
) -> Option<&'a Checkpoint> {
    checkpoints.into_iter().rfind(|checkpoint| checkpoint.at_ms + SAFELY_OLDER_MS <= than_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(key: &str) -> Condition {
        let servers = vec![Server { id: "a".into(), started_ms: 10_000 }];
        Condition { servers, cluster_key: key.into(), cluster_size: 1, ..Condition::default() }
    }

    #[test]
    fn goes_through_an_event_and_back() {
        let groups = Groups::from([
            ("profile-worker".into(), vec![Position(7), Position(3)]),
            ("aggregate-worker".into(), vec![Position(5), Position(4)]),
        ]);
        let checkpoint = Checkpoint::new(1, groups, &condition("K"));
        assert_eq!(Checkpoint::from_event(&checkpoint.to_event()), Ok(checkpoint.clone()));
        assert_eq!((checkpoint.position(0), checkpoint.position(1)), (Position(5), Position(3)));
        assert_eq!(checkpoint.position(2), Position(0), "a partition that was added later");
    }

    #[test]
    fn knows_the_store_it_was_noted_of() {
        let checkpoint = Checkpoint::new(1, Groups::new(), &condition("K"));
        assert!(!checkpoint.may_be_forgotten_by(&condition("K")));
        assert!(checkpoint.may_be_forgotten_by(&condition("L")));
    }

    #[test]
    fn is_not_guessed_at() {
        let of = |ty: &str, data: &str| {
            let event = EventBuilderV10::new().id("1").source("/x").ty(ty);
            Checkpoint::from_event(&event.data("application/json", data.as_bytes().to_vec()).build().unwrap())
        };
        let whole = r#"{"version":2,"at_ms":1,"groups":{},"cluster_key":"","servers":{}}"#;
        assert_eq!(of(Checkpoint::EVENT_TYPE, whole), Err(BatchError::Newer(2)));
        assert!(matches!(of("x", whole), Err(BatchError::Damaged(_))));
        assert!(matches!(of(Checkpoint::EVENT_TYPE, "{}"), Err(BatchError::Damaged(_))));
    }
}
