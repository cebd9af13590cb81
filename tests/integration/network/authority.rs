//! A certificate authority of our own, made with `openssl` when a test needs it.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use testkit::process::on_path;
use testkit::tempdir::TempDir;

/// Extensions of each kind of certificate, and how the authorities keep their books.
const CONFIG: &str = "\
[req]
distinguished_name = name
prompt = no
[name]
CN = unused
[issuer]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[here]
subjectAltName = IP:127.0.0.1,DNS:localhost
extendedKeyUsage = serverAuth
[elsewhere]
subjectAltName = DNS:other.example
extendedKeyUsage = serverAuth
[client]
extendedKeyUsage = clientAuth
[ca]
default_ca = books
[books]
database = index
rand_serial = yes
new_certs_dir = .
default_md = sha256
policy = policy
unique_subject = no
[policy]
commonName = supplied
";

const YEARS: [&str; 4] = ["-startdate", "20240101000000Z", "-enddate", "20480101000000Z"];
const PAST: [&str; 4] = ["-startdate", "20200101000000Z", "-enddate", "20210203000000Z"];

/// A directory of certificates and keys. `NAME.crt` is a chain, its own certificate first; `NAME.key` is its key.
///
/// | name | what |
/// |---|---|
/// | `ca`, `stranger` | authorities that do not know each other |
/// | `server` | for this machine, signed by an authority between it and `ca` |
/// | `expired`, `elsewhere` | the same, but of the past; for another name |
/// | `client`, `strange-client` | for clients, signed by `ca` and by `stranger` |
/// | `rsa` | for clients, with an RSA key in PKCS#8; `rsa1.key` is the key in PKCS#1 |
#[derive(Debug)]
pub struct Authority(TempDir);

/// An authority, or why there is none.
pub type Made = Result<Arc<Authority>, String>;

impl Authority {
    /// Makes everything. It is gone with the last who holds it.
    ///
    /// # Errors
    /// Why not, for `skipped: ...`.
    pub fn new() -> Made {
        Self::make().map(Arc::new)
    }

    /// The path of a file.
    pub fn file(&self, name: &str) -> String {
        self.path(name).to_str().expect("expected a plain path").to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file's text.
    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Writes a file next to the others and returns its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap_or_else(|error| panic!("{name}: {error}"));
        self.file(name)
    }

    fn make() -> Result<Self, String> {
        on_path("openssl").ok_or("no openssl on PATH")?;
        let made = Self(TempDir::new("authority").map_err(|error| error.to_string())?);
        made.write("config", CONFIG);
        made.write("index", "");
        made.root("ca")?;
        made.root("stranger")?;
        made.signed("between", "ca", "issuer", YEARS)?;
        for (name, issuer, kind, time) in [
            ("server", "between", "here", YEARS),
            ("expired", "between", "here", PAST),
            ("elsewhere", "between", "elsewhere", YEARS),
            ("client", "ca", "client", YEARS),
            ("strange-client", "stranger", "client", YEARS),
        ] {
            made.signed(name, issuer, kind, time)?;
        }
        for name in ["server", "expired", "elsewhere"] {
            made.write(&format!("{name}.crt"), &(made.text(&format!("{name}.crt")) + &made.text("between.crt")));
        }
        made.openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "rsa.key"])?;
        made.certify("rsa", "ca", "client", YEARS)?;
        made.openssl(&["rsa", "-in", "rsa.key", "-traditional", "-out", "rsa1.key"])?;
        Ok(made)
    }

    fn root(&self, name: &str) -> Result<(), String> {
        let (key, crt) = (self.ec_key(name)?, format!("{name}.crt"));
        let subject = format!("/CN={name}");
        let what = ["-config", "config", "-extensions", "issuer", "-days", "3650", "-subj", &subject];
        self.openssl(&[&["req", "-x509", "-new", "-key", &key, "-out", &crt][..], &what].concat())
    }

    fn signed(&self, name: &str, issuer: &str, kind: &str, time: [&str; 4]) -> Result<(), String> {
        self.ec_key(name)?;
        self.certify(name, issuer, kind, time)
    }

    /// Makes a key of ECDSA P-256, in SEC1 and with its parameters before it, as `openssl` does; returns the file's name.
    fn ec_key(&self, name: &str) -> Result<String, String> {
        let key = format!("{name}.key");
        self.openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-out", &key])?;
        Ok(key)
    }

    fn certify(&self, name: &str, issuer: &str, kind: &str, time: [&str; 4]) -> Result<(), String> {
        let [key, csr, crt] = ["key", "csr", "crt"].map(|ending| format!("{name}.{ending}"));
        let [issuer_key, issuer_crt] = ["key", "crt"].map(|ending| format!("{issuer}.{ending}"));
        let subject = format!("/CN={name}");
        self.openssl(&["req", "-new", "-config", "config", "-key", &key, "-subj", &subject, "-out", &csr])?;
        let by = ["-keyfile", &issuer_key, "-cert", &issuer_crt, "-extensions", kind];
        let what = ["ca", "-batch", "-notext", "-config", "config", "-in", &csr, "-out", &crt];
        self.openssl(&[&what[..], &by, &time].concat())
    }

    /// Another form of a key or certificate.
    pub fn openssl(&self, args: &[&str]) -> Result<(), String> {
        let mut command = Command::new("openssl");
        let output = command.args(args).current_dir(self.0.path()).stdin(Stdio::null()).output();
        let output = output.map_err(|error| format!("openssl: {error}"))?;
        let why = || format!("openssl {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
        if output.status.success() { Ok(()) } else { Err(why()) }
    }
}
