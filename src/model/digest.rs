//! SHA-256, the one place that computes it.

use sha2::{Digest as _, Sha256};

/// The hash of some bytes, as 64 lower-case hex digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
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
