//! Clients that are made when they are first needed, and made anew when the certificates have changed, or when they get no
//! answers.
//!
//! librdkafka 2.12 forgets all brokers when the last one that answers says that there is none, as a broker does that was
//! stuck and is coming back; it never asks the bootstrap brokers again then. A new client does.

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::OpenError;

/// A client that all share.
pub(crate) struct Renewed<T> {
    made: Mutex<Option<(u64, Arc<T>)>>,
}

impl<T> Default for Renewed<T> {
    fn default() -> Self {
        Self { made: Mutex::new(None) }
    }
}

impl<T> Renewed<T> {
    /// The client of this generation. Where none can be made, the one of before goes on.
    pub(crate) fn get(
        &self,
        generation: u64,
        make: impl FnOnce() -> Result<T, OpenError>,
    ) -> Result<Arc<T>, OpenError> {
        let mut made = self.made();
        match &*made {
            Some((of, client)) if *of == generation => return Ok(Arc::clone(client)),
            _ => {}
        }
        match (make(), &mut *made) {
            (Ok(client), made) => {
                let client = Arc::new(client);
                *made = Some((generation, Arc::clone(&client)));
                Ok(client)
            }
            (Err(error), Some((of, client))) => {
                tracing::error!(%error, "no new connection can be made, going on with the one of before");
                // Until the files change again, for then they may be complete.
                *of = generation;
                Ok(Arc::clone(client))
            }
            (Err(error), None) => Err(error),
        }
    }

    /// The next one is made anew, unless that has happened already.
    pub(crate) fn discard(&self, client: &Arc<T>) {
        let mut made = self.made();
        if made.as_ref().is_some_and(|(_, current)| Arc::ptr_eq(current, client)) {
            *made = None;
        }
    }

    fn made(&self) -> MutexGuard<'_, Option<(u64, Arc<T>)>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client that ends on a thread of its own: librdkafka waits for its threads then, and nobody else shall.
pub(crate) struct EndsAside<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> EndsAside<T> {
    pub(crate) fn new(client: T) -> Self {
        Self(Some(client))
    }
}

impl<T: Send + 'static> Deref for EndsAside<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl<T: Send + 'static> Drop for EndsAside<T> {
    fn drop(&mut self) {
        let client = self.0.take();
        // Without a thread it ends here.
        let _ = thread::Builder::new().name("kafka-end".to_owned()).spawn(move || drop(client));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_made_once_for_each_generation() {
        let client = Renewed::default();
        assert_eq!(*client.get(0, || Ok("first")).unwrap(), "first");
        assert_eq!(*client.get(0, || Ok("again")).unwrap(), "first");
        assert_eq!(*client.get(1, || Ok("second")).unwrap(), "second");
        assert_eq!(*client.get(2, || Err(OpenError::Config("half a file".into()))).unwrap(), "second");
        assert_eq!(*client.get(2, || Ok("third")).unwrap(), "second");
        assert_eq!(*client.get(3, || Ok("third")).unwrap(), "third");
    }

    #[test]
    fn a_discarded_one_is_made_anew_once() {
        let client = Renewed::default();
        let first = client.get(0, || Ok("first")).unwrap();
        client.discard(&first);
        assert_eq!(*client.get(0, || Ok("second")).unwrap(), "second");
        client.discard(&first);
        assert_eq!(*client.get(0, || Ok("third")).unwrap(), "second");
    }

    #[test]
    fn the_first_failure_is_told() {
        let client: Renewed<()> = Renewed::default();
        assert!(client.get(0, || Err(OpenError::Config("no such broker".into()))).is_err());
        assert!(client.get(0, || Ok(())).is_ok());
    }
}
