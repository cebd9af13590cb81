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
//!
//! This file is the only one outside of the plugin with `unsafe`.
#![expect(unsafe_code, reason = "loading a plugin and calling through its C ABI; everything around this file is safe")]

mod error;
mod layout;
mod log;
mod output;

pub use error::{InitError, LoadError};
pub use layout::{Generation, LAYOUT};
pub use log::{Level, Sink, format_line};

use layout::{Api, ConfigMap, Definition, GoPlugin, ProxyContext};
use log::Journal;
use output::Output;
use std::cell::RefCell;
use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// `FLBPluginFlushCtx`: context, bytes, their number, NUL-terminated tag.
pub type RawFlush = unsafe extern "C" fn(*mut c_void, *const c_void, usize, *const c_char) -> c_int;
type PlainFlush = unsafe extern "C" fn(*const c_void, usize, *const c_char) -> c_int;
type Number = unsafe extern "C" fn(c_int) -> c_int;

/// Every symbol that Fluent Bit looks up in an output.
struct Symbols {
    pre_register: Option<Number>,
    register: unsafe extern "C" fn(*mut c_void) -> c_int,
    init: unsafe extern "C" fn(*mut GoPlugin) -> c_int,
    flush_ctx: Option<RawFlush>,
    flush: Option<PlainFlush>,
    exit_ctx: Option<unsafe extern "C" fn(*mut c_void) -> c_int>,
    exit: Option<unsafe extern "C" fn() -> c_int>,
    unregister: Option<unsafe extern "C" fn(*mut c_void)>,
    pre_run: Option<Number>,
    pre_exit: Option<unsafe extern "C" fn(c_int)>,
}

impl Symbols {
    fn look_up(handle: &Handle, generation: Generation) -> Result<Self, LoadError> {
        let flush_ctx = handle.symbol(c"FLBPluginFlushCtx");
        let flush = handle.symbol(c"FLBPluginFlush");
        if flush_ctx.is_none() && flush.is_none() {
            return Err(LoadError::MissingSymbol("FLBPluginFlushCtx"));
        }
        let hooks = generation.has_hooks();
        Ok(Self {
            pre_register: handle.symbol(c"FLBPluginPreRegister").filter(|_| hooks),
            register: handle.symbol(c"FLBPluginRegister").ok_or(LoadError::MissingSymbol("FLBPluginRegister"))?,
            init: handle.symbol(c"FLBPluginInit").ok_or(LoadError::MissingSymbol("FLBPluginInit"))?,
            flush_ctx,
            flush,
            exit_ctx: handle.symbol(c"FLBPluginExitCtx"),
            exit: handle.symbol(c"FLBPluginExit"),
            unregister: handle.symbol(c"FLBPluginUnregister"),
            pre_run: handle.symbol(c"FLBPluginOutputPreRun").filter(|_| hooks),
            pre_exit: handle.symbol(c"FLBPluginOutputPreExit").filter(|_| hooks),
        })
    }
}

/// A library as the dynamic linker gave it; closed when dropped.
struct Handle(AtomicPtr<c_void>);

impl Handle {
    fn open(path: &Path) -> Result<Self, LoadError> {
        let refused = |why: String| LoadError::Open(path.to_owned(), why);
        let name = CString::new(path.as_os_str().as_bytes()).map_err(|error| refused(error.to_string()))?;
        // SAFETY: the name is NUL-terminated; the library's constructors run, as they would in the host.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_LOCAL) };
        if handle.is_null() { Err(refused(linker_error())) } else { Ok(Self(AtomicPtr::new(handle))) }
    }

    /// Returns the function of this name. `F` is its type; only [`Symbols`] chooses it, after Fluent Bit's headers.
    fn symbol<F: Copy>(&self, name: &CStr) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        // SAFETY: the handle is open until drop, the name is NUL-terminated.
        let address = unsafe { libc::dlsym(self.0.load(Ordering::Relaxed), name.as_ptr()) };
        // SAFETY: not NULL, so it is a function, and by the ABI one of this type; sizes were compared above.
        (!address.is_null()).then(|| unsafe { std::mem::transmute_copy(&address) })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: opened by `open`, closed once.
        unsafe { libc::dlclose(self.0.load(Ordering::Relaxed)) };
    }
}

fn linker_error() -> String {
    // SAFETY: takes nothing; the answer belongs to this thread until its next call.
    let message = unsafe { libc::dlerror() };
    // SAFETY: NULL or text of the linker's.
    String::from_utf8_lossy(unsafe { c_bytes(message) }).into_owned()
}

