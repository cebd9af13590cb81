//! Compares the fast way to clean whole items, as the mapper makes them, with the reference. A text that is checked only
//! once, skipped, cut or kept for the next item must not hide a secret.

use super::Rules;
use super::reference::cut_again;
use crate::clock::WallTime;
use crate::mapping::{DestinationId, Discard, Finished, Item, ItemWriter, Mapper, Origin, Route, Routed, Sink};
use crate::options::{self, Mapping};
use serde_json::Value;

const NOW: u64 = 1_795_161_600;

const OPTIONS: &[(&str, &[&str])] = &[
    ("scrub", &["", "", "off"]),
    ("send_pii", &["", "on"]),
    (
        "scrub_keys",
        &["", "iban,Überweisung", "a", "iostream", "sequence", "address", "name", "type,value,level", "id", "message"],
    ),
    (
        "tags",
        &[
            "",
            "region=eu,level=x",
            "api_key=abc",
            "owner=a.b@example.org",
            "password=x,k8s.pod.name=y",
            "url=https://u:p@h/",
        ],
    ),
    ("parse_message", &["", "off"]),
    ("join_traces", &["", "off"]),
    ("tag_keys", &["", "service,a,token", "log,payload"]),
    ("label_keys", &["", "*"]),
    ("fingerprint", &["", "{{ default }},$payload"]),
    ("breadcrumbs", &["", "0", "3"]),
    ("event_level", &["trace", "", "off"]),
    ("logs_level", &["trace", ""]),
    ("storm_burst", &["0"]),
    ("event_rate", &["0"]),
];

const KEYS: &[&str] = &[
    "message",
    "log",
    "payload",
    "password",
    "api_key",
    "iban",
    "überweisung",
    "a",
    "a.b",
    "order_id",
    "user.id",
    "user",
    "logger",
    "stream",
    "stack_trace",
    "sentry.sdk.name",
    "server.address",
    "log.iostream",
    "sentry.timestamp.sequence",
    "hostname",
    "token\n",
    "ap\u{1}i key",
    "\u{1}token\u{1}é",
    "level",
    "service",
    "\\",
    "\"password\"",
    "name",
    "environment",
    "release",
    "line",
    "details",
];

const PARTS: &[&str] = &[
    "password=",
    "Token: ",
    "secret",
    "=",
    ":",
    "bearer ",
    "Abcdef12",
    "://u:p@h ",
    "a.b@example.org",
    "a.b@",
    "4111 1111 1111 1111",
    "4111111111111111",
    " ",
    "\"",
    "\\",
    "\n",
    "{\"token\":\"x y\"}",
    "{\"\\u0070wd\":\"x y\"}",
    "{\"u\":\"a:\\/\\/u:p@h\"}",
    "{",
    "}",
    "é",
    "plain",
    "x",
    "[",
    "'hunter2'",
    "\"hunter2\"",
    "12345678",
    "api_",
    "Key=1",
    ",",
    "überweisung=",
    "ÜBERWEISUNG=",
    "-----BEGIN PRIVATE KEY-----",
    "-----END PRIVATE KEY-----",
    "\u{1}",
    "\u{2028}",
    "ERROR ",
    "[ERROR] ",
    "Exception in thread \"main\" java.lang.IllegalStateException: password=x\n\tat a.B.c(B.java:1)\n\tat a.B.d(B.java:2)\n",
    "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    password = \"x\"\nValueError: token: x\n",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % end as u64) as usize
    }

    fn text(&mut self) -> String {
        let most = [2, 6, 30][self.below(3)];
        let text: String = (0..1 + self.below(most)).map(|_| PARTS[self.below(PARTS.len())]).collect();
        match self.below(40) {
            // Cut as a breadcrumb, as a value, and as a message.
            0 => format!("{}{text}", "-".repeat(470 + self.below(30))),
            1 => text.repeat(1 + 16_000 / text.len()),
            2 => format!("{}{text}", ". ".repeat(4_070 + self.below(30))),
            _ => text,
        }
    }

    fn value(&mut self, out: &mut Vec<u8>, depth: usize) {
        match self.below(if depth > 6 { 6 } else { 8 }) {
            0 => drop(rmp::encode::write_uint(out, self.below(1_000) as u64)),
            1 => drop(rmp::encode::write_bin(out, self.text().as_bytes())),
            2..6 => drop(rmp::encode::write_str(out, &self.text())),
            6 => {
                let length = self.below(3);
                out.push(0x90 | length as u8);
                (0..length).for_each(|_| self.value(out, depth + 1));
            }
            _ => self.fields(out, depth),
        }
    }

    fn fields(&mut self, out: &mut Vec<u8>, depth: usize) {
        let length = self.below(5);
        out.push(0x80 | length as u8);
        for _ in 0..length {
            drop(rmp::encode::write_str(out, KEYS[self.below(KEYS.len())]));
            self.value(out, depth + 1);
        }
    }

    fn chunk(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        let letter = self.below(12) == 0;
        if letter {
            out.extend_from_slice(b"\x92\x92\xd7\x00\xff\xff\xff\xff\0\0\0\0\x81\xaaout_sentry\x81\xa8category");
            drop(rmp::encode::write_str(&mut out, ["log", "event"][self.below(2)]));
            out.push(0x80);
        }
        let pod = self.below(3) == 0;
        let label = self.text();
        for n in 0..1 + self.below(7) {
            out.extend_from_slice(b"\x92\x92\xd7\x00");
            out.extend_from_slice(&(NOW as u32).to_be_bytes());
            out.extend_from_slice(&((n / 2) as u32 * 1_000).to_be_bytes());
            let fields = 1 + self.below(6);
            out.extend_from_slice(&[0x80, 0x80 | (fields + 2 + usize::from(pod)) as u8]);
            for (key, value) in [("stream", "stdout"), ("log", &self.text())] {
                drop(rmp::encode::write_str(&mut out, key));
                drop(rmp::encode::write_str(&mut out, value));
            }
            if pod {
                drop(rmp::encode::write_str(&mut out, "kubernetes"));
                out.push(0x83);
                for (key, value) in [("pod_name", "web-0"), ("namespace_name", "shop")] {
                    drop(rmp::encode::write_str(&mut out, key));
                    drop(rmp::encode::write_str(&mut out, value));
                }
                drop(rmp::encode::write_str(&mut out, "labels"));
                out.push(0x81);
                drop(rmp::encode::write_str(&mut out, "app"));
                drop(rmp::encode::write_str(&mut out, &label));
            }
            for _ in 0..fields {
                drop(rmp::encode::write_str(&mut out, KEYS[self.below(KEYS.len())]));
                self.value(&mut out, 0);
            }
        }
        out
    }

    fn settings(&mut self) -> Mapping {
        let chosen: Vec<(&str, &str)> =
            OPTIONS.iter().map(|(name, values)| (*name, values[self.below(values.len())])).collect();
        let lookup = |name: &str| {
            let given = chosen.iter().find(|(option, value)| *option == name && !value.is_empty());
            let dsn = || (name == "dsn").then_some("https://0123456789abcdef0123456789abcdef@127.0.0.1/1");
            given.map(|(_, value)| *value).or_else(dsn).map(str::to_owned)
        };
        options::load(lookup, |_| None).unwrap_or_else(|problems| panic!("{problems:?}")).settings.mapping
    }
}

