//! Reads and checks the TLS files at startup, when a person can still fix them, so that a key that belongs to another
//! certificate is not first noticed on a connection.

use super::file::read_file;
use super::settings::Network;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, InconsistentKeys, RootCertStore};
use std::sync::Arc;
use ureq::tls::{Certificate, PemItem, PrivateKey, parse_pem};

/// Bytes of a file; all the roots of a system are a tenth of it.
const MAX_BYTES: u64 = 4 << 20;

/// The certificates of a file that can be trusted as issuers.
pub(super) fn roots(file: &str) -> Result<Vec<Certificate<'static>>, &'static str> {
    let found = certificates(file)?;
    let mut store = RootCertStore::empty();
    for certificate in &found {
        let added = store.add(CertificateDer::from(certificate.der()).into_owned());
        added.map_err(|_| "certificates that can be read; one in this file cannot")?;
    }
    Ok(found)
}

/// All certificates of a file, in its order.
pub(super) fn certificates(file: &str) -> Result<Vec<Certificate<'static>>, &'static str> {
    let items = items(file)?.into_iter();
    let found: Vec<_> = items
        .filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() { Err("a PEM file with at least one certificate") } else { Ok(found) }
}

/// The first private key of a file.
pub(super) fn private_key(file: &str) -> Result<Arc<PrivateKey<'static>>, &'static str> {
    let key = items(file).map(|items| {
        items.into_iter().find_map(|item| match item {
            PemItem::PrivateKey(key) => Some(key),
            _ => None,
        })
    });
    match key {
        Ok(Some(key)) => Ok(Arc::new(key)),
        // Of its two forms one has a name of its own, and one has headers that are no PEM any more.
        _ if read(file)?.windows(9).any(|part| part == b"ENCRYPTED") => Err("a private key without a passphrase"),
        Ok(None) => Err("a PEM file with a private key"),
        Err(expected) => Err(expected),
    }
}

fn items(file: &str) -> Result<Vec<PemItem<'static>>, &'static str> {
    let pem = read(file)?;
    parse_pem(&pem).collect::<Result<_, _>>().map_err(|_| "a whole PEM file; this one is cut or damaged")
}

fn read(file: &str) -> Result<Vec<u8>, &'static str> {
    read_file(file.as_ref(), MAX_BYTES).map_err(|_| "a file that exists and can be read")
}

/// Checks that the client's key fits its certificate. If it does not, returns the value found, and the value expected of
/// `tls_key_file`.
pub(super) fn check_together(network: &Network) -> Result<(), (&'static str, &'static str)> {
    let key = match (network.tls_chain.is_empty(), &network.tls_key) {
        (true, None) => return Ok(()),
        (false, Some(key)) => key,
        (true, Some(_)) => return Err(("a key without a certificate", "tls_crt_file as well")),
        (false, None) => return Err(("nothing", "a key, because tls_crt_file is set")),
    };
    let chain = network.tls_chain.iter().map(|certificate| CertificateDer::from(certificate.der()).into_owned());
    const KINDS: &str = "an RSA key of 2048 bits or more, ECDSA P-256 or P-384, or Ed25519";
    let der = PrivateKeyDer::try_from(key.der().to_vec()).map_err(|_| ("a key that cannot be read", KINDS))?;
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| ("a key", "TLS to work in this process"))?
        .with_root_certificates(RootCertStore::empty())
        .with_client_auth_cert(chain.collect(), der);
    match config {
        Ok(_) => Ok(()),
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(("a key of another certificate", "the key of the first certificate in tls_crt_file"))
        }
        Err(rustls::Error::InvalidCertificate(_)) => {
            Err(("a certificate that cannot be read", "a key of the first certificate in tls_crt_file"))
        }
        Err(_) => Err(("a key that cannot be used", KINDS)),
    }
}
