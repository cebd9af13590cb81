//! Reads the date until which a certificate is valid: the one field of X.509 that is worth checking before a connection is
//! tried.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::path::Path;

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0] EXPLICIT`, the version, which may be left out.
const VERSION: u8 = 0xa0;

/// Returns the time at which each certificate of a file ends, as `YYYYMMDDHHMMSS`. Certificates that cannot be read are left
/// out.
pub(super) fn ends(file: &Path) -> Vec<String> {
    let certificates = CertificateDer::pem_file_iter(file).into_iter().flatten().flatten();
    certificates.filter_map(|certificate| end(&certificate)).collect()
}

/// `TBSCertificate.validity.notAfter` (RFC 5280 section 4.1).
fn end(certificate: &[u8]) -> Option<String> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut fields, _) = element(certificate)?;
    if fields.first() == Some(&VERSION) {
        fields = element(fields)?.2;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        fields = element(fields)?.2;
    }
    let (tag, validity, _) = element(fields)?;
    let (_, _, after) = element(validity).filter(|_| tag == SEQUENCE)?;
    let (tag, time, _) = element(after)?;
    let digits: String = std::str::from_utf8(time).ok()?.chars().filter(char::is_ascii_digit).collect();
    match (tag, digits.len()) {
        // RFC 5280: years from 50 on are of the last century.
        (UTC_TIME, 12) => Some(format!("{}{digits}", if digits.as_str() < "50" { "20" } else { "19" })),
        (GENERALIZED_TIME, 14) => Some(digits),
        _ => None,
    }
}

/// Returns the first DER element: its tag, its content, and the bytes after it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f)).filter(|(bytes, _)| bytes.len() <= 4)?;
        length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        rest = after;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_certificate() {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/tls");
        assert_eq!(ends(&data.join("expired.pem")), ["20210101000000"]);
        assert!(ends(&data.join("client.pem"))[0].as_str() > "2100");
        assert!(ends(&data.join("cut.pem")).is_empty() && ends(&data.join("none.pem")).is_empty());
    }

    #[test]
    fn nonsense_is_no_certificate() {
        for bytes in [&b""[..], b"\x30", b"\x30\x84\xff\xff\xff\xff", b"\x30\x02\x30\x00", b"\x30\x89123456789"] {
            assert_eq!(end(bytes), None, "{bytes:?}");
        }
    }
}
