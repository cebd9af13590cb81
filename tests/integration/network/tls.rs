//! Servers whose certificate is right or wrong, and servers that want ours.

use super::authority::{Authority, Made};
use super::front::Front;
use super::harness::{Harness, KEY, RECORDS};
use plugin_host::Level;
use testkit::chunk;
use testkit::output::PATIENCE;
use testkit::shipping::Shipping;
use testkit::suite::Suite;

/// A test that needs certificates.
type Test = fn(&Authority);

pub fn add(suite: Suite, authority: &Made) -> Suite {
    let tests: [(&str, Test); 8] = [
        ("a_chain_is_trusted_by_tls_ca_file", a_chain_is_trusted),
        ("an_unknown_issuer_is_refused", an_unknown_issuer),
        ("a_certificate_of_the_past_is_refused", of_the_past),
        ("a_certificate_for_another_name_is_refused", for_another_name),
        ("a_client_certificate_is_asked_for", client_certificates),
        ("tls_verify_off_accepts_anything_and_warns", verify_off),
        ("a_server_without_tls_is_told_so", without_tls),
        ("the_systems_roots_are_trusted", the_systems_roots),
    ];
    tests.into_iter().fold(suite, |suite, (name, body)| {
        suite.needing(authority, &format!("tls::{name}"), move |authority| body(&authority))
    })
}

fn a_chain_is_trusted(authority: &Authority) {
    let harness = Harness::new();
    let front = Front::start(authority, "server", false, harness.receiver.addr());
    let lines =
        harness.assert_sends(&front.dsn(&harness.receiver.dsn()), &[("tls_ca_file", &authority.file("ca.crt"))]);
    assert!(lines.iter().all(|(level, _)| *level >= Level::Info), "{lines:#?}");
}

fn an_unknown_issuer(authority: &Authority) {
    let harness = Harness::new();
    let front = Front::start(authority, "server", false, harness.receiver.addr());
    let dsn = front.dsn(&harness.receiver.dsn());
    let words = "the certificate of 127.0.0.1 has an unknown issuer";
    harness.assert_refused(&dsn, &[("tls_ca_file", &authority.file("stranger.crt"))], Level::Error, words);
    harness.assert_delivers(&dsn, &[("tls_ca_file", &authority.file("ca.crt"))]);
}

fn of_the_past(authority: &Authority) {
    let words = "the certificate of 127.0.0.1 has expired on 2021-02-03; this machine's clock says 20";
    a_certificate_that_is_replaced(authority, "expired", words);
}

fn for_another_name(authority: &Authority) {
    let words = "the certificate is not for the name 127.0.0.1 but for other.example";
    a_certificate_that_is_replaced(authority, "elsewhere", words);
}

fn a_certificate_that_is_replaced(authority: &Authority, name: &str, words: &str) {
    let harness = Harness::new();
    let options = [("tls_ca_file", authority.file("ca.crt"))];
    let options = options.each_ref().map(|(name, value)| (*name, value.as_str()));
    let wrong = Front::start(authority, name, false, harness.receiver.addr());
    harness.assert_refused(&wrong.dsn(&harness.receiver.dsn()), &options, Level::Error, words);
    let right = Front::start(authority, "server", false, harness.receiver.addr());
    harness.assert_delivers(&right.dsn(&harness.receiver.dsn()), &options);
}

fn client_certificates(authority: &Authority) {
    let harness = Harness::new();
    let front = Front::start(authority, "server", true, harness.receiver.addr());
    let dsn = front.dsn(&harness.receiver.dsn());
    let [ca, ours, our_key] = ["ca.crt", "client.crt", "client.key"].map(|name| authority.file(name));
    let [strange, strange_key] = ["strange-client.crt", "strange-client.key"].map(|name| authority.file(name));
    let with = |crt, key| [("tls_ca_file", ca.as_str()), ("tls_crt_file", crt), ("tls_key_file", key)];
    let words = "refuses the client certificate in tls_crt_file (";
    harness.assert_refused(&dsn, &with(&strange, &strange_key), Level::Error, words);
    harness.assert_delivers(&dsn, &with(&ours, &our_key));
    let harness = Harness::new();
    let front = Front::start(authority, "server", true, harness.receiver.addr());
    let dsn = front.dsn(&harness.receiver.dsn());
    let words = "requires a client certificate; set tls_crt_file and tls_key_file";
    harness.assert_refused(&dsn, &[("tls_ca_file", &ca)], Level::Error, words);
    harness.assert_delivers(&dsn, &with(&ours, &our_key));
}

fn verify_off(authority: &Authority) {
    for name in ["expired", "elsewhere"] {
        let harness = Harness::new();
        let front = Front::start(authority, name, false, harness.receiver.addr());
        let lines = harness.assert_sends(&front.dsn(&harness.receiver.dsn()), &[("tls_verify", "off")]);
        let warned = |(level, line): &&(Level, String)| *level == Level::Warn && line.contains("tls_verify = off: ");
        assert_eq!(lines.iter().filter(warned).count(), 1, "{lines:#?}");
    }
}

fn without_tls(_: &Authority) {
    let harness = Harness::new();
    let plain = harness.receiver.dsn();
    let words = format!("{} does not speak TLS", harness.receiver.addr());
    harness.assert_refused(&plain.replace("http://", "https://"), &[], Level::Error, &words);
    harness.assert_delivers(&plain, &[]);
}

/// In a process of its own, whose system has our authority among its roots, and one whose system has nobody.
fn the_systems_roots(authority: &Authority) {
    let harness = Harness::new();
    let front = Front::start(authority, "server", false, harness.receiver.addr());
    let dsn = format!("dsn={}", front.dsn(&harness.receiver.dsn()));
    let shipping = Shipping::of(&chunk::numbered(0..RECORDS));
    let nobody = authority.write("nobody.crt", "");
    let nowhere = [("SSL_CERT_FILE", nobody.as_str()), ("SSL_CERT_DIR", "/nonexistent")];
    let status = shipping.run(&[&dsn], &nowhere).expect("expected an end");
    let log = shipping.log();
    assert!(!status.success() && log.contains("this system has no root certificates"), "{log}");
    let ours = authority.file("ca.crt");
    // Another spool: the chunk that waits in the first is sent again only after a random delay.
    let shipping = Shipping::of(&chunk::numbered(0..RECORDS));
    let status = shipping.run(&[&dsn, "exit_timeout=10s"], &[("SSL_CERT_FILE", &ours)]).expect("expected an end");
    assert!(status.success(), "{}", shipping.log());
    assert!(harness.receiver.wait_until(PATIENCE, |seen| seen.totals.logs >= RECORDS), "{}", shipping.log());
    assert!(!shipping.log().contains(KEY), "{}", shipping.log());
}
