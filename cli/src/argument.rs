//! Parses arguments that may hold a secret. An error says what was expected and does not repeat the argument, because the
//! terminal output of a pipeline is a log as well.

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use std::ffi::OsStr;

/// Reads an argument's text by a function whose errors repeat no secret.
#[derive(Clone, Debug)]
pub(crate) struct Discreet<T>(pub(crate) fn(&str) -> Result<T, String>);

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Discreet<T> {
    type Value = T;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Self::Value, clap::Error> {
        let read = value.to_str().ok_or_else(|| "expected UTF-8 text".to_owned()).and_then(self.0);
        read.map_err(|why| {
            let name = argument.map(ToString::to_string).unwrap_or_default();
            clap::Error::raw(ErrorKind::ValueValidation, format!("{name}: {why}\n")).with_cmd(command)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_does_not_repeat_the_value() {
        let parser = Discreet(|text| text.parse::<u32>().map_err(|_| "expected a number".to_owned()));
        let argument = clap::Arg::new("n").long("number").value_name("N").value_parser(parser);
        let command = clap::Command::new("test").arg(argument);
        let error = command.clone().try_get_matches_from(["test", "--number", "hunter2"]).unwrap_err().to_string();
        assert!(error.contains("--number <N>: expected a number") && !error.contains("hunter2"), "{error}");
        let matches = command.try_get_matches_from(["test", "--number", "7"]).unwrap();
        assert_eq!(matches.get_one::<u32>("n"), Some(&7));
    }
}
