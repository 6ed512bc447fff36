//! Small records of the store itself: a version, the content, a checksum.

use store::Error;

const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 4;

/// The stored bytes of a record that is one number.
pub(crate) fn encode(number: u64) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
    bytes
}

/// The number of those bytes; `what` names the record to a person.
pub(crate) fn decode(bytes: &[u8], what: &str) -> Result<u64, Error> {
    let damaged = || Error::Damaged(format!("the record of {what}"));
    let (content, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(damaged)?;
    if crc32c::crc32c(content).to_be_bytes() != *sum {
        return Err(damaged());
    }
    let (&version, number) = content.split_first().ok_or_else(damaged)?;
    if version > VERSION {
        return Err(Error::Newer(format!("the record of {what} has version {version}")));
    }
    number.try_into().map(u64::from_be_bytes).map_err(|_| damaged())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote_and_nothing_else() {
        for number in [0, 1, u64::MAX] {
            let good = encode(number);
            assert_eq!(decode(&good, "x").unwrap(), number);
            for at in 0..good.len() {
                let mut bad = good.clone();
                bad[at] ^= 1;
                assert!(matches!(decode(&bad, "x"), Err(Error::Damaged(_))));
                assert!(matches!(decode(&good[..at], "x"), Err(Error::Damaged(_))));
            }
        }
    }

    #[test]
    fn does_not_guess_at_a_newer_one() {
        let mut newer = vec![VERSION + 1, 1, 2, 3];
        newer.extend_from_slice(&crc32c::crc32c(&newer).to_be_bytes());
        assert!(matches!(decode(&newer, "x"), Err(Error::Newer(_))));
    }
}
