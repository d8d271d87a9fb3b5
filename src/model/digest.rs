//! SHA-256, the one place that computes it.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// The hash of some bytes, as 64 lower-case hex digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// The first four bytes of the hash.
pub fn hash4(bytes: &[u8]) -> [u8; 4] {
    let hash = Sha256::digest(bytes);
    [hash[0], hash[1], hash[2], hash[3]]
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_hash_is_sha256() {
        // FIPS 180-4, example B.1: "abc".
        assert!(super::sha256_hex(b"abc").starts_with("ba7816bf8f01cfea"));
        assert_eq!(super::hash4(b"abc"), [0xba, 0x78, 0x16, 0xbf]);
    }
}
