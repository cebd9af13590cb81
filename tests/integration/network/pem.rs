//! The forms in which keys and certificates come, and what is refused at the start.

use super::authority::{Authority, Made};
use super::front::Front;
use super::harness::Harness;
use testkit::output::{load, options};
use testkit::suite::Suite;

pub fn add(suite: Suite, authority: &Made) -> Suite {
    suite
        .needing(authority, "pem::every_form_of_a_key_and_a_chain_is_read", |authority| every_form(&authority))
        .needing(authority, "pem::wrong_files_are_refused_at_the_start", |authority| wrong_files(&authority))
}

fn every_form(authority: &Authority) {
    authority.openssl(&["pkcs8", "-topk8", "-nocrypt", "-in", "client.key", "-out", "client8.key"]).expect("PKCS#8");
    let text = |name: &str| authority.text(name);
    let (key, crt) = (text("client.key"), text("client.crt"));
    assert!(key.contains("EC PARAMETERS") && key.contains("EC PRIVATE KEY"), "expected SEC1: {}", &key[..30]);
    assert!(text("rsa1.key").contains("RSA PRIVATE KEY"));
    // SEC1 with its parameters before it, PKCS#8 of two kinds, PKCS#1.
    for (crt, key) in [("client", "client.key"), ("client", "client8.key"), ("rsa", "rsa.key"), ("rsa", "rsa1.key")] {
        accepted(authority, &authority.file(&format!("{crt}.crt")), &authority.file(key));
    }
    let crlf = |name: &str, text: &str| authority.write(name, &text.replace('\n', "\r\n"));
    accepted(authority, &crlf("crlf.crt", &crt), &crlf("crlf.key", &key));
    // Everything in one file, with words between.
    let talk = "Bag Attributes\n    friendlyName: client\nsubject=CN = client\n\n";
    let all = authority.write("all.pem", &format!("{talk}{key}\n{talk}{crt}{talk}{}", text("ca.crt")));
    accepted(authority, &all, &all);
    // A bundle of authorities, of which one is ours.
    let harness = Harness::new();
    let front = Front::start(authority, "server", false, harness.receiver.addr());
    let bundle = authority.write("bundle.crt", &format!("# ours\n{}{talk}{}", text("stranger.crt"), text("ca.crt")));
    harness.assert_sends(&front.dsn(&harness.receiver.dsn()), &[("tls_ca_file", &bundle)]);
}

fn accepted(authority: &Authority, crt: &str, key: &str) {
    let harness = Harness::new();
    let front = Front::start(authority, "server", true, harness.receiver.addr());
    let ca = authority.file("ca.crt");
    let dsn = front.dsn(&harness.receiver.dsn());
    harness.assert_sends(&dsn, &[("tls_ca_file", &ca), ("tls_crt_file", crt), ("tls_key_file", key)]);
}

fn wrong_files(authority: &Authority) {
    authority
        .openssl(&["ec", "-in", "client.key", "-aes128", "-passout", "pass:hunter2", "-out", "locked.key"])
        .expect("a key");
    let locked8 = ["pkcs8", "-topk8", "-in", "client.key", "-passout", "pass:hunter2", "-out", "locked8.key"];
    authority.openssl(&locked8).expect("a key");
    let crt = authority.text("ca.crt");
    let file = |name: &str| authority.file(name);
    let cut = authority.write("cut.crt", &crt[..crt.len() / 2]);
    let noise = authority.write("noise.crt", &crt.replacen("MII", "AAA", 1));
    let nothing = authority.write("nothing.pem", "nothing of this kind\n");
    let (client, key) = (file("client.crt"), file("client.key"));
    for (given, problem) in [
        (
            vec![("tls_ca_file", "/no/such/file")],
            "tls_ca_file = /no/such/file: expected a file that exists and can be read",
        ),
        (vec![("tls_ca_file", &nothing)], "expected a PEM file with at least one certificate"),
        (vec![("tls_ca_file", &key)], "expected a PEM file with at least one certificate"),
        (vec![("tls_ca_file", &cut)], "expected a whole PEM file"),
        (vec![("tls_ca_file", &noise)], "expected certificates that can be read"),
        (vec![("tls_crt_file", &client)], "tls_key_file = nothing: expected a key, because tls_crt_file is set"),
        (vec![("tls_key_file", &key)], "tls_key_file = a key without a certificate: expected tls_crt_file as well"),
        (vec![("tls_crt_file", &client), ("tls_key_file", &client)], "expected a PEM file with a private key"),
        (
            vec![("tls_crt_file", &client), ("tls_key_file", &file("server.key"))],
            "tls_key_file = a key of another certificate",
        ),
        (
            vec![("tls_crt_file", &client), ("tls_key_file", &file("locked8.key"))],
            "expected a private key without a passphrase",
        ),
        (vec![("tls_crt_file", &client), ("tls_key_file", &file("locked.key"))], "passphrase"),
    ] {
        let dsn = format!("https://{}@127.0.0.1:9/1", super::harness::KEY);
        let error =
            load().instance("test", &options(&dsn, &given)).err().unwrap_or_else(|| panic!("accepted: {given:?}"));
        super::harness::assert_silent(&error.log_lines);
        assert!(error.log_lines.iter().any(|(_, line)| line.contains(problem)), "{problem}: {:#?}", error.log_lines);
    }
}
