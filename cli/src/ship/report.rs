//! Reports how a run ended: to people, to programs and to the shell.

use super::ledger::Ledger;
use super::queue::Tally;
use crate::terminal::{counted, printable};
use serde_json::json;
use std::fmt::Write as _;
use std::io::{self, Write as _, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Returns the text at the end of `--help` of `ship` and `replay`, which stands below examples of their own.
pub(crate) fn help(examples: &str) -> String {
    format!("{examples}\n\n{HELP}")
}

const HELP: &str = "\
Progress and the plugin's log go to standard error, the report to standard
output: how many chunks were answered OK, and the plugin's ledger, in which each
record has one outcome as event and one as log.

Output for programs (--json), one object:
  chunks     read, ok, error, given_up, left (read, but not answered OK)
  records    read, ok
  bytes_ok, retries, seconds, interrupted, unreadable_inputs
  ledger     records, <category>.<outcome>, requests.<status>, ...; null: the
             plugin logged none
  server     accepted and refused: items of each category; reasons: the
             answers to refused items
  moved_timestamps  records older than 29 days or more than a minute ahead.
             Sentry does not keep such times: they were sent with the time
             of shipping
  problems   the reasons for an exit code other than 0
  exit_code  the one below

Ctrl-C shuts the instance down and reports what is not finished; a second Ctrl-C
ends the process at once.

Exit codes:
  0    everything has reached Sentry, or was left out on purpose
  1    something is pending, lost, rejected, or was never answered OK; or the
       report cannot be written
  2    the command line is wrong
  3    the plugin cannot be loaded, or refuses its options
  4    an input cannot be read, or has no format that the command can send
  5    the plugin answered ERROR; shipping stopped there
  130  interrupted";

/// Everything known at the end.
pub(crate) struct Report {
    /// The command that ran.
    pub(super) command: &'static str,
    pub(super) tally: Tally,
    pub(super) ledger: Option<Ledger>,
    /// Answers with which a server refused items.
    pub(super) reasons: Vec<String>,
    /// Records with a time that Sentry would not keep.
    pub(super) moved: u64,
    /// Inputs that could not be read to their end.
    pub(super) unreadable: usize,
    pub(super) interrupted: bool,
    /// Directory in which pending items wait for a later process.
    pub(super) spool: Option<PathBuf>,
    pub(super) took: Duration,
}

impl Report {
    /// See [`help`].
    fn exit_code(&self) -> u8 {
        if self.interrupted {
            130
        } else if self.tally.refused > 0 {
            5
        } else if self.unreadable > 0 {
            4
        } else {
            u8::from(!self.problems().is_empty())
        }
    }

    /// Returns every problem of the run, with a remedy if there is one.
    pub(super) fn problems(&self) -> Vec<String> {
        let tally = &self.tally;
        let mut problems = Vec::new();
        let mut say = |applies: bool, problem: String| problems.extend(applies.then_some(problem));
        let left = tally.left();
        say(self.interrupted, "interrupted: the inputs were not read to their end".to_owned());
        let unreadable = counted(self.unreadable as u64, "input");
        say(self.unreadable > 0, format!("{unreadable} could not be read, see above"));
        let refused = counted(tally.refused, "chunk");
        say(tally.refused > 0, format!("the plugin answered ERROR to {refused}: stopped"));
        let (given_up, verb) = (counted(tally.given_up, "chunk"), was(tally.given_up));
        say(tally.given_up > 0, format!("{given_up} {verb} given up after --retry-limit"));
        let again = self.command;
        let (chunks, verb) = (counted(left, "chunk"), was(left));
        say(left > 0, format!("{chunks} {verb} read but not answered OK: {again} the files again"));
        let Some(ledger) = &self.ledger else {
            say(true, "the plugin logged no summary: the outcome of the records is unknown".to_owned());
            return problems;
        };
        let failures = ledger.failures();
        say(!failures.is_empty(), format!("not delivered: {}", failures.join(" ")));
        problems.extend(self.advice(ledger));
        let mut say = |applies: bool, problem: String| problems.extend(applies.then_some(problem));
        let missing = tally.records_ok.saturating_sub(ledger.records());
        let (records, verb) = (counted(missing, "record"), if missing == 1 { "is" } else { "are" });
        say(missing > 0, format!("{records} {} answered OK but {verb} not in the plugin's ledger", was(missing)));
        problems
    }

    /// Returns advice on the records that had no end: what becomes of them, and what the user can do.
    fn advice(&self, ledger: &Ledger) -> Option<String> {
        // More time helps where something is taken at all; else the log says what is wrong.
        let more_time = match (ledger.accepts(), self.command) {
            (false, _) => "",
            (true, "ship") => ", or give it more time: --wait 60s",
            (true, _) => ", or give it more time: -o exit_timeout=60s",
        };
        let spool = self.spool.as_deref().map(Path::display);
        match spool {
            Some(spool) if ledger.any("pending") => {
                let way = if self.command == "ship" {
                    "the next run with this spool_path or `flb-sentry replay` sends them"
                } else {
                    "replay it again"
                };
                Some(format!("pending items wait in {spool}: {way}{more_time}"))
            }
            None if ledger.any("lost") => {
                Some(format!("lost items were only in memory: -o spool_path=DIR keeps them for later{more_time}"))
            }
            _ => None,
        }
    }

    /// Prints it to standard output, the problems to standard error, and returns the exit code. Nobody listening is no failure,
    /// a full disk is.
    pub(crate) fn print(&self, machine: bool) -> u8 {
        let text = if machine { format!("{}\n", self.json()) } else { self.text() };
        let written = stdout().write_all(text.as_bytes()).and_then(|()| stdout().flush());
        for problem in self.problems().iter().filter(|_| !machine) {
            super::complain(self.command, problem);
        }
        match written {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                super::complain(self.command, &format!("cannot write the report: {error}"));
                self.exit_code().max(1)
            }
            _ => self.exit_code(),
        }
    }

    fn text(&self) -> String {
        let (tally, seconds) = (&self.tally, self.took.as_secs_f64());
        if self.command == "replay" && tally.chunks == 0 {
            let what = match &self.ledger {
                Some(ledger) if ledger.records() > 0 => format!("replayed in {seconds:.1} s\n\n{ledger}"),
                _ => "there is nothing to replay\n".to_owned(),
            };
            return what;
        }
        let done = if self.command == "ship" { "shipped" } else { "replayed" };
        let mut text = format!(
            "{done} {} of {} ({}, {}) in {seconds:.1} s, {}\n",
            tally.ok,
            counted(tally.chunks, "chunk"),
            counted(tally.records_ok, "record"),
            counted(tally.bytes_ok, "byte"),
            counted(tally.retries, "retry"),
        );
        text += &self.server();
        if self.moved > 0 {
            let (records, have) = (counted(self.moved, "record"), if self.moved == 1 { "has" } else { "have" });
            text += &format!(
                "{records} {have} a time that Sentry does not keep (older than 29 days, or ahead): sent with the time of \
                 shipping;\n  their own time is log.record.time of the log, original_time of the event\n"
            );
        }
        if let Some(ledger) = &self.ledger {
            let _ = write!(text, "\n{ledger}");
        }
        text
    }

    /// Returns the numbers of items that the server accepted and refused, in a line or two.
    fn server(&self) -> String {
        let Some(ledger) = &self.ledger else { return String::new() };
        let items = |count: fn(&Ledger, &str) -> u64| {
            format!("{} and {}", counted(count(ledger, "event"), "event"), counted(count(ledger, "log"), "log"))
        };
        let mut text = format!("the server accepted {}\n", items(Ledger::accepted));
        if ledger.refused("event") + ledger.refused("log") > 0 {
            text += &format!("the server refused {}", items(Ledger::refused));
            if !self.reasons.is_empty() {
                text += &format!(": {}", printable(&self.reasons.join("; ")));
            }
            text.push('\n');
        }
        text
    }

    fn json(&self) -> serde_json::Value {
        let tally = &self.tally;
        json!({
            "chunks": {
                "read": tally.chunks,
                "ok": tally.ok,
                "error": tally.refused,
                "given_up": tally.given_up,
                "left": tally.left(),
            },
            "records": {"read": tally.records, "ok": tally.records_ok},
            "bytes_ok": tally.bytes_ok,
            "retries": tally.retries,
            "seconds": self.took.as_secs_f64(),
            "interrupted": self.interrupted,
            "unreadable_inputs": self.unreadable,
            "ledger": self.ledger.as_ref().map(Ledger::json),
            "server": self.ledger.as_ref().map(|ledger| json!({
                "accepted": {"event": ledger.accepted("event"), "log": ledger.accepted("log")},
                "refused": {"event": ledger.refused("event"), "log": ledger.refused("log")},
                "reasons": self.reasons,
            })),
            "moved_timestamps": self.moved,
            "problems": self.problems(),
            "exit_code": self.exit_code(),
        })
    }
}

