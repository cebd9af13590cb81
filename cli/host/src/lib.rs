//! Fluent Bit as an output plugin sees it: a mirror of Fluent Bit's side of the Go-plugin ABI.
//!
//! [`Plugin`] loads a shared library and registers it; [`Instance`] is one `[OUTPUT]` section of it. The calls are those of
//! Fluent Bit 5.1, in its order:
//!
//! ```text
//! PreRegister(0)  Register(definition)                 Plugin::load
//! Init                                                 Plugin::instance, once per section
//! OutputPreRun                                         once per instance, before the first flush of any
//! FlushCtx ...                                         Instance::flush, from as many threads as there are workers
//! OutputPreExit(0)  ExitCtx                            Instance::exit, or dropping it
//! Unregister, dlclose                                  Plugin::close, or dropping it and its instances
//! ```
//!
//! A [`Generation`] older than 5.1 allocates less, offers less and calls less, so that a plugin can be tested against the
//! versions in the field. Parts that do not belong to the ABI are not mirrored: coroutine stacks (a test makes its own and
//! calls [`Instance::raw_flush`]), the metrics registry (`cmt_*` and `flb_output_name` are not exported, as in a Fluent Bit
//! without them) and the scheduler, which is in the companion's `ship`.

mod error;
mod layout;
mod library;
mod log;
mod output;

pub use error::{InitError, LoadError};
pub use layout::{Generation, LAYOUT};
pub use library::RawFlush;
pub use log::{Level, Sink, format_line};

use layout::ProxyContext;
use library::{Library, STRAY, lock};
use output::Output;
use std::ffi::{CString, OsStr, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The plugin's answer to a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The host may forget the chunk.
    Ok,
    /// The host keeps the chunk and flushes it again.
    Retry,
    /// The host drops the chunk.
    Error,
}

impl Verdict {
    /// Reads the response of a flush as Fluent Bit does: anything that is neither OK (1) nor RETRY (2) is an error.
    pub fn from_answer(answer: c_int) -> Self {
        match answer {
            1 => Self::Ok,
            2 => Self::Retry,
            _ => Self::Error,
        }
    }
}

/// An option that a plugin declares in the `config_map` of its definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// Its default, if it has one that is not empty.
    pub default: Option<String>,
    /// Its description, as Fluent Bit's help shows it.
    pub description: String,
    /// `FLB_CONFIG_MAP_*`.
    pub kind: i32,
    /// True if a section may have it more than once.
    pub is_repeatable: bool,
}

/// A loaded and registered plugin. Dropping it is [`Plugin::close`].
pub struct Plugin(Arc<Library>);

impl Plugin {
    /// Loads a plugin file and registers it: `PreRegister(0)`, `Register`.
    ///
    /// # Errors
    /// Any reason for which Fluent Bit has no output of it; Fluent Bit itself says much less.
    pub fn load(path: impl AsRef<Path>, generation: Generation) -> Result<Self, LoadError> {
        let path = path.as_ref();
        // A name without a slash would be searched for along the linker's path.
        let path = path.canonicalize().map_err(|_| LoadError::NotFound(path.to_owned()))?;
        if path.file_name().map(OsStr::as_bytes).is_some_and(|name| name.starts_with(b"flb-")) {
            return Err(LoadError::ReservedName(path));
        }
        Library::open(&path, generation, false).map(|library| Self(Arc::new(library)))
    }

    /// Registers the same file a second time, as a hot reload does: `PreRegister(1)`, `Register` with a definition of its
    /// own, in the same process with the same statics, while the old instances still live.
    ///
    /// From here on the old instances exit with `OutputPreExit(1)`. The host goes on so: [`Instance::exit`] for each old
    /// instance, [`Plugin::close`] of the old plugin, then [`Plugin::instance`] of the new one. Nothing keeps a test from
    /// another order.
    ///
    /// # Errors
    /// As [`Plugin::load`]; the old plugin goes on as if nothing had happened.
    pub fn reload(&self) -> Result<Self, LoadError> {
        let library = Library::open(&self.0.path, self.0.generation, true)?;
        *lock(&library.sink) = lock(&self.0.sink).clone();
        self.0.reloaded.store(true, Ordering::Relaxed);
        Ok(Self(Arc::new(library)))
    }

    /// Calls this for every line that instances made from now on log, from the thread that logs it.
    pub fn on_log(&self, sink: Sink) {
        *lock(&self.0.sink) = Some(sink);
    }

