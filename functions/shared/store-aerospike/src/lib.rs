//! The stores on Aerospike: profiles and minutes for any number of processes at once.
//!
//! [`AerospikeStore`] keeps the promises of `ProfileStore` and `MinuteStore` on servers of the Community
//! Edition. No process owns anything: each change is one operation of the server on one record, which commutes with all others
//! or carries a condition that holds only once. So every write may be repeated, and whoever dies in between leaves
//! something that the next one completes or clears away.
//!
//! | set | key | bins | how it changes |
//! |---|---|---|---|
//! | `profiles` | action, cookie | `tags`: ordered map of time and identity (16 bytes) to the packed tag; `erased`: ms | a put and the cut to the newest 200, on condition of `erased`, for all shoppers of a delivery in one batch |
//! | `values` | entry, action, cookie | `bytes` of a packed tag over 4 KiB | written once, before the profile names it by a stub: 200 tags with names of 64 KiB would not fit into a record |
//! | `minutes` | bucket | `blocks`, `chunks`: ordered maps of their keys; `version`: token; `tokens`: sealings to be buried | one operation each: add, begin, swap on condition of `version` |
//! | `blocks` | writer, counter | `bytes`, and `parts` where they are more than a record takes | written once, named within a minute |
//! | `chunks` | token, piece, action | the same | written once |
//! | `graves` | token | what a sealing adds and makes superfluous | written before the sealing's chunks |
//! | `calendar` | day, or `days` | ordered maps of minutes, of days | before the first block of a minute is named |
//! | `floor` | `floor` | `minute` | only grows |
//!
//! A head does not hold what left it (`old`, `pending`), since each block that is added rewrites it: graves do. Nor does it
//! hold `since`: blocks are opaque here, so the smallest `accepted_ms` in them is not known.
//!
//! # What the servers forget
//!
//! A crash takes back acknowledged writes of the last 1 to 2 s, and a deleted record may come back at any start, with one of its
//! older versions. The first is for the log to repair: [`AerospikeStore::condition`] tells that it may have happened.
//! The second changes no answer:
//!
//! * a head below the floor: calendar, adding and sealing ask for the floor, and readers take it after the records;
//! * blocks, chunks, graves: nothing leads to them but heads; no key is ever used twice;
//! * a profile is never deleted, its erasure is a bin that stays; a large value is emptied before it is deleted.
//!
//! | file | what |
//! |---|---|
//! | `store.rs`, `connect.rs`, `options.rs`, `condition.rs` | the handle; what must be right at the start; how the servers are |
//! | `calls.rs`, `rows.rs`, `error.rs`, `values.rs`, `keys.rs` | calls, retries, what failures mean; reading bins; where records lie |
//! | `profiles.rs`, `large.rs` | the newest tags of each shopper |
//! | `minutes.rs`, `adding.rs`, `heads.rs`, `records.rs`, `calendar.rs`, `sealing.rs`, `floor.rs` | blocks and chunks of each minute |
//! | `tidy.rs`, `sweep.rs` | clearing away |

mod adding;
mod calendar;
mod calls;
mod condition;
mod connect;
mod error;
mod floor;
mod heads;
mod keys;
mod large;
mod mend;
mod minutes;
mod options;
mod profiles;
mod records;
mod rows;
mod sealing;
mod store;
mod sweep;
mod tidy;
mod values;

pub use error::ConnectError;
pub use options::AerospikeOptions;
pub use store::AerospikeStore;

#[cfg(test)]
mod tests;
