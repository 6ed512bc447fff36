//! What is done with a log after the fact: dead letters go back, the store is rebuilt, and it is verified.
//!
//! Events keep their identities for ever, so whatever is applied twice counts once, and all may run while traffic flows.
//! [`letters`], [`rebuild`] and [`verify`] are the uses, over ports only; like `embedded`, this room knows the functions, whose
//! rules it uses. [`progress`] is what a person sees meanwhile. The program beside it joins them to the cluster.

pub mod letters;
pub mod progress;
pub mod rebuild;
pub mod verify;