/// The bytes of a C string; none of NULL.
///
/// # Safety
/// If it is not NULL it is NUL-terminated, and lives as long as the caller uses the result.
unsafe fn c_bytes<'a>(text: *const c_char) -> &'a [u8] {
    if text.is_null() {
        return b"";
    }
    // SAFETY: not NULL, and the rest is the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_bytes()
}

/// Memory from the allocator that the plugin knows, in words: as many as it gave, which may be more than were asked for.
struct Allocation(AtomicPtr<AtomicU64>);

impl Allocation {
    fn new(size: usize) -> Self {
        // SAFETY: malloc takes any size.
        let at = unsafe { libc::malloc(size) }.cast::<AtomicU64>();
        assert!(!at.is_null(), "out of memory");
        Self(AtomicPtr::new(at))
    }
}

impl Deref for Allocation {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        let at = self.0.load(Ordering::Relaxed);
        // SAFETY: malloc gave it and nobody has freed it.
        let words = unsafe { libc::malloc_usable_size(at.cast()) } / size_of::<AtomicU64>();
        // SAFETY: so many words belong to the allocation, aligned as malloc aligns; any bytes are a value of theirs.
        unsafe { std::slice::from_raw_parts(at, words) }
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        // SAFETY: malloc gave it, and it is freed once.
        unsafe { libc::free(self.0.load(Ordering::Relaxed).cast()) };
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

/// Reads the options until the element without a name. `None` if the plugin declares none.
fn declared(definition: &Definition) -> Option<Vec<Declared>> {
    // SAFETY: NULL or text of the plugin's, which it keeps until Unregister.
    let text = |text| String::from_utf8_lossy(unsafe { c_bytes(text) }).into_owned();
    let mut at: *const ConfigMap = definition.config_map()?;
    let mut options = Vec::new();
    loop {
        // SAFETY: the plugin declares an array that ends with an element without a name, and that was not reached yet.
        let option = unsafe { &*at };
        if option.name.is_null() {
            return Some(options);
        }
        options.push(Declared {
            name: text(option.name),
            default: Some(text(option.def_value)).filter(|default| !default.is_empty()),
            description: text(option.desc),
            kind: option.kind,
            is_repeatable: option.flags & 1 != 0,
        });
        // SAFETY: as above; there is another element.
        at = unsafe { at.add(1) };
    }
}

/// State that all instances of a loaded plugin share, as in Fluent Bit.
struct Library {
    symbols: Symbols,
    path: PathBuf,
    generation: Generation,
    definition: Definition,
    name: CString,
    description: String,
    declared: Option<Vec<Declared>>,
    api: Box<Api>,
    /// One structure for all instances: Fluent Bit rewrites two of its fields before each Init, hence one at a time.
    shared: Mutex<Box<GoPlugin>>,
    hot_reload_enabled: bool,
    /// Instances that were initialized and not yet told that all of them are.
    not_running: Mutex<usize>,
    reloaded: AtomicBool,
    sink: Mutex<Option<Sink>>,
    /// Last, so that it is closed last.
    _handle: Handle,
}

impl Library {
    fn open(path: &Path, generation: Generation, hot_reloading: bool) -> Result<Self, LoadError> {
        let handle = Handle::open(path)?;
        let symbols = Symbols::look_up(&handle, generation)?;
        let definition = register(&symbols, generation, hot_reloading)?;
        // SAFETY: the plugin keeps what it put in the definition until Unregister.
        let text = |field: Option<*const c_char>| field.map(|text| unsafe { c_bytes(text) }.to_owned());
        let name = text(definition.name()).filter(|name| !name.is_empty()).ok_or(LoadError::Unnamed)?;
        let name = CString::new(name).map_err(|_| LoadError::Unnamed)?;
        let description = String::from_utf8_lossy(&text(definition.description()).unwrap_or_default()).into_owned();
        let declared = declared(&definition);
        Ok(Self {
            symbols,
            path: path.to_owned(),
            generation,
            definition,
            declared,
            name,
            description,
            api: Box::new(api(generation)),
            shared: Mutex::default(),
            hot_reload_enabled: hot_reloading,
            not_running: Mutex::default(),
            reloaded: AtomicBool::new(false),
            sink: Mutex::new(None),
            _handle: handle,
        })
    }

