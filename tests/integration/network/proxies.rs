//! The option and the variables, against a proxy in this process.

use super::authority::{Authority, Made};
use super::front::Front;
use super::harness::{Harness, KEY, RECORDS};
use super::tunnel::Tunnel;
use plugin_host::Level;
use testkit::chunk;
use testkit::net::free_port;
use testkit::output::PATIENCE;
use testkit::shipping::Shipping;
use testkit::suite::Suite;

pub fn add(suite: Suite, authority: &Made) -> Suite {
    suite
        .test("proxy::plain_destinations_are_reached_through_it", plain)
        .needing(authority, "proxy::tls_destinations_are_reached_through_it", |authority| tls(&authority))
        .test("proxy::wrong_credentials_are_told_and_nothing_is_lost", wrong_credentials)
        .test("proxy::one_that_is_away_or_reaches_nothing_is_told", away)
        .test("proxy::the_environment_chooses", environment)
        .test("proxy::none_ignores_the_environment", none)
        .test("proxy::a_variable_that_is_no_proxy_is_refused", no_proxy_at_all)
}

fn plain() {
    let (harness, tunnel) = (Harness::new(), Tunnel::start(Some("me:hunter2%")));
    let proxy = format!("http://me:hunter2%25@{}", tunnel.address());
    let lines = harness.assert_sends(&harness.receiver.dsn(), &[("proxy", &proxy)]);
    assert!(
        lines.iter().any(|(_, line)| line.contains(&format!("proxy=http://***@{}", tunnel.address()))),
        "{lines:#?}"
    );
    let connect = format!("CONNECT {} HTTP/1.1", harness.receiver.addr());
    assert!(!tunnel.requests().is_empty() && tunnel.requests().iter().all(|line| *line == connect));
}

fn tls(authority: &Authority) {
    let (harness, tunnel) = (Harness::new(), Tunnel::start(Some("me:hunter2")));
    let front = Front::start(authority, "server", true, harness.receiver.addr());
    let file = |name: &str| authority.file(name);
    let proxy = format!("http://me:hunter2@{}", tunnel.address());
    let (ca, crt, key) = (file("ca.crt"), file("client.crt"), file("client.key"));
    let dsn = front.dsn(&harness.receiver.dsn());
    let files = [("tls_ca_file", ca.as_str()), ("tls_crt_file", &crt), ("tls_key_file", &key), ("proxy", &proxy)];
    let words = "the certificate of 127.0.0.1 has an unknown issuer";
    harness.assert_refused(&dsn, &files[1..], Level::Error, words);
    harness.assert_delivers(&dsn, &files);
    assert!(tunnel.requests().contains(&format!("CONNECT {} HTTP/1.1", front.address())));
}

fn wrong_credentials() {
    let (harness, tunnel) = (Harness::new(), Tunnel::start(Some("me:hunter2")));
    let dsn = harness.receiver.dsn();
    let with = |credentials: &str| format!("http://{credentials}{}", tunnel.address());
    let words = format!("@{} refuses its user and password (407)", tunnel.address());
    harness.assert_refused(
        &dsn,
        &[("proxy", &with("me:hunter22@"))],
        Level::Error,
        &format!("proxy http://***{words}"),
    );
    harness.assert_delivers(&dsn, &[("proxy", &with("me:hunter2@"))]);
    let (harness, words) = (Harness::new(), &words[1..]);
    harness.assert_refused(&harness.receiver.dsn(), &[("proxy", &with(""))], Level::Error, words);
}

fn away() {
    let harness = Harness::new();
    let nobody = format!("127.0.0.1:{}", free_port().expect("expected a free port"));
    let proxy = format!("http://me:hunter2@{nobody}");
    let words = format!("proxy http://***@{nobody}: connection refused");
    harness.assert_refused(&harness.receiver.dsn(), &[("proxy", &proxy)], Level::Warn, &words);
    harness.assert_delivers(&harness.receiver.dsn(), &[("proxy", "none")]);
    let (harness, tunnel) = (Harness::new(), Tunnel::start(None));
    let proxy = format!("http://{}", tunnel.address());
    let words = format!("proxy {proxy} cannot reach {nobody} (502)");
    harness.assert_refused(&format!("http://{KEY}@{nobody}/1"), &[("proxy", &proxy)], Level::Warn, &words);
    harness.assert_delivers(&harness.receiver.dsn(), &[("proxy", &proxy)]);
}

/// Ships in a process with these variables; says whether it went through the proxy.
fn ships(variables: &[(&str, &str)], options: &[&str]) -> (bool, String) {
    let (harness, tunnel) = (Harness::new(), Tunnel::start(Some("me:hunter2")));
    let shipping = Shipping::of(&chunk::numbered(0..RECORDS));
    let dsn = format!("dsn={}", harness.receiver.dsn());
    let fill = |value: &str| {
        value
            .replace("PROXY", &format!("me:hunter2@{}", tunnel.address()))
            .replace("PORT", &harness.receiver.addr().port().to_string())
    };
    let env: Vec<_> = variables.iter().map(|(name, value)| (*name, fill(value))).collect();
    let env: Vec<_> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let options: Vec<_> = ["exit_timeout=10s", &dsn].into_iter().chain(options.iter().copied()).collect();
    let status = shipping.run(&options, &env).expect("expected an end");
    let log = shipping.log();
    assert!(!log.contains("hunter2") && !log.contains(KEY), "{log}");
    assert!(status.success() && harness.receiver.wait_until(PATIENCE, |seen| seen.totals.logs == RECORDS), "{log}");
    (!tunnel.requests().is_empty(), log)
}

fn environment() {
    for (through, variables) in [
        (true, &[("HTTP_PROXY", "http://PROXY")][..]),
        (true, &[("http_proxy", "PROXY"), ("NO_PROXY", "other.example,127.0.0.1:1")]),
        (false, &[("HTTPS_PROXY", "http://PROXY")]),
        (false, &[("HTTP_PROXY", "http://PROXY"), ("no_proxy", "127.0.0.1:PORT")]),
        (false, &[("HTTP_PROXY", "http://PROXY"), ("NO_PROXY", "10.0.0.0/8, 127.0.0.0/8")]),
        (false, &[("HTTP_PROXY", "http://PROXY"), ("NO_PROXY", "*")]),
    ] {
        let (did, log) = ships(variables, &[]);
        assert_eq!(did, through, "{variables:?}: {log}");
        assert!(!through || log.contains("from the environment: HTTP_PROXY=http://***@127.0.0.1:"), "{log}");
    }
}

fn none() {
    let (through, log) = ships(&[("HTTP_PROXY", "http://PROXY"), ("HTTPS_PROXY", "socks5://PROXY")], &["proxy=none"]);
    assert!(!through, "{log}");
}

fn no_proxy_at_all() {
    let shipping = Shipping::of(&chunk::numbered(0..1));
    let dsn = format!("dsn=http://{KEY}@127.0.0.1:9/1");
    let status = shipping.run(&[&dsn], &[("https_proxy", "socks5://me:hunter2@proxy:1080")]).expect("expected an end");
    let log = shipping.log();
    assert!(!status.success() && !log.contains("hunter2"), "{log}");
    let words = "proxy = socks5://***@proxy:1080 (from environment HTTPS_PROXY): expected none, or a proxy such as";
    assert!(log.contains(words), "{log}");
}
