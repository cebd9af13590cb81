//! `BENCHMARKS.md`: each bench has a section of it, and writes that and no other.

use std::{fs, io};

/// Set by `WRITE=1` on the command line of `make`.
const VARIABLE: &str = "BENCH_WRITE";

/// The command that makes a section, with what was set for it.
fn command(name: &str) -> String {
    let mut settings: Vec<String> = std::env::vars()
        .filter(|(name, value)| name.starts_with("BENCH_") && name != VARIABLE && !value.is_empty())
        .map(|(name, value)| format!("{name}={value} "))
        .collect();
    settings.sort();
    format!("{}make bench-{name} WRITE=1", settings.concat())
}

/// Prints a section, and puts it in its place in the page where that was asked for.
///
/// # Errors
/// When the page cannot be read or written, or has no place for it.
pub fn publish(name: &str, text: &str) -> io::Result<()> {
    let text = format!("`{}`: {text}", command(name));
    println!("{text}");
    match std::env::var(VARIABLE) {
        Ok(value) if !["", "0"].contains(&value.as_str()) => write(name, &text),
        _ => Ok(()),
    }
}

fn write(name: &str, text: &str) -> io::Result<()> {
    let path = crate::artefacts::workspace().join("BENCHMARKS.md");
    let page = fs::read_to_string(&path)?;
    let (start, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let place = page.split_once(&start).and_then(|(head, rest)| Some((head, rest.split_once(&end)?.1)));
    let (head, tail) = place.ok_or_else(|| io::Error::other(format!("{}: no {start:?}", path.display())))?;
    fs::write(&path, format!("{head}{start}{}\n{end}{tail}", text.trim_end()))
}

/// A demand and what was found, as a line of a list.
pub fn verdict(what: &str, met: bool, found: &str) -> String {
    format!("- {}: {what}; found {found}", if met { "met" } else { "**not met**" })
}