    fn init(&self, output: &Arc<Output>, context: &ProxyContext) -> c_int {
        let shared = lock(&self.shared);
        shared.name.store(self.name.as_ptr().cast_mut(), Ordering::Relaxed);
        shared.api.store(ptr::from_ref(&*self.api).cast_mut(), Ordering::Relaxed);
        shared.o_ins.store(ptr::without_provenance_mut(output.address()), Ordering::Relaxed);
        shared.context.store(ptr::from_ref(context).cast_mut(), Ordering::Relaxed);
        // SAFETY: the structure has the host's layout, and all it points at outlives the instance.
        inside(output, || unsafe { (self.symbols.init)(ptr::from_ref(&**shared).cast_mut()) })
    }

    /// Calls the plugin's `pre_run` once for each instance. Fluent Bit does so when all instances are initialized, that is,
    /// before the first flush of any.
    fn run(&self) {
        let mut waiting = lock(&self.not_running);
        for _ in 0..std::mem::take(&mut *waiting) {
            if let Some(pre_run) = self.symbols.pre_run {
                // SAFETY: a number is all it takes; the host ignores the answer.
                unsafe { pre_run(c_int::from(self.hot_reload_enabled)) };
            }
        }
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        if let Some(unregister) = self.symbols.unregister {
            // SAFETY: the definition given to Register; no instance is left, each holds this library.
            unsafe { unregister(self.definition.as_ptr()) };
        }
    }
}

fn register(symbols: &Symbols, generation: Generation, hot_reloading: bool) -> Result<Definition, LoadError> {
    // SAFETY: a number is all it takes.
    if symbols.pre_register.map(|call| unsafe { call(c_int::from(hot_reloading)) }) == Some(-1) {
        return Err(LoadError::Refused("FLBPluginPreRegister"));
    }
    let definition = Definition::new(generation);
    // SAFETY: a definition of this generation, alive until Unregister.
    let answer = unsafe { (symbols.register)(definition.as_ptr()) };
    match definition.kind() {
        _ if definition.overrun() => Err(LoadError::Overrun(generation)),
        _ if answer == -1 => Err(LoadError::Refused("FLBPluginRegister")),
        (layout::OUTPUT, layout::GOLANG) => Ok(definition),
        (kind, proxy) => Err(LoadError::NotAnOutput { kind, proxy }),
    }
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
        let (data, size, tag) = (chunk.as_ptr().cast(), chunk.len(), tag.as_ptr());
        let symbols = &self.library.symbols;
        let answer = inside(&self.output, || match (symbols.flush_ctx, symbols.flush) {
            // SAFETY: what Init left in the context, and bytes and tag that live until the call returns.
            (Some(flush), _) => unsafe { flush(self.remote_context(), data, size, tag) },
            // SAFETY: bytes and tag live until the call returns.
            (None, Some(flush)) => unsafe { flush(data, size, tag) },
            (None, None) => 0,
        });
        Verdict::from_answer(answer)
    }

