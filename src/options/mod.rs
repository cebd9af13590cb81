//! Defines every option of `[OUTPUT] Name sentry`: `table` has a row for each, `load` reads them all.
//!
//! A default is text and passes the same setter as a value that a user writes, so it can never be invalid or differ from the
//! documents. The tables of `docs/configuration.md` are rendered from the rows (`reference`).

mod aliases;
mod cost;
mod dsn;
mod dsn_allowlist;
mod error;
mod file;
mod load;
mod proxy;
mod reference;
mod resolved_mode;
mod setters;
mod settings;
mod table;
#[cfg(test)]
mod tests;
mod tls;
mod value;

pub use aliases::{is_of_the_host, judge, nearest};
pub use cost::{Budget, LogAttributes, Period, Source};
pub use dsn::Dsn;
pub use dsn_allowlist::{Hosts, MAX_ANNOTATION, Refusal};
pub use error::{DsnError, OptionError};
pub use file::{MAX_DSN_FILE, is_writable_by_all, machine_name, open_plain, read_file, read_plain};
pub use load::{Loaded, load};
pub use proxy::{Proxies, ProxyUrl};
pub use reference::{GROUPS, Group, to_markdown};
pub use resolved_mode::FlushThread;
pub(crate) use resolved_mode::ResolvedMode;
pub use settings::{
    Compress, Delivery, Destination, Incidents, KubeEvents, Mapping, Mode, Monitor, Network, Report, Settings,
    SpoolSync,
};
pub use table::{Kind, Row, default_keys, rows};
