//! The port to names.

use std::future::Future;

use model::{Collection, NameNumber};

use crate::Error;

/// Small numbers for names. A pair of collection and name keeps its number for ever, whoever asks, however many at once.
pub trait Names: Send + Sync + 'static {
    /// The numbers of these names, in the order asked; `None` for a name over [`model::MAX_ELEMENT_BYTES`]. A name
    /// without a number gets one, unless its collection is full ([`Error::Full`]).
    fn number(
        &self,
        collection: &Collection,
        names: &[&str],
    ) -> impl Future<Output = Result<Vec<Option<NameNumber>>, Error>> + Send;

    /// The numbers that these names have, in the order asked; `None` for one that has none as of this question.
    fn find(
        &self,
        collection: &Collection,
        names: &[&str],
    ) -> impl Future<Output = Result<Vec<Option<NameNumber>>, Error>> + Send;

    /// The names of these numbers, in the order asked; `None` for a number that is not given away as of this question.
    fn name(
        &self,
        collection: &Collection,
        numbers: &[NameNumber],
    ) -> impl Future<Output = Result<Vec<Option<String>>, Error>> + Send;
}

impl<N: Names> Names for std::sync::Arc<N> {
    fn number(
        &self,
        collection: &Collection,
        names: &[&str],
    ) -> impl Future<Output = Result<Vec<Option<NameNumber>>, Error>> + Send {
        (**self).number(collection, names)
    }

    fn find(
        &self,
        collection: &Collection,
        names: &[&str],
    ) -> impl Future<Output = Result<Vec<Option<NameNumber>>, Error>> + Send {
        (**self).find(collection, names)
    }

    fn name(
        &self,
        collection: &Collection,
        numbers: &[NameNumber],
    ) -> impl Future<Output = Result<Vec<Option<String>>, Error>> + Send {
        (**self).name(collection, numbers)
    }
}
