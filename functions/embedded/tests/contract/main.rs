//! The contract over real HTTP: its examples, its edges, its refusals. Every answer is checked against docs/openapi.json.

#[path = "../support/mod.rs"]
mod support;

mod aggregates;
mod debug_mode;
mod documented;
mod documents;
mod events;
mod hostile;
mod identities;
mod ids;
mod measurements;
mod profiles;
mod refusals;
mod retention;

use support::allezon::{Allezon, Home};
use support::http::{Answer, Request};

/// The program on an empty directory, which goes with it.
pub(crate) struct Fresh {
    allezon: Allezon,
    _home: Home,
}

impl Fresh {
    fn start(args: &[&str]) -> Self {
        let home = Home::new();
        Self { allezon: home.start(args), _home: home }
    }

    /// Asks, and checks that request and answer are as documented.
    fn checked(&self, request: &Request) -> Answer {
        let answer = self.allezon.ask(request);
        documented::check(request, &answer);
        answer
    }
}

impl std::ops::Deref for Fresh {
    type Target = Allezon;

    fn deref(&self) -> &Allezon {
        &self.allezon
    }
}