    /// The name the plugin registered, `sentry`.
    pub fn name(&self) -> String {
        self.0.name.to_string_lossy().into_owned()
    }

    /// The description the plugin registered.
    pub fn description(&self) -> &str {
        &self.0.description
    }

    /// The options that the plugin declares. `None` if it declares none, or if this version of Fluent Bit knows of no such
    /// declarations. From 5.1.1 on a real Fluent Bit refuses options that are not among them.
    pub fn declared(&self) -> Option<&[Declared]> {
        self.0.declared.as_deref()
    }

    /// The kinds of records that the plugin registered for, a bit each; 0 is logs alone, as in Fluent Bit before 4.2.3.
    pub fn event_type(&self) -> u32 {
        self.0.definition.event_type().unwrap_or_default()
    }

    /// Makes an instance: one `[OUTPUT]` section with these options, in this order.
    ///
    /// The `name` is for the caller's own messages: a plugin cannot see an alias. `Log_Level` is honoured, and the other
    /// options that Fluent Bit's core keeps for itself are hidden from the plugin, as there.
    ///
    /// # Errors
    /// When Fluent Bit itself or the plugin's Init refuses the options, with the lines logged meanwhile.
    pub fn instance(&self, name: &str, options: &[(&str, &str)]) -> Result<Instance, InitError> {
        let output = Output::new(name, options, lock(&self.0.sink).clone())?;
        let library = ptr::from_ref(&*self.0).cast_mut().cast();
        let context = Box::new(ProxyContext { remote_context: AtomicPtr::default(), proxy: AtomicPtr::new(library) });
        output::enter(&output);
        let answer = self.0.init(&output, &context);
        if answer <= 0 {
            // As in the host, there is no Exit after a failed Init.
            output::leave(&output);
            return Err(InitError::refused(name, answer, output.journal.lines()));
        }
        *lock(&self.0.not_running) += 1;
        Ok(Instance { library: Arc::clone(&self.0), output, context })
    }

    /// `Unregister` and `dlclose`: at once, or with the last instance where some are still alive.
    pub fn close(self) {}
}

/// One `[OUTPUT]` section of a plugin. Dropping it is [`Instance::exit`].
pub struct Instance {
    library: Arc<Library>,
    output: Arc<Output>,
    context: Box<ProxyContext>,
}

impl Instance {
    /// Options that the plugin has not asked for, in lower case: misspelled ones are among them.
    pub fn unasked(&self) -> Vec<String> {
        self.output.unasked()
    }

    /// Flushes one chunk, on the caller's thread and stack.
    ///
    /// A tag with a NUL byte is cut there, as the plugin would see it.
    pub fn flush(&self, tag: &str, chunk: &[u8]) -> Verdict {
        self.library.run();
        let tag = CString::new(tag.split('\0').next().unwrap_or_default()).unwrap_or_default();
        let answer = self.library.flush(&self.output, &self.context, chunk, &tag);
        Verdict::from_answer(answer)
    }

    /// `FLBPluginFlushCtx` itself and the context it wants, for a caller that brings its own stack or its own NULLs.
    /// `None` if the plugin exports only the older `FLBPluginFlush`.
    ///
    /// The context is valid as long as this instance.
    pub fn raw_flush(&self) -> Option<(RawFlush, *mut c_void)> {
        self.library.run();
        self.library.raw_flush().map(|flush| (flush, self.context.remote()))
    }

    /// Returns the lines that the plugin has logged in the name of this instance so far, from any thread.
    pub fn log_lines(&self) -> Vec<(Level, String)> {
        self.output.journal.lines()
    }

    /// `OutputPreExit`, `ExitCtx`; then the instance is gone and its lines remain.
    pub fn exit(self) -> Vec<(Level, String)> {
        let output = Arc::clone(&self.output);
        drop(self);
        output.journal.lines()
    }

    fn shut(&self) {
        self.library.run();
        self.library.exit(&self.output, &self.context);
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.shut();
        output::leave(&self.output);
    }
}

/// Lines that plugins logged in nobody's name: from a thread of their own without asking `output_log_check` first, or after
/// the instance was gone. A well-behaved plugin leaves none. They are of the whole process.
pub fn stray_log_lines() -> Vec<(Level, String)> {
    STRAY.lines()
}