fn was(count: u64) -> &'static str {
    if count == 1 { "was" } else { "were" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_host::Level;

    fn report(summary: &str) -> Report {
        Report {
            command: "ship",
            tally: Tally { chunks: 2, records: 10, ok: 2, records_ok: 10, ..Tally::default() },
            ledger: Ledger::find(&[(Level::Info, format!("[x] summary: {summary}"))]),
            reasons: Vec::new(),
            moved: 0,
            unreadable: 0,
            interrupted: false,
            spool: None,
            took: Duration::from_secs(1),
        }
    }

    #[test]
    fn only_a_clean_ledger_is_a_success() {
        let table = [
            ("records=10 log.accepted=10 event.pending=0", 0),
            ("records=12 log.accepted=12", 0),
            ("records=10 log.filtered=10", 0),
            ("records=10 log.pending=1", 1),
            ("records=10 event.rejected=1", 1),
            ("records=9 log.accepted=9", 1),
        ];
        for (summary, code) in table {
            assert_eq!(report(summary).exit_code(), code, "{summary}");
        }
        assert_eq!(Report { ledger: None, ..report("") }.exit_code(), 1);
    }

    #[test]
    fn the_code_names_the_first_cause() {
        let fine = || report("records=10");
        let tally = Tally { refused: 1, chunks: 3, ..fine().tally };
        assert_eq!(Report { tally, ..fine() }.exit_code(), 5);
        assert_eq!(Report { tally, interrupted: true, ..fine() }.exit_code(), 130);
        assert_eq!(Report { unreadable: 1, ..fine() }.exit_code(), 4);
        let tally = Tally { chunks: 3, ..fine().tally };
        let left = Report { tally, ..fine() };
        assert_eq!((left.exit_code(), left.problems().len()), (1, 1));
        let tally = Tally { chunks: 3, given_up: 1, ..fine().tally };
        assert_eq!(Report { tally, ..fine() }.exit_code(), 1);
    }

    #[test]
    fn an_empty_directory_is_no_table_of_zeros() {
        let replayed = |summary| Report { command: "replay", tally: Tally::default(), ..report(summary) }.text();
        assert_eq!(replayed("records=0"), "there is nothing to replay\n");
        assert!(replayed("records=2 log.accepted=2").starts_with("replayed in 1.0 s\n\nrecords "));
    }

    #[test]
    fn what_can_be_done_depends_on_where_it_is_and_on_who_answers() {
        let last = |report: &Report| report.problems().pop().unwrap();
        let spool = Some(PathBuf::from("/spool"));
        let ended = |summary: &str, command| Report { spool: spool.clone(), command, ..report(summary) };
        let pending = "records=10 log.pending=1";
        let waits = "pending items wait in /spool: ";
        let next = "the next run with this spool_path or `flb-sentry replay` sends them";
        assert_eq!(last(&ended(pending, "ship")), format!("{waits}{next}"));
        assert_eq!(last(&ended(pending, "replay")), format!("{waits}replay it again"));
        let slow = last(&ended(&format!("{pending} requests.2xx=3"), "ship"));
        assert!(slow.ends_with(", or give it more time: --wait 60s"), "{slow}");
        let slow = last(&ended(&format!("{pending} requests.2xx=3"), "replay"));
        assert!(slow.ends_with(", or give it more time: -o exit_timeout=60s"), "{slow}");
        assert!(last(&report("records=10 log.lost=1")).contains("-o spool_path=DIR"));
        assert_eq!(last(&report(pending)), "not delivered: log.pending=1", "it is the host's");
    }

    #[test]
    fn counts_have_the_right_number() {
        let tally = |n| Tally {
            chunks: 4 * n,
            records: n,
            ok: n,
            records_ok: n,
            bytes_ok: n,
            retries: n,
            refused: n,
            given_up: n,
            ..Tally::default()
        };
        let text = |n| {
            let report = Report { tally: tally(n), moved: n, unreadable: n as usize, ..report("records=0") };
            format!("{}{}", report.text(), report.problems().join("\n"))
        };
        let one = text(1);
        for part in [
            "shipped 1 of 4 chunks (1 record, 1 byte) in 1.0 s, 1 retry\n",
            "1 record has a time",
            "1 input could not be read",
            "ERROR to 1 chunk: stopped",
            "1 chunk was given up",
            "1 chunk was read but",
            "1 record was answered OK but is not",
        ] {
            assert!(one.contains(part), "expected {part:?}, found {one}");
        }
        let two = text(2);
        for part in [
            "shipped 2 of 8 chunks (2 records, 2 bytes) in 1.0 s, 2 retries\n",
            "2 records have a time",
            "2 inputs could not be read",
            "ERROR to 2 chunks: stopped",
            "2 chunks were given up",
            "2 chunks were read but",
            "2 records were answered OK but are not",
        ] {
            assert!(two.contains(part), "expected {part:?}, found {two}");
        }
    }

    #[test]
    fn the_servers_part_is_told_with_its_reasons() {
        let summary = "records=10 event.accepted=1 event.rejected=2 log.accepted=7 log.too_large=1";
        let refused = Report { reasons: vec!["400: bad\u{1b}".into(), "413".into()], ..report(summary) };
        let text = refused.text();
        for part in [
            "the server accepted 1 event and 7 logs\n",
            "the server refused 2 events and 1 log: 400: bad\\u{1b}; 413\n",
        ] {
            assert!(text.contains(part), "expected {part:?}, found {text}");
        }
        let json = refused.json();
        assert_eq!(json["server"]["accepted"], json!({"event": 1, "log": 7}));
        assert_eq!(json["server"]["refused"], json!({"event": 2, "log": 1}));
        assert_eq!((&json["server"]["reasons"][1], &json["moved_timestamps"]), (&json!("413"), &json!(0)));
        assert!(!report("records=10 log.accepted=10").text().contains("refused"));
    }

    #[test]
    fn both_forms_say_the_same() {
        let report = report("records=10 log.accepted=9 log.pending=1");
        assert!(report.text().starts_with("shipped 2 of 2 chunks (10 records, "));
        let json = report.json();
        assert_eq!(
            (&json["ledger"]["log.pending"], &json["records"]["ok"], &json["exit_code"]),
            (&1.into(), &10.into(), &1.into())
        );
        assert!(json["problems"][0].as_str().unwrap().contains("log.pending=1"));
    }
}
