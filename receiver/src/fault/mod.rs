//! Injects scripted faults: the responses that a test or a person wants to see instead of the normal one.

mod parse;

use std::fmt;
use std::time::Duration;

/// The grammar, as `--help` shows it.
pub const GRAMMAR: &str = "\
Faults (--fault SPEC):
  A step is [PREFIX:]...ACTION[,HEADER=VALUE]... and is taken once unless a
  prefix says otherwise. Steps are separated by \" then \", or given by repeating
  the option. A request takes the first step that fits it and is not used up;
  when none fits, the server answers as usual.

Prefixes, how often and for which requests:
  Nx               the next N requests that fit; stands without a colon, as in
                   3x429
  forever:         always
  event: log: client_report: check_in:
                   only envelopes that hold such an item
  project=N:       only this project

Actions:
  STATUS           answer this status (200 to 599); only a 2xx accepts the
                   envelope
  ok               same as 200: let a request pass
  poison=TEXT      400 whenever the decoded body contains TEXT; always, unless
                   Nx is given
  delay=TIME       wait, then answer as usual
  drip=TIME        the usual answer, one byte at a time with this pause between
  hang=TIME        read the request, wait this long, close without an answer;
                   not accepted
  cut-before-body  close after the head; not accepted. Decided before the body
                   is there: no event:, log:, client_report: or check_in:
  cut-after-body   read everything, close without an answer; not accepted
  lost-answer      accept and keep the envelope, then close without an answer
  half-close       read everything, close only the server's side; not accepted
  truncate=PART    accept, then close after half of the answer's head or half of
                   its body (PART is head or body)
  close-idle       the usual answer, then close without announcing it
  garbage          answer with something that is not HTTP; not accepted

  STATUS and ok may have headers. A part without '=' continues the value before
  it: 429,x-sentry-rate-limits=60:error:organization,120:log_item:key
  TIME is a number with ms, s or m. The TEXT of poison= is the rest of the step.

Examples:
  --fault 3x429,retry-after=2
  --fault 429,x-sentry-rate-limits=60:log_item:organization
  --fault '5x503 then 2xcut-after-body'
  --fault forever:project=7:403
  --fault log:413
  --fault poison=needle";

/// The action on a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// This status, with these headers. A 2xx status accepts the envelope.
    Answer {
        /// 200 to 599.
        status: u16,
        /// Added to the answer.
        headers: Vec<(String, String)>,
    },
    /// Close after the head; a reset where the client is still sending.
    CutBeforeBody,
    /// Close after the body, without an answer; not accepted.
    CutAfterBody,
    /// Accept, then close without an answer.
    LostAnswer,
    /// Say nothing for this long, then close; not accepted.
    Hang(Duration),
    /// Wait, then go on as normal.
    Delay(Duration),
    /// The normal answer, a byte at a time.
    Drip(Duration),
    /// Something that is not HTTP; not accepted.
    Garbage,
    /// End our side of the connection without an answer; not accepted.
    HalfClose,
    /// Accept, then close within the answer.
    Truncate(Part),
    /// The normal answer, after which the connection is closed although it could have served more requests.
    CloseIdle,
}

/// The part of an answer within which it is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Half of the head is sent: the client learns nothing.
    Head,
    /// The head and half of the body are sent: the client has the status.
    Body,
}

/// The kinds of item a step can be limited to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `event`
    Event,
    /// `log`
    Log,
    /// `client_report`
    ClientReport,
    /// `check_in`
    CheckIn,
}

impl Kind {
    /// By the item's type.
    pub(super) fn of(text: &str) -> Option<Kind> {
        match text {
            "event" => Some(Kind::Event),
            "log" => Some(Kind::Log),
            "client_report" => Some(Kind::ClientReport),
            "check_in" => Some(Kind::CheckIn),
            _ => None,
        }
    }
}

