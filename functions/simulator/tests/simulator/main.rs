//! The commands against a toy Allezon: what is right scores 100 %, and what is wrong is found.

#![expect(clippy::unwrap_used, reason = "a test may panic where it fails")]

mod load;
mod replay;
mod score;
mod toy;
