//! Recognises priorities that journald only assumed.
//!
//! A service's output reaches journald without a priority of its own and gets the unit's `SyslogLevel`, which is 6
//! (`systemd.exec(5)`, `_TRANSPORT=stdout` in `systemd.journal-fields(7)`). Docker's and Podman's journald drivers give 6 to
//! a container's stdout and 3 to its stderr. Syslog, the journal's own API and the kernel set a priority themselves.

use crate::level::Level;
use crate::mapping::extract::fields::Fields;
use crate::mapping::extract::interner::NameId;

/// The significance of a record's priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// The program said it.
    LevelSource,
    /// It counts where the line says none.
    Assumed,
    /// It says that the line came through stderr, which is no severity.
    Nothing,
}

/// Returns the worth of the level in the field with this key.
pub(super) fn worth(fields: &Fields<'_>, key: &[u8], level: Level) -> Worth {
    let lower = match key {
        b"PRIORITY" => false,
        b"priority" => true,
        _ => return Worth::LevelSource,
    };
    let text = |upper, lowered| fields.get_before_message(if lower { lowered } else { upper })?.text();
    let transport = text(NameId::TRANSPORT, NameId::TRANSPORT_LOWER);
    let container = text(NameId::JOURNAL_CONTAINER, NameId::JOURNAL_CONTAINER_LOWER);
    match transport {
        Some(b"stdout") => Worth::Assumed,
        // An input may leave the transport out. In lower case another input may have such a name.
        Some(b"journal") | None if container.is_some() && (transport.is_some() || !lower) => {
            if level == Level::Error {
                Worth::Nothing
            } else {
                Worth::Assumed
            }
        }
        _ => Worth::LevelSource,
    }
}
