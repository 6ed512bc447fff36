//! Free ports of this machine.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use rand::Rng;

/// Below those that Linux gives to outgoing connections, which are many here: one of them may have the port a moment later.
const PORTS: Range<u16> = 10_000..32_000;
/// Most are free as a rule.
const ATTEMPTS: usize = 1_000;

/// This many ports that nobody has now. Somebody may take one before it is used: then the start fails, and says so.
pub fn free(count: usize) -> io::Result<Vec<u16>> {
    // All are held until all are known, so that they differ.
    let held: Vec<_> = (0..count).map(|_| draw(bind)).collect::<io::Result<_>>()?;
    Ok(held.into_iter().map(|(port, _)| port).collect())
}

/// A free port whose neighbour is free too, as Kafka wants it.
pub fn free_pair() -> io::Result<u16> {
    draw(|port| bind(port).and(bind(port + 1))).map(|(port, _)| port)
}

/// A port with which `take` succeeds, and what it gives.
fn draw<T>(take: impl Fn(u16) -> io::Result<T>) -> io::Result<(u16, T)> {
    let mut outcome = Err(io::ErrorKind::AddrInUse.into());
    for _ in 0..ATTEMPTS {
        let port = rand::rng().random_range(PORTS);
        outcome = take(port).map(|taken| (port, taken));
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}
