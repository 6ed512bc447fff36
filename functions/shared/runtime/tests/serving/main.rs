//! Real servers on port 0 with small functions, and clients that write bytes.

mod drain;
mod events;
mod harness;
mod http;
mod limits;
mod staff;
mod streams;
