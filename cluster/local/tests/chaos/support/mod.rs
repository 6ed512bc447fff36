//! What the ledger of the survival tests stands on, here before a cluster's edge.

#![allow(dead_code, reason = "the files are those of the embedded tests, and more is in them")]

#[path = "../../../../../functions/embedded/tests/support/http.rs"]
pub(crate) mod http;
#[path = "../../../../../functions/embedded/tests/support/small_disk.rs"]
pub(crate) mod small_disk;
#[path = "../../../../../functions/embedded/tests/support/tags.rs"]
pub(crate) mod tags;

use std::time::{Duration, Instant};

/// What the store forgot in a crash is replayed first, from a minute before it.
const RIGHT_WITHIN: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(200);

/// Asks again and again until the answer is right.
pub(crate) fn eventually<T>(mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + RIGHT_WITHIN;
    loop {
        match attempt() {
            Ok(done) => return done,
            Err(wrong) => assert!(Instant::now() < deadline, "still not right: {wrong}"),
        }
        std::thread::sleep(LOOK);
    }
}

/// The edge under the name that the ledger knows.
pub(crate) mod allezon {
    use std::net::SocketAddr;

    use super::http::{Answer, Client, Request};

    /// An Allezon, wherever it runs.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Allezon {
        pub(crate) address: SocketAddr,
    }

    impl Allezon {
        /// One request on a connection of its own.
        pub(crate) fn ask(&self, request: &Request) -> Answer {
            self.client().ask(request).unwrap_or_else(|error| panic!("{error}: {}", request.target))
        }

        pub(crate) fn client(&self) -> Client {
            Client::connect(self.address).unwrap_or_else(|error| panic!("the edge is gone: {error}"))
        }
    }
}
