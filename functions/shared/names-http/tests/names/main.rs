//! The names of the id-service over HTTP: asked of the real one, and of servers that mean harm.

#![expect(clippy::unwrap_used, reason = "a test may panic where it fails")]

mod contract;
mod hostile;
mod server;
mod service;
mod sharing;

use model::{Collection, NameNumber};
use names_http::{HttpNames, NamesOptions};
use store::Names;

const BRAND: Collection = Collection::BRAND;
/// Longer than any answer here takes, on any machine.
const PATIENT_MS: u64 = 60_000;

fn options(url: &str) -> NamesOptions {
    NamesOptions {
        id_service_url: url.to_owned(),
        id_service_timeout_ms: PATIENT_MS,
        ..NamesOptions::default()
    }
}

fn names(url: &str) -> HttpNames {
    HttpNames::new(&options(url)).expect("an address")
}

async fn number(names: &HttpNames, asked: &[&str]) -> Result<Vec<Option<u32>>, store::Error> {
    names.number(&BRAND, asked).await.map(values)
}

async fn find(names: &HttpNames, asked: &[&str]) -> Result<Vec<Option<u32>>, store::Error> {
    names.find(&BRAND, asked).await.map(values)
}

fn values(numbers: Vec<Option<NameNumber>>) -> Vec<Option<u32>> {
    numbers.into_iter().map(|number| number.map(NameNumber::value)).collect()
}

/// The reason for which there is no answer now.
fn unavailable<T: std::fmt::Debug>(told: Result<T, store::Error>) -> String {
    match told {
        Err(store::Error::Unavailable { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}