    /// `FLBPluginFlushCtx` itself and the context it wants, for a caller that brings its own stack or its own NULLs.
    /// `None` if the plugin exports only the older `FLBPluginFlush`.
    ///
    /// The context is valid as long as this instance.
    pub fn raw_flush(&self) -> Option<(RawFlush, *mut c_void)> {
        self.library.run();
        self.library.symbols.flush_ctx.map(|flush| (flush, self.remote_context()))
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

    fn remote_context(&self) -> *mut c_void {
        self.context.remote_context.load(Ordering::Relaxed)
    }

    fn shut(&self) {
        self.library.run();
        let symbols = &self.library.symbols;
        if let Some(pre_exit) = symbols.pre_exit {
            let reloading = c_int::from(self.library.reloaded.load(Ordering::Relaxed));
            // SAFETY: a number is all it takes.
            inside(&self.output, || unsafe { pre_exit(reloading) });
        }
        inside(&self.output, || match (symbols.exit_ctx, symbols.exit) {
            // SAFETY: what Init left in the context; no flush runs, since the caller owns the instance alone.
            (Some(exit), _) => unsafe { exit(self.remote_context()) },
            // SAFETY: takes nothing.
            (None, Some(exit)) => unsafe { exit() },
            (None, None) => 0,
        });
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

static STRAY: Journal = Journal::new(None);

thread_local! {
    /// The instance that Fluent Bit is calling on this thread.
    static INSIDE: RefCell<Option<Arc<Output>>> = const { RefCell::new(None) };
    /// The instance that `output_log_check` was asked about last on this thread: the next line is its own.
    static NAMED: RefCell<Option<Arc<Output>>> = const { RefCell::new(None) };
}

/// Calls into the plugin in the name of an instance.
fn inside<T>(output: &Arc<Output>, call: impl FnOnce() -> T) -> T {
    let outer = INSIDE.replace(Some(Arc::clone(output)));
    let answer = call();
    INSIDE.set(outer);
    answer
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The table of this generation.
fn api(generation: Generation) -> Api {
    let (logs, custom) = (generation.api_functions() >= 7, generation.api_functions() >= 9);
    Api {
        output_get_property,
        input_get_property: no_property,
        output_get_cmt_instance: if logs { output_get_cmt_instance } else { no_metrics },
        input_get_cmt_instance: no_metrics,
        log_print: if logs { log_print } else { no_log_print },
        input_log_check: no_log_check,
        output_log_check: if logs { output_log_check } else { no_log_check },
        custom_get_property: if custom { custom_get_property } else { no_property },
        custom_log_check: if custom { custom_log_check } else { no_log_check },
    }
}

/// The answer belongs to the instance, until it is gone.
unsafe extern "C" fn output_get_property(key: *const c_char, o_ins: *mut c_void) -> *const c_char {
    // SAFETY: the plugin's key, NUL-terminated, alive during this call.
    let Ok(key) = std::str::from_utf8(unsafe { c_bytes(key) }) else { return ptr::null() };
    let Some(output) = find(o_ins, "output_get_property") else { return ptr::null() };
    output.property(key).map_or(ptr::null(), CStr::as_ptr)
}

/// Not a metrics context: without `cmt_*` among the process's symbols a plugin cannot use one. It may only be passed on.
unsafe extern "C" fn output_get_cmt_instance(o_ins: *mut c_void) -> *mut c_void {
    find(o_ins, "output_get_cmt_instance")
        .map_or(ptr::null_mut(), |output| ptr::from_ref(&*output.metrics).cast_mut().cast())
}

unsafe extern "C" fn output_log_check(o_ins: *mut c_void, level: c_int) -> c_int {
    let output = find(o_ins, "output_log_check");
    let logs = output.as_ref().is_some_and(|output| output.logs(level));
    NAMED.set(output);
    c_int::from(logs)
}

/// In C this is `void (int, const char *, int, const char *, ...)`, which stable Rust can call but not define. By the calling
/// conventions of Linux on x86_64 and arm64 a variadic pointer arrives in the same register as a named one, so the first
/// of them can be named here; there is no second one, because a plugin formats its own text and passes it as `"%s"`.
/// Any other format is shown as it is.
unsafe extern "C" fn log_print(
    level: c_int,
    _file: *const c_char,
    _line: c_int,
    format: *const c_char,
    argument: *const c_char,
) {
    // SAFETY: the plugin's format, NUL-terminated, alive during this call.
    let format = unsafe { c_bytes(format) };
    // SAFETY: after this format comes one C string, and the calling convention has it here.
    let message = if format == b"%s" { unsafe { c_bytes(argument) } } else { format };
    let output = NAMED.take().or_else(|| INSIDE.with_borrow(Clone::clone));
    output.as_ref().map_or(&STRAY, |output| &output.journal).add(Level::from_number(level), message);
}

/// Never follows the address: one that is no instance, or none any more, becomes a stray line instead of a crash.
fn find(o_ins: *mut c_void, function: &str) -> Option<Arc<Output>> {
    let output = output::find(o_ins.addr());
    if output.is_none() {
        STRAY.add(Level::Error, format!("{function} was asked about an instance that is not there").as_bytes());
    }
    output
}

unsafe extern "C" fn custom_get_property(_key: *const c_char, _instance: *mut c_void) -> *const c_char {
    ptr::null()
}

unsafe extern "C" fn custom_log_check(_instance: *mut c_void, _level: c_int) -> c_int {
    0
}

unsafe extern "C" fn no_property(_key: *const c_char, _instance: *mut c_void) -> *const c_char {
    not_in_the_table("input_get_property or custom_get_property")
}

unsafe extern "C" fn no_metrics(_instance: *mut c_void) -> *mut c_void {
    not_in_the_table("output_get_cmt_instance or input_get_cmt_instance")
}

unsafe extern "C" fn no_log_check(_instance: *mut c_void, _level: c_int) -> c_int {
    not_in_the_table("output_log_check, input_log_check or custom_log_check")
}

unsafe extern "C" fn no_log_print(
    _level: c_int,
    _file: *const c_char,
    _line: c_int,
    _format: *const c_char,
    _argument: *const c_char,
) {
    not_in_the_table("log_print")
}

/// Aborts on a call that is not in the table. In a real Fluent Bit this is a jump to the memory behind the table, or a read
/// of another kind of instance.
fn not_in_the_table(function: &str) -> ! {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "host: the plugin called {function}, which is not there for it");
    std::process::abort()
}
