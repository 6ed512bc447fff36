//! What a proxy takes out of heads and puts in: RFC 9110, 7.6.1.

use std::net::IpAddr;

use http::header::{CONNECTION, EXPECT, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Removes what speaks of one connection only: named ones, and those that `Connection` names.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
}

/// What a function is to know of the client.
pub(super) fn prepare(headers: &mut HeaderMap, peer: IpAddr) {
    remove_hop_by_hop(headers);
    // We have answered it ourselves.
    headers.remove(EXPECT);
    let before: Vec<&str> =
        headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    let peer = peer.to_string();
    let path = before.into_iter().chain([peer.as_str()]).collect::<Vec<_>>().join(", ");
    headers.insert(FORWARDED_FOR, HeaderValue::try_from(path).expect("visible ASCII"));
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn what_is_of_one_connection_stays_there() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Mine"),
            ("connection", "x-too"),
            ("x-mine", "1"),
            ("x-too", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("expect", "100-continue"),
            ("x-forwarded-for", "10.0.0.1"),
            ("host", "shop"),
            ("idempotency-key", "7"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        prepare(&mut headers, Ipv4Addr::LOCALHOST.into());
        let mut left: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.to_str().expect("ASCII"))).collect();
        left.sort_unstable();
        let expected =
            [("host", "shop"), ("idempotency-key", "7"), ("x-forwarded-for", "10.0.0.1, 127.0.0.1")];
        assert_eq!(left, expected);
    }
}
