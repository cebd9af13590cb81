//! A proxy as people run it, `tinyproxy`, where it is installed.

use super::authority::{Authority, Made};
use super::front::Front;
use super::harness::Harness;
use plugin_host::Level;
use std::ffi::OsStr;
use std::net::TcpStream;
use std::path::PathBuf;
use testkit::net::free_port;
use testkit::output::PATIENCE;
use testkit::process::{Group, Launch, on_path};
use testkit::suite::Suite;
use testkit::tempdir::TempDir;
use testkit::wait;

pub fn add(suite: Suite, authority: &Made) -> Suite {
    let tinyproxy = on_path("tinyproxy").ok_or_else(|| "no tinyproxy on PATH".to_owned());
    let with_tls = tinyproxy.clone().and_then(|program| Ok((program, authority.clone()?)));
    suite
        .needing(&tinyproxy, "tinyproxy::credentials_are_checked_and_nothing_is_lost", credentials)
        .needing(&tinyproxy, "tinyproxy::a_port_that_is_not_allowed_is_told", port_not_allowed)
        .needing(&with_tls, "tinyproxy::tls_goes_through_it", |(program, authority)| through(program, &authority))
}

/// A running proxy and its files.
struct Tiny {
    port: u16,
    _process: Group,
    _dir: TempDir,
}

impl Tiny {
    /// Starts one that asks for `me:hunter2`, with these further lines of configuration.
    fn start(program: PathBuf, lines: &str) -> Self {
        let dir = TempDir::new("tinyproxy").expect("expected a directory");
        let port = free_port().expect("expected a free port");
        let config = format!(
            "Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 50\nAllow 127.0.0.1\nBasicAuth me hunter2\n\
             PidFile \"{0}/pid\"\nLogFile \"{0}/proxy.log\"\n{lines}",
            dir.path().display()
        );
        let file = dir.path().join("config");
        std::fs::write(&file, config).expect("expected to write a file");
        let launch = Launch {
            program: program.as_os_str(),
            args: vec![OsStr::new("-d"), OsStr::new("-c"), file.as_os_str()],
            env: Vec::new(),
            without_env: &[],
            dir: dir.path(),
            temporary: Some(dir.path()),
            log: dir.path().join("log"),
        };
        let process = launch.start().expect("expected tinyproxy to start");
        let up = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        assert!(wait::until_true(PATIENCE, up), "{:?}", std::fs::read_to_string(dir.path().join("log")));
        Self { port, _process: process, _dir: dir }
    }

    fn url(&self, credentials: &str) -> String {
        format!("http://{credentials}@127.0.0.1:{}", self.port)
    }
}

fn credentials(program: PathBuf) {
    let (harness, proxy) = (Harness::new(), Tiny::start(program, ""));
    let dsn = harness.receiver.dsn();
    let wrong = proxy.url("me:hunter22");
    harness.assert_refused(&dsn, &[("proxy", &wrong)], Level::Error, "refuses its user and password (401)");
    harness.assert_delivers(&dsn, &[("proxy", &proxy.url("me:hunter2"))]);
}

fn port_not_allowed(program: PathBuf) {
    let (harness, proxy) = (Harness::new(), Tiny::start(program, "ConnectPort 443\n"));
    let words = format!("does not allow CONNECT to {} (403)", harness.receiver.addr());
    harness.assert_refused(&harness.receiver.dsn(), &[("proxy", &proxy.url("me:hunter2"))], Level::Error, &words);
    harness.assert_delivers(&harness.receiver.dsn(), &[]);
}

fn through(program: PathBuf, authority: &Authority) {
    let (harness, proxy) = (Harness::new(), Tiny::start(program, ""));
    let front = Front::start(authority, "server", false, harness.receiver.addr());
    let (dsn, ca) = (front.dsn(&harness.receiver.dsn()), authority.file("ca.crt"));
    let words = "has an unknown issuer";
    harness.assert_refused(&dsn, &[("proxy", &proxy.url("me:hunter2"))], Level::Error, words);
    harness.assert_delivers(&dsn, &[("proxy", &proxy.url("me:hunter2")), ("tls_ca_file", &ca)]);
}
