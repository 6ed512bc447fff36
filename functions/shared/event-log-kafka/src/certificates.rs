//! Notices that TLS files have changed.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::OpenError;
use crate::settings::Tls;

/// How often the files are looked at. A certificate is replaced hours before it expires.
pub(crate) const LOOK_EACH: Duration = Duration::from_secs(30);

/// The files that clients are made with.
#[derive(Debug)]
pub(crate) struct Certificates {
    tls: Option<Tls>,
    look_each: Duration,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    at: Instant,
    content: u64,
    generation: u64,
}

impl Certificates {
    /// Reads the files once.
    pub(crate) fn open(tls: Option<&Tls>) -> Result<Self, OpenError> {
        Self::look_each(tls, LOOK_EACH)
    }

    fn look_each(tls: Option<&Tls>, look_each: Duration) -> Result<Self, OpenError> {
        let content = tls.map_or(Ok(0), content)?;
        let seen = Mutex::new(Seen { at: Instant::now(), content, generation: 0 });
        Ok(Self { tls: tls.cloned(), look_each, seen })
    }

    /// Grows when the files have changed: what was made under a smaller one should be made anew.
    pub(crate) fn generation(&self) -> u64 {
        let Some(tls) = &self.tls else { return 0 };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.at.elapsed() >= self.look_each {
            seen.at = Instant::now();
            match content(tls) {
                Ok(content) if content != seen.content => {
                    tracing::info!("the certificates have changed: connecting anew");
                    seen.content = content;
                    seen.generation += 1;
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "going on with the certificates of before"),
            }
        }
        seen.generation
    }
}

/// Tells contents apart.
fn content(tls: &Tls) -> Result<u64, OpenError> {
    let mut hasher = DefaultHasher::new();
    for path in tls.files() {
        let bytes = fs::read(path).map_err(|cause| OpenError::Tls { path: path.clone(), cause })?;
        bytes.hash(&mut hasher);
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_content_is_a_new_generation() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| {
            let path = directory.path().join(name);
            fs::write(&path, content).unwrap();
            path
        };
        let tls = Tls { ca: file("ca", "1"), own: Some((file("cert", "1"), file("key", "1"))) };
        let certificates = Certificates::look_each(Some(&tls), Duration::ZERO).unwrap();
        assert_eq!(certificates.generation(), 0);
        file("key", "2");
        assert_eq!(certificates.generation(), 1);
        file("key", "2");
        assert_eq!(certificates.generation(), 1);
        fs::remove_file(&tls.ca).unwrap();
        assert_eq!(certificates.generation(), 1);
        file("ca", "2");
        assert_eq!(certificates.generation(), 2);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let tls = Tls { ca: "no/such/ca.pem".into(), own: None };
        let error = Certificates::open(Some(&tls)).unwrap_err();
        assert_eq!(error.to_string(), "cannot read the TLS file no/such/ca.pem");
    }
}
