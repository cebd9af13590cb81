//! Certificates and keys, looked at when the options are read: what is wrong with them now is wrong at the first
//! connection too, and there nobody reads the message.

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use std::path::{Path, PathBuf};

/// Checks for a file with certificates.
pub(super) fn certificates(file: &str) -> Result<PathBuf, &'static str> {
    match chain(&read(file)?) {
        Some(_) => Ok(file.into()),
        None => Err("a PEM file with at least one certificate"),
    }
}

/// Checks for a file with a private key.
pub(super) fn key(file: &str) -> Result<PathBuf, &'static str> {
    match PrivateKeyDer::from_pem_slice(&read(file)?) {
        Ok(_) => Ok(file.into()),
        Err(_) => Err("a PEM file with a private key (one without a passphrase)"),
    }
}

/// Checks that the two belong together. Files that have gone meanwhile are somebody else's finding.
pub(super) fn pair(certificate: &Path, key: &Path) -> Result<(), &'static str> {
    let chain = std::fs::read(certificate).ok().and_then(|pem| chain(&pem));
    let key = std::fs::read(key).ok().and_then(|pem| PrivateKeyDer::from_pem_slice(&pem).ok());
    let (Some(chain), Some(key)) = (chain, key) else { return Ok(()) };
    match CertifiedKey::from_der(chain, key, &default_provider()) {
        Ok(_) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(()),
        Err(Error::InconsistentKeys(_)) => Err("the key of the certificate in tls_crt_file"),
        Err(_) => Err("a certificate and a key (RSA, ECDSA or Ed25519) that can be used"),
    }
}

fn read(file: &str) -> Result<Vec<u8>, &'static str> {
    std::fs::read(file).map_err(|_| "a file that exists and can be read")
}

/// The certificates of a PEM text; `None` without any, or where one of them is cut off.
fn chain(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().ok()?;
    (!chain.is_empty()).then_some(chain)
}