/// One line of a [`Script`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The number of requests that are left for this step; `None`: all.
    pub times: Option<u64>,
    /// Only envelopes that hold such an item.
    pub kind: Option<Kind>,
    /// Only this project.
    pub project: Option<u64>,
    /// Only bodies that contain this text.
    pub contains: Option<String>,
    /// The action on these requests.
    pub action: Action,
}

/// Steps in order; empty: everything is normal. Parsed from the text of `--fault`, see [`GRAMMAR`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// A request takes the first that fits it and is not used up.
    pub steps: Vec<Step>,
}

/// A step that cannot be understood: the expected and the found text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError(String);

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ScriptError {}

/// Properties of a request that a step may look at once the body is there.
pub(super) struct Traits<'a> {
    pub project: Option<u64>,
    pub kinds: &'a [Kind],
    pub body: &'a [u8],
}

impl Script {
    /// The action for a whole request; uses the step up.
    pub(super) fn take(&mut self, traits: &Traits<'_>) -> Option<Action> {
        self.steps.iter_mut().find(|step| step.fits(traits))?.spend()
    }

    /// Returns true if the connection is to be cut after the head, and uses the step up. Steps that must see the body first
    /// are skipped.
    pub(super) fn take_before_body(&mut self, project: Option<u64>) -> bool {
        let traits = Traits { project, kinds: &[], body: &[] };
        let next = self.steps.iter_mut().find(|step| !step.needs_body() && step.fits(&traits));
        next.filter(|step| step.action == Action::CutBeforeBody).and_then(Step::spend).is_some()
    }
}

impl Step {
    fn needs_body(&self) -> bool {
        self.kind.is_some() || self.contains.is_some()
    }

    fn fits(&self, traits: &Traits<'_>) -> bool {
        self.times != Some(0)
            && self.project.is_none_or(|project| traits.project == Some(project))
            && self.kind.is_none_or(|kind| traits.kinds.contains(&kind))
            && self.contains.as_ref().is_none_or(|text| contains(traits.body, text.as_bytes()))
    }

