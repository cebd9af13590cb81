//! A plugin's library: the functions that it exports, those that it is given, and every call into it.
//!
//! This file is the only one outside of the plugin with `unsafe`.
#![expect(unsafe_code, reason = "loading a plugin and calling through its C ABI; everything around this file is safe")]

use super::layout::{self, Api, ConfigMap, Definition, GoPlugin, ProxyContext};
use super::log::{Journal, Level, Sink};
use super::output::{self, Output};
use super::{Declared, Generation, LoadError};
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
pub(super) struct Allocation(AtomicPtr<AtomicU64>);

impl Allocation {
    pub fn new(size: usize) -> Self {
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
pub(super) struct Library {
    symbols: Symbols,
    pub path: PathBuf,
    pub generation: Generation,
    pub definition: Definition,
    pub name: CString,
    pub description: String,
    pub declared: Option<Vec<Declared>>,
    api: Box<Api>,
    /// One structure for all instances: Fluent Bit rewrites two of its fields before each Init, hence one at a time.
    shared: Mutex<Box<GoPlugin>>,
    hot_reload_enabled: bool,
    /// Instances that were initialized and not yet told that all of them are.
    pub not_running: Mutex<usize>,
    pub reloaded: AtomicBool,
    pub sink: Mutex<Option<Sink>>,
    /// Last, so that it is closed last.
    _handle: Handle,
}

impl Library {
    pub fn open(path: &Path, generation: Generation, hot_reloading: bool) -> Result<Self, LoadError> {
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

    pub fn init(&self, output: &Arc<Output>, context: &ProxyContext) -> c_int {
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
    pub fn run(&self) {
        let mut waiting = lock(&self.not_running);
        for _ in 0..std::mem::take(&mut *waiting) {
            if let Some(pre_run) = self.symbols.pre_run {
                // SAFETY: a number is all it takes; the host ignores the answer.
                unsafe { pre_run(c_int::from(self.hot_reload_enabled)) };
            }
        }
    }

    /// Returns the plugin's `FLBPluginFlushCtx`, if it exports one.
    pub fn raw_flush(&self) -> Option<RawFlush> {
        self.symbols.flush_ctx
    }

    /// Flushes a chunk in the name of an instance, and returns the plugin's answer.
    pub fn flush(&self, output: &Arc<Output>, context: &ProxyContext, chunk: &[u8], tag: &CStr) -> c_int {
        let (data, size, tag) = (chunk.as_ptr().cast(), chunk.len(), tag.as_ptr());
        inside(output, || match (self.symbols.flush_ctx, self.symbols.flush) {
            // SAFETY: what Init left in the context, and bytes and tag that live until the call returns.
            (Some(flush), _) => unsafe { flush(context.remote(), data, size, tag) },
            // SAFETY: bytes and tag live until the call returns.
            (None, Some(flush)) => unsafe { flush(data, size, tag) },
            (None, None) => 0,
        })
    }

    /// Tells the plugin that an instance ends. To be called once, when no flush of the instance runs any more: [`super::Instance`] does
    /// so when it is dropped, since its owner then has it alone.
    pub fn exit(&self, output: &Arc<Output>, context: &ProxyContext) {
        if let Some(pre_exit) = self.symbols.pre_exit {
            let reloading = c_int::from(self.reloaded.load(Ordering::Relaxed));
            // SAFETY: a number is all it takes.
            inside(output, || unsafe { pre_exit(reloading) });
        }
        inside(output, || match (self.symbols.exit_ctx, self.symbols.exit) {
            // SAFETY: what Init left in the context; no flush runs, since the caller owns the instance alone.
            (Some(exit), _) => unsafe { exit(context.remote()) },
            // SAFETY: takes nothing.
            (None, Some(exit)) => unsafe { exit() },
            (None, None) => 0,
        });
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

pub(super) static STRAY: Journal = Journal::new(None);

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

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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
