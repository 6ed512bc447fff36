//! The contract suites: what every adapter must keep.
//!
//! An adapter's tests call each check with a store of their own, empty unless the check says otherwise; a check panics
//! where the promise is broken. Nothing here knows how a store works: what a port leaves open (whether a record that
//! left its head can still be read, say), the checks leave open too. Checks that ask for it get a way to reopen the store
//! (close it and open it again, or connect anew), or to let it settle (finish at once what it does by and by).

mod shuffle;

pub mod minutes;
pub mod names;
pub mod profiles;
