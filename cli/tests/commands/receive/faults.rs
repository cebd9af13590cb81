//! Tests of scripted faults: which answer each one gives, and which requests still count as accepted.

use super::{Client, ID, KEY, SOON, auth, event, log, logs, status, with_faults};
use serde_json::json;
use std::io::Read;
use std::time::{Duration, Instant};

#[test]
fn scripted_answers() {
    let receiver = with_faults("2x429,retry-after=2,x-sentry-rate-limits=60:error:key,5::key then 202,a=b");
    let mut client = Client::connect(receiver.addr());
    for _ in 0..2 {
        let answer = client.envelope(&event("x")).unwrap();
        let headers = "\r\nretry-after: 2\r\nx-sentry-rate-limits: 60:error:key,5::key\r\n";
        assert!(answer.status == 429 && answer.head.contains(headers), "{answer:?}");
    }
    assert_eq!((receiver.events().len(), receiver.requests().len()), (0, 2));
    let answer = client.envelope(&event("x")).unwrap();
    assert_eq!((answer.status, answer.json()), (202, json!({"id": ID})));
    assert!(answer.head.contains("\r\na: b\r\n"), "{answer:?}");
    assert_eq!(client.envelope(&event("x")).unwrap().status, 200, "the script has ended");
    receiver.script("forever:log:413 then poison=bad needle".parse().unwrap());
    assert_eq!(client.envelope(&event("x")).unwrap().status, 200);
    assert_eq!(client.envelope(&event("a bad needle!")).unwrap().status, 400);
    assert_eq!(client.envelope(&logs(&[log("a bad needle")])).unwrap().status, 413);
    assert_eq!(client.envelope(&event("a good needle")).unwrap().status, 200);
    assert_eq!(receiver.requests().iter().map(|request| request.connection).max(), Some(0), "kept alive throughout");
    assert_eq!(receiver.totals().accepted, 4);
}

#[test]
fn a_scripted_200_does_not_make_bad_things_good() {
    let receiver = with_faults("forever:200,x-sentry-rate-limits=60:error:key");
    let answer = Client::connect(receiver.addr()).envelope(&logs(&[json!({})])).unwrap();
    assert_eq!(answer.status, 400);
    assert!(answer.head.contains("x-sentry-rate-limits"), "{answer:?}");
}

#[test]
fn cuts_and_who_keeps_what() {
    for (script, accepted) in [
        ("cut-before-body", 0),
        ("cut-after-body", 0),
        ("lost-answer", 1),
        ("hang=1ms", 0),
        ("half-close", 0),
        ("garbage", 0),
        ("truncate=head", 1),
    ] {
        let receiver = with_faults(script);
        assert_eq!(status(&receiver, &event("x")), 0, "{script}");
        assert!(receiver.wait_until(SOON, |seen| seen.requests.len() == 1), "{script}");
        let request = receiver.requests().pop().unwrap();
        assert_eq!((request.status, request.accepted), (None, accepted == 1), "{script}");
        assert_eq!(request.body.is_empty(), script == "cut-before-body", "{script}");
        assert_eq!(receiver.events().len(), accepted, "{script}");
        assert_eq!(status(&receiver, &event("x")), 200, "{script}: once only");
    }
}

#[test]
fn a_cut_answer_and_a_closed_connection_have_their_status() {
    for (script, whole) in [("truncate=body", false), ("close-idle", true)] {
        let receiver = with_faults(script);
        let mut client = Client::connect(receiver.addr());
        let (body, auth) = (event("x"), auth(KEY));
        let length = body.len();
        let head = format!("POST /api/1/envelope/ HTTP/1.1\r\nhost: h\r\n{auth}content-length: {length}\r\n\r\n");
        client.send(&[head.as_bytes(), &body].concat());
        let mut answer = String::new();
        client.stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && !answer.contains("connection: close"), "{answer}");
        assert_eq!(answer.ends_with("\"}"), whole, "{script}: {answer}");
        assert_eq!((receiver.requests()[0].status, receiver.totals().events), (Some(200), 1), "{script}");
    }
}

#[test]
fn cut_before_body_does_not_wait_for_it() {
    let receiver = with_faults("forever:cut-before-body");
    let mut client = Client::connect(receiver.addr());
    client.send(b"POST /api/1/envelope/ HTTP/1.1\r\nhost: h\r\ncontent-length: 1000\r\n\r\n");
    assert!(client.read().is_none());
}

#[test]
fn half_close_goes_on_reading() {
    let receiver = with_faults("half-close");
    let mut client = Client::connect(receiver.addr());
    assert!(client.envelope(&event("x")).is_none());
    // Far more than socket buffers hold: a closed connection would be reset on the way.
    client.send(&vec![b'x'; 16 * 1024 * 1024]);
}

#[test]
fn slow_answers_are_whole_answers() {
    let receiver = with_faults("delay=60ms then drip=1ms then hang=60ms");
    let mut client = Client::connect(receiver.addr());
    let began = Instant::now();
    assert_eq!(client.envelope(&event("x")).unwrap().status, 200);
    assert!(began.elapsed() >= Duration::from_millis(60));
    let began = Instant::now();
    let answer = client.envelope(&event("x")).unwrap();
    let bytes = (answer.head.len() + answer.body.len()) as u64;
    assert!(began.elapsed() >= Duration::from_millis(bytes - 1), "{:?} for {bytes} bytes", began.elapsed());
    assert_eq!(answer.json(), json!({"id": ID}));
    let began = Instant::now();
    assert_eq!(status(&receiver, &event("x")), 0);
    assert!(began.elapsed() >= Duration::from_millis(60));
    assert_eq!(receiver.events().len(), 2);
}