    fn spend(&mut self) -> Option<Action> {
        if let Some(left) = &mut self.times {
            *left = left.checked_sub(1)?;
        }
        Some(self.action.clone())
    }
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|window| window == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)]) -> Action {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Action::Answer { status, headers }
    }

    fn step(times: Option<u64>, action: Action) -> Step {
        Step { times, kind: None, project: None, contains: None, action }
    }

    #[test]
    fn texts() {
        let limits = "60:log_item;log_byte:organization";
        for (text, expected) in [
            ("429", step(Some(1), answer(429, &[]))),
            ("3x429,retry-after=2", step(Some(3), answer(429, &[("retry-after", "2")]))),
            (
                &format!("429,x-sentry-rate-limits={limits}"),
                step(Some(1), answer(429, &[("x-sentry-rate-limits", limits)])),
            ),
            ("200,a=1:x,2:y,b=3", step(Some(1), answer(200, &[("a", "1:x,2:y"), ("b", "3")]))),
            ("2xok", step(Some(2), answer(200, &[]))),
            ("2xcut-before-body", step(Some(2), Action::CutBeforeBody)),
            ("cut-after-body", step(Some(1), Action::CutAfterBody)),
            ("lost-answer", step(Some(1), Action::LostAnswer)),
            ("half-close", step(Some(1), Action::HalfClose)),
            ("garbage", step(Some(1), Action::Garbage)),
            ("truncate=head", step(Some(1), Action::Truncate(Part::Head))),
            ("2xtruncate=body", step(Some(2), Action::Truncate(Part::Body))),
            ("close-idle", step(Some(1), Action::CloseIdle)),
            ("hang=10s", step(Some(1), Action::Hang(Duration::from_secs(10)))),
            ("delay=50ms", step(Some(1), Action::Delay(Duration::from_millis(50)))),
            ("drip=1m", step(Some(1), Action::Drip(Duration::from_secs(60)))),
            ("forever:403", step(None, answer(403, &[]))),
            ("log:413", Step { kind: Some(Kind::Log), ..step(Some(1), answer(413, &[])) }),
            ("2xevent:500", Step { kind: Some(Kind::Event), ..step(Some(2), answer(500, &[])) }),
            (
                "forever:project=7:client_report:403",
                Step { kind: Some(Kind::ClientReport), project: Some(7), ..step(None, answer(403, &[])) },
            ),
            ("poison=a:b, c", Step { contains: Some("a:b, c".into()), ..step(None, answer(400, &[])) }),
            (
                "log:2xpoison=x",
                Step { kind: Some(Kind::Log), contains: Some("x".into()), ..step(Some(2), answer(400, &[])) },
            ),
        ] {
            assert_eq!(text.parse::<Step>().as_ref(), Ok(&expected), "{text}");
        }
        assert_eq!("".parse(), Ok(Script::default()));
        let two: Script = "3x429 then forever:ok".parse().unwrap();
        assert_eq!(two.steps, [step(Some(3), answer(429, &[])), step(None, answer(200, &[]))]);
    }

    #[test]
    fn refusals() {
        for text in [
            "nonsense",
            "199",
            "600",
            "x429",
            "-1x429",
            "99999999999999999999x429",
            "hang",
            "hang=10",
            "hang=s",
            "delay=99999999999999999999s",
            "429,retry-after",
            "429,=2",
            "429,a b=2",
            "429,a=b\nc",
            "garbage,a=b",
            "truncate",
            "truncate=tail",
            "close-idle,a=b",
            "poison=",
            "log:cut-before-body",
            "project=x:429",
            "429 then ",
            "3x",
        ] {
            assert!(text.parse::<Script>().is_err(), "{text}");
        }
        let error = "teapot".parse::<Script>().unwrap_err().to_string();
        assert!(error.contains("expected a status") && error.contains("\"teapot\""), "{error}");
    }

    #[test]
    fn every_example_of_the_help_parses() {
        let (_, examples) = GRAMMAR.split_once("Examples:").unwrap();
        let specs: Vec<&str> = examples.split("--fault").skip(1).map(|spec| spec.trim().trim_matches('\'')).collect();
        assert_eq!(specs.len(), 6);
        for spec in specs {
            assert!(spec.parse::<Script>().is_ok(), "{spec}");
        }
    }

    #[test]
    fn first_that_fits_and_is_left() {
        let mut script: Script =
            "log:413 then 2x429 then project=7:403 then poison=bad then forever:503".parse().unwrap();
        let mut take = |project, kinds: &[Kind], body: &str| match script.take(&Traits {
            project: Some(project),
            kinds,
            body: body.as_bytes(),
        }) {
            Some(Action::Answer { status, .. }) => status,
            other => panic!("{other:?}"),
        };
        assert_eq!(take(1, &[Kind::Event], ""), 429);
        assert_eq!(take(1, &[Kind::Event, Kind::Log], ""), 413);
        assert_eq!(take(1, &[Kind::Log], ""), 429);
        assert_eq!(take(7, &[], "bad"), 403);
        assert_eq!(take(7, &[], "so bad!"), 400);
        assert_eq!(take(7, &[], "bad"), 400);
        assert_eq!(take(7, &[], "good"), 503);
        assert_eq!(Script::default().take(&Traits { project: None, kinds: &[], body: b"" }), None);
    }

    #[test]
    fn cuts_before_the_body_keep_their_turn() {
        let mut script: Script = "log:429 then 503 then project=2:cut-before-body".parse().unwrap();
        assert!(!script.take_before_body(Some(2)), "503 comes first");
        assert_eq!(script.take(&Traits { project: Some(2), kinds: &[], body: b"" }), Some(answer(503, &[])));
        assert!(!script.take_before_body(Some(1)), "another project");
        assert!(script.take_before_body(Some(2)), "log: must not stand in the way");
        assert!(!script.take_before_body(Some(2)), "used up");
    }
}
