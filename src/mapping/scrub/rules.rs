//! The table of the rules of `scrub`: names that announce a secret, separators and values that follow a name, and the forms
//! of secrets that need no name.
//!
//! [`terms`] has the names, [`words`] what makes a name or its value harmless, [`tokens`] the forms, and [`numbers`] what
//! makes a number or an address harmless.
//!
//! Each row has examples, which are its tests: of `filtered` each text without the part between `{{` and `}}`, of `kept`
//! each text unchanged. `docs/privacy.md` is rendered from the rows.

mod numbers;
mod terms;
mod tokens;
mod words;

pub(super) use numbers::{COUNTERS, NO_DOMAINS, UNITS};
pub(super) use terms::{Kind, TERMS, Term};
pub(super) use tokens::{AFTER, Body, COMMANDS, Flag, HOOKS, TOKENS, Token};
pub(super) use words::{COUNTED, NOTHING, PROSE, QUALIFIERS, SUFFIXES};
