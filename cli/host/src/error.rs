//! Errors of loading a plugin and of making an instance.
#![deny(unsafe_code)]

use super::layout::Generation;
use super::log::Level;
use std::fmt;
use std::path::PathBuf;

/// Why a plugin could not be loaded and registered.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// There is no such file.
    NotFound(PathBuf),
    /// The file's name begins with `flb-`: Fluent Bit would take it for a plugin of its own kind.
    ReservedName(PathBuf),
    /// The dynamic linker refuses the file; its own words follow.
    Open(PathBuf, String),
    /// A symbol that Fluent Bit cannot do without is missing.
    MissingSymbol(&'static str),
    /// This hook answered -1.
    Refused(&'static str),
    /// The definition says something else than output (2) and Go proxy (11).
    NotAnOutput {
        /// `type` of the definition.
        kind: i32,
        /// `proxy` of the definition.
        proxy: i32,
    },
    /// The definition has no name.
    Unnamed,
    /// The plugin wrote behind the end of the definition, which on this generation is damage to the heap.
    Overrun(Generation),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(path) => write!(f, "{}: expected a plugin, found no such file", path.display()),
            Self::ReservedName(path) => {
                write!(
                    f,
                    "{}: Fluent Bit takes names with `flb-` for plugins of its own kind; rename it",
                    path.display()
                )
            }
            Self::Open(path, why) => write!(f, "{}: cannot be loaded: {why}", path.display()),
            Self::MissingSymbol(name) => write!(f, "not a Fluent Bit output: it does not export {name}"),
            Self::Refused(name) => write!(f, "the plugin refused to register ({name} answered -1)"),
            Self::NotAnOutput { kind, proxy } => {
                write!(f, "expected an output (2) for the Go proxy (11), found type {kind} and proxy {proxy}")
            }
            Self::Unnamed => write!(f, "the plugin registered without a name"),
            Self::Overrun(generation) => {
                write!(
                    f,
                    "the plugin wrote behind the definition, which has {} bytes here",
                    generation.definition_size()
                )
            }
        }
    }
}

impl std::error::Error for LoadError {}

/// Why an instance could not be made.
#[derive(Debug)]
pub struct InitError {
    name: String,
    problem: String,
    /// The lines that the plugin logged in the meantime. A good plugin gives its reasons there. They are not part of the
    /// error's text, since they may be echoed already.
    pub log_lines: Vec<(Level, String)>,
}

impl InitError {
    pub(super) fn before_the_plugin(name: &str, problem: String) -> Self {
        Self { name: name.to_owned(), problem, log_lines: Vec::new() }
    }

    pub(super) fn refused(name: &str, answer: i32, log_lines: Vec<(Level, String)>) -> Self {
        Self {
            name: name.to_owned(),
            problem: format!("the plugin refused its options (FLBPluginInit answered {answer}, expected 1)"),
            log_lines,
        }
    }
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "output '{}' failed to initialize: {}", self.name, self.problem)?;
        if self.log_lines.is_empty() { Ok(()) } else { write!(f, "; its log states the reason") }
    }
}

impl std::error::Error for InitError {}
