//! Parses scripts of faults, see [`super::GRAMMAR`].

use super::{Action, Kind, Part, Script, ScriptError, Step};
use std::str::FromStr;
use std::time::Duration;

impl FromStr for Script {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Script, ScriptError> {
        if text.trim().is_empty() {
            return Ok(Script::default());
        }
        Ok(Script { steps: text.split(" then ").map(str::parse).collect::<Result<_, _>>()? })
    }
}

impl From<Vec<Script>> for Script {
    fn from(scripts: Vec<Script>) -> Script {
        Script { steps: scripts.into_iter().flat_map(|script| script.steps).collect() }
    }
}

impl FromStr for Step {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Step, ScriptError> {
        let text = text.trim();
        let answer = Action::Answer { status: 200, headers: Vec::new() };
        let mut step = Step { times: Some(1), kind: None, project: None, contains: None, action: answer };
        let mut counted = false;
        let mut rest = text;
        while let Some(after) = step.prefix(rest, &mut counted)? {
            rest = after;
        }
        if let Some(needle) = rest.strip_prefix("poison=") {
            if needle.is_empty() {
                return Err(ScriptError(format!("{text:?}: expected text after poison=")));
            }
            step.contains = Some(needle.to_owned());
            step.action = Action::Answer { status: 400, headers: Vec::new() };
            step.times = step.times.filter(|_| counted);
            return Ok(step);
        }
        step.action = rest.parse()?;
        if step.action == Action::CutBeforeBody && step.needs_body() {
            return Err(ScriptError(format!("{text:?}: cut-before-body comes before the items are known")));
        }
        Ok(step)
    }
}

impl Step {
    /// Takes one prefix off; `None` when there is none left.
    fn prefix<'a>(&mut self, text: &'a str, counted: &mut bool) -> Result<Option<&'a str>, ScriptError> {
        let (count, rest) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
        if let Some(after) = rest.strip_prefix('x') {
            let times =
                count.parse().map_err(|_| ScriptError(format!("expected a count before 'x', found {text:?}")))?;
            (self.times, *counted) = (Some(times), true);
            return Ok(Some(after));
        }
        if let Some(after) = text.strip_prefix("forever:") {
            (self.times, *counted) = (None, true);
            return Ok(Some(after));
        }
        if let Some((number, after)) = text.strip_prefix("project=").and_then(|rest| rest.split_once(':')) {
            let project = number.parse();
            self.project = Some(project.map_err(|_| ScriptError(format!("expected a project id, found {number:?}")))?);
            return Ok(Some(after));
        }
        let Some((Some(kind), after)) = text.split_once(':').map(|(name, after)| (Kind::of(name), after)) else {
            return Ok(None);
        };
        self.kind = Some(kind);
        Ok(Some(after))
    }
}

impl FromStr for Action {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Action, ScriptError> {
        let (name, extra) = text.split_once(',').map_or((text, None), |(name, extra)| (name, Some(extra)));
        let time = || duration(name.split_once('=').map_or("", |(_, time)| time));
        let action = match name.split('=').next().unwrap_or_default() {
            "cut-before-body" => Action::CutBeforeBody,
            "cut-after-body" => Action::CutAfterBody,
            "lost-answer" => Action::LostAnswer,
            "half-close" => Action::HalfClose,
            "garbage" => Action::Garbage,
            "hang" => Action::Hang(time()?),
            "delay" => Action::Delay(time()?),
            "drip" => Action::Drip(time()?),
            "truncate" => Action::Truncate(part_of(name)?),
            "close-idle" => Action::CloseIdle,
            "ok" => Action::Answer { status: 200, headers: headers(extra)? },
            status => Action::Answer { status: status_of(status)?, headers: headers(extra)? },
        };
        match (&action, extra) {
            (Action::Answer { .. }, _) | (_, None) => Ok(action),
            (_, Some(extra)) => Err(ScriptError(format!("expected nothing after {name}, found {extra:?}"))),
        }
    }
}

fn part_of(text: &str) -> Result<Part, ScriptError> {
    match text {
        "truncate=head" => Ok(Part::Head),
        "truncate=body" => Ok(Part::Body),
        _ => Err(ScriptError(format!("expected truncate=head or truncate=body, found {text:?}"))),
    }
}

fn status_of(text: &str) -> Result<u16, ScriptError> {
    text.parse().ok().filter(|status| (200..600).contains(status)).ok_or_else(|| {
        ScriptError(format!(
            "expected a status (200 to 599), ok, poison=, delay=, hang=, drip=, cut-before-body, cut-after-body, \
             lost-answer, half-close, truncate=, close-idle or garbage, found {text:?}"
        ))
    })
}

fn headers(text: Option<&str>) -> Result<Vec<(String, String)>, ScriptError> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for part in text.into_iter().flat_map(|text| text.split(',')) {
        match (part.split_once('='), headers.last_mut()) {
            (Some((name, value)), _) if is_token(name.trim()) => {
                headers.push((name.trim().into(), value.trim().into()))
            }
            // Header values have commas of their own.
            (None, Some((_, value))) => *value += &format!(",{part}"),
            _ => return Err(ScriptError(format!("expected HEADER=VALUE, found {part:?}"))),
        }
    }
    match headers.iter().find(|(_, value)| value.contains(['\r', '\n'])) {
        Some((name, _)) => Err(ScriptError(format!("line break in the value of {name}"))),
        None => Ok(headers),
    }
}

fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn duration(text: &str) -> Result<Duration, ScriptError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let millis = match unit {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" => Some(60_000),
        _ => None,
    };
    let total = number.parse::<u64>().ok().zip(millis).and_then(|(number, millis)| number.checked_mul(millis));
    total
        .map(Duration::from_millis)
        .ok_or_else(|| ScriptError(format!("expected a time such as 50ms or 10s, found {text:?}")))
}
