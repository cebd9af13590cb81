//! Decides where the chunk of a flush waits: `delivery`, and what `auto` stands for.

use super::{Delivery, Mode};

/// The thread of Fluent Bit that runs a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushThread {
    /// The engine's own. While it waits, Fluent Bit does nothing else.
    Engine,
    /// One of the output's `workers`.
    Worker,
}

/// The place in which a chunk waits until its items are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResolvedMode {
    /// In the spool.
    Spool,
    /// With Fluent Bit: the flush waits for Sentry, and Fluent Bit offers the chunk again after RETRY.
    Ack,
    /// In memory.
    Memory,
}

impl ResolvedMode {
    /// Returns the mode of all flushes; `None` if it depends on the thread that a flush runs on.
    pub(crate) fn of(settings: &Delivery) -> Option<Self> {
        match (settings.mode, &settings.spool_path) {
            (Mode::Spool, _) | (Mode::Auto, Some(_)) => Some(Self::Spool),
            (Mode::Ack, _) => Some(Self::Ack),
            (Mode::Memory, _) => Some(Self::Memory),
            (Mode::Auto, None) => None,
        }
    }

    /// Returns the mode of a flush. On the engine's thread a flush must not wait, because Fluent Bit does nothing else then.
    pub(crate) fn of_flush(settings: &Delivery, thread: FlushThread) -> Self {
        Self::of(settings).unwrap_or(match thread {
            FlushThread::Engine => Self::Memory,
            FlushThread::Worker => Self::Ack,
        })
    }

    /// Returns the value of `delivery` that stands for the mode.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Spool => Mode::Spool.name(),
            Self::Ack => Mode::Ack.name(),
            Self::Memory => Mode::Memory.name(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolves_auto_by_directory_and_thread() {
        let settings =
            |mode, path: Option<&str>| Delivery { mode, spool_path: path.map(Into::into), ..Delivery::default() };
        for (mode, path, on_worker, on_engine) in [
            (Mode::Auto, Some("/spool"), ResolvedMode::Spool, ResolvedMode::Spool),
            (Mode::Auto, None, ResolvedMode::Ack, ResolvedMode::Memory),
            (Mode::Spool, Some("/spool"), ResolvedMode::Spool, ResolvedMode::Spool),
            (Mode::Ack, Some("/spool"), ResolvedMode::Ack, ResolvedMode::Ack),
            (Mode::Memory, Some("/spool"), ResolvedMode::Memory, ResolvedMode::Memory),
        ] {
            let settings = settings(mode, path);
            let found =
                [FlushThread::Worker, FlushThread::Engine].map(|thread| ResolvedMode::of_flush(&settings, thread));
            assert_eq!(found, [on_worker, on_engine], "{mode:?} {path:?}");
        }
    }
}
