//! The parts of a cluster beside Kafka and Aerospike: one table.

use std::net::SocketAddr;

/// A program that runs as a process of its own.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) program: &'static str,
    /// Stages start one after the other, and stop the other way round.
    pub(crate) stage: u8,
    /// The paths that the edge sends to it.
    pub(crate) paths: &'static [&'static str],
    /// The function that it delivers events to, whose name is its consumer group's.
    pub(crate) delivers_to: Option<&'static str>,
}

/// Whom the others ask for names.
const NAMES: u8 = 0;
const FUNCTIONS: u8 = 1;
/// Who calls the functions.
const DELIVERERS: u8 = 2;
pub(crate) const STAGES: u8 = 3;

/// The part that gets the ticks.
pub(crate) const SEALER: &str = "sealer";
const ID_SERVICE: &str = "id-service";

/// In the order of their ports.
pub(crate) const PARTS: [Part; 12] = [
    function("user-tags", FUNCTIONS, &["/user_tags"]),
    function("user-profiles", FUNCTIONS, &["/user_profiles"]),
    function("aggregates", FUNCTIONS, &["/aggregates"]),
    function("profile-worker", FUNCTIONS, &[]),
    function("aggregate-worker", FUNCTIONS, &[]),
    function(SEALER, FUNCTIONS, &[]),
    function(ID_SERVICE, NAMES, &["/get_id", "/get_ids", "/get_elements", "/id_service"]),
    deliverer("profile-deliverer", "profile-worker"),
    deliverer("aggregate-deliverer", "aggregate-worker"),
    function("explore", FUNCTIONS, &["/explore"]),
    function("console", FUNCTIONS, &["/console"]),
    function("dead-letters", FUNCTIONS, &["/dead_letters", "/replay"]),
];

const fn function(name: &'static str, stage: u8, paths: &'static [&'static str]) -> Part {
    Part { name, program: name, stage, paths, delivers_to: None }
}

const fn deliverer(name: &'static str, to: &'static str) -> Part {
    Part { name, program: "deliverer", stage: DELIVERERS, paths: &[], delivers_to: Some(to) }
}

/// What every program must know of the others.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    pub(crate) brokers: String,
    pub(crate) aerospike: String,
    pub(crate) namespace: String,
}

impl Part {
    /// Its variables, beside those that have good defaults. `address_of` knows all parts.
    pub(crate) fn environment(
        &self,
        surroundings: &Surroundings,
        address_of: impl Fn(&str) -> SocketAddr,
    ) -> Vec<(String, String)> {
        let mut variables = vec![
            ("LISTEN", address_of(self.name).to_string()),
            // Read by a person, though we stand in between.
            ("LOG_FORMAT", "human".to_owned()),
            ("KAFKA_BROKERS", surroundings.brokers.clone()),
            ("AEROSPIKE_HOSTS", surroundings.aerospike.clone()),
            ("AEROSPIKE_NAMESPACE", surroundings.namespace.clone()),
            ("ID_SERVICE_URL", format!("http://{}", address_of(ID_SERVICE))),
        ];
        if let Some(sink) = self.delivers_to {
            variables.push(("GROUP", sink.to_owned()));
            variables.push(("SINK", format!("http://{}/", address_of(sink))));
        }
        variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_an_address_and_a_stage() {
        let address_of = |name: &str| {
            let at = PARTS.iter().position(|part| part.name == name).expect("a part of the table");
            SocketAddr::from(([127, 0, 0, 1], 8081 + u16::try_from(at).expect("few")))
        };
        let surroundings =
            Surroundings { brokers: "k:1".into(), aerospike: "a:2".into(), namespace: "allezon".into() };
        let of = |name: &str, variable: &str| {
            let part = PARTS.iter().find(|part| part.name == name).expect("a part of the table");
            assert!(part.stage < STAGES);
            let all = part.environment(&surroundings, address_of);
            all.into_iter().find(|(known, _)| known == variable).map(|(_, value)| value)
        };
        for part in &PARTS {
            assert_eq!(of(part.name, "KAFKA_BROKERS").as_deref(), Some("k:1"));
            assert_eq!(of(part.name, "ID_SERVICE_URL").as_deref(), Some("http://127.0.0.1:8087"));
        }
        assert_eq!(of("user-tags", "LISTEN").as_deref(), Some("127.0.0.1:8081"));
        assert_eq!(of("user-tags", "SINK"), None);
        assert_eq!(of("profile-deliverer", "SINK").as_deref(), Some("http://127.0.0.1:8084/"));
        assert_eq!(of("aggregate-deliverer", "GROUP").as_deref(), Some("aggregate-worker"));
        assert_eq!(of("aggregate-deliverer", "LISTEN").as_deref(), Some("127.0.0.1:8089"));
    }
}