#[derive(Default)]
struct Kept {
    items: Vec<Vec<u8>>,
}

struct Writer<'w> {
    items: &'w mut Vec<Vec<u8>>,
    json: Vec<u8>,
}

impl ItemWriter for Writer<'_> {
    fn json(&mut self) -> &mut Vec<u8> {
        &mut self.json
    }

    fn finish(mut self, _: Finished) {
        self.items.push(self.json.split_off(b"before,".len()));
    }
}

impl Sink for Kept {
    type Writer<'w> = Writer<'w>;

    fn begin(&mut self, _: Item, _: Route) -> Option<Writer<'_>> {
        Some(Writer { items: &mut self.items, json: b"before,".to_vec() })
    }

    fn discard(&mut self, _: Item, _: Discard) {}
}

fn items(mapper: &mut Mapper, chunk: &[u8]) -> Vec<Vec<u8>> {
    let mut kept = Kept::default();
    let route = Routed::to(DestinationId(0), 0);
    let origin = Origin { tag: b"t", router: &route, now: WallTime::from_secs(NOW) };
    mapper.map(origin, chunk, 0, &mut kept);
    kept.items
}

#[test]
fn items_are_cleaned_as_trees_are() {
    let (mut random, mut seen, mut changed) = (Random(3), 0, 0);
    for _ in 0..100 {
        let settings = random.settings();
        let rules = Rules::new(settings.scrub, settings.send_pii, &settings.scrub_keys, &settings.scrub_allow);
        let (mut mapper, mut plain) = (Mapper::new(settings.clone()), Mapper::new(settings));
        plain.scrub = Rules::default();
        for _ in 0..2 {
            let chunk = random.chunk();
            for mut json in items(&mut plain, &chunk) {
                let raw: Value = serde_json::from_slice(&json).unwrap();
                let mut expected = raw.clone();
                changed += usize::from(expected.as_object_mut().is_some_and(|item| rules.item(item)));
                seen += 1;
                rules.clean(&mut json, 0, &[]);
                let mut found = serde_json::from_slice(&json).unwrap();
                // The tree's way cuts what it has not changed, too.
                [&mut found, &mut expected].into_iter().for_each(cut_again);
                assert_eq!(found, expected, "{raw}\n{rules:?}");
            }
            // What the mapper makes with the rules is JSON as well, whatever was cut and scrubbed before.
            for json in items(&mut mapper, &chunk) {
                assert!(serde_json::from_slice::<Value>(&json).is_ok());
            }
        }
    }
    assert!(changed > seen / 4, "{changed} of {seen}");
}
