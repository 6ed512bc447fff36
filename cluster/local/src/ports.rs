//! Free ports of this machine.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// A pair of neighbours is found at once as a rule.
const ATTEMPTS: usize = 100;

/// This many ports that nobody has now. Somebody may take one before it is used: then the start fails, and says so.
pub fn free(count: usize) -> io::Result<Vec<u16>> {
    // All are held until all are known, so that they differ.
    let held: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
    held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

/// A free port whose neighbour is free too, as Kafka wants it.
pub fn free_pair() -> io::Result<u16> {
    for _ in 0..ATTEMPTS {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = first.local_addr()?.port();
        let is_free = |port| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_ok();
        if port.checked_add(1).is_some_and(is_free) {
            return Ok(port);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}
