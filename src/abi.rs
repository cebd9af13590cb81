//! Exports the symbols that Fluent Bit looks up: its Go-plugin ABI, implemented in Rust. It holds no logic.
//!
//! Sources: Fluent Bit's `src/flb_plugin_proxy.c`, `src/proxy/go/go.c` and `include/fluent-bit/flb_plugin_proxy.h`, 1.9 to
//! 5.1. Constraints:
//!
//! - The flush runs on a coroutine stack of 24 KiB without a guard page (Fluent Bit before 5.1). It may only copy, enqueue
//!   and wait; nothing is formatted, logged or symbolised there, not even in a panic.
//! - The registration struct grew over the versions, and its memory is exactly as long as Fluent Bit's own version of it.
//!   The first five fields are always written, `config_map` only if its bytes belong to the same allocation.
//! - One plugin struct serves all instances; it is read during Init and never kept.
//! - No panic may cross into C: every export runs inside `fence`.
#![expect(unsafe_code, reason = "the C boundary; every block argues its case")]

use crate::delivery::{Host, Verdict, begin_reload, end_reload};
use crate::host::{Live, Table, config_map_fits, instance_name};
use crate::instance::Instance;
use crate::options::{self, Kind};
use libc::{c_char, c_int, c_void};
use once_cell::sync::Lazy;
use std::ffi::{CStr, CString};
use std::mem::offset_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// `struct flb_plugin_proxy_def`, as far as every version has it.
#[repr(C)]
#[derive(Debug)]
pub struct Definition {
    kind: c_int,
    proxy: c_int,
    flags: c_int,
    name: *const c_char,
    description: *const c_char,
}

/// `struct flb_plugin_proxy_def` of 5.1.1 and later.
#[repr(C)]
#[derive(Debug)]
struct NewestDefinition {
    base: Definition,
    /// Since 4.2.3; stays 0 there, which is logs and nothing else.
    event_type: c_int,
    config_map: *const ConfigMap,
}

/// `struct flb_config_map` of 5.1.1: one option. Fields that Fluent Bit fills only in its own copies stay zero in the
/// plugin's.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct ConfigMap {
    kind: c_int,
    name: *const c_char,
    default: *const c_char,
    flags: c_int,
    set_property: c_int,
    offset: usize,
    description: *const c_char,
    value: [usize; 5],
    list: [usize; 2],
}

/// `struct flbgo_output_plugin`: the part of it that the plugin reads.
#[repr(C)]
#[derive(Debug)]
pub struct Plugin {
    name: *const c_char,
    api: *const c_void,
    instance: *mut c_void,
    context: *mut Context,
}

/// `struct flb_plugin_proxy_context`.
#[repr(C)]
#[derive(Debug)]
pub struct Context {
    remote: *mut c_void,
    proxy: *mut c_void,
}

const _: () = {
    assert!(size_of::<*const c_void>() != 8 || size_of::<Definition>() == 32);
    assert!(size_of::<*const c_void>() != 8 || size_of::<NewestDefinition>() == 48);
    assert!(size_of::<*const c_void>() != 8 || size_of::<ConfigMap>() == 104);
    assert!(size_of::<*const c_void>() != 8 || size_of::<Context>() == 16);
    assert!(offset_of!(Plugin, context) == 3 * size_of::<*const c_void>());
};

/// Sizes and offsets of the mirrors above, each as an expression of C about `include/out_sentry.h`: a test has a compiler
/// work them out.
pub const LAYOUT: &[(&str, usize)] = &[
    ("sizeof(struct out_sentry_definition)", size_of::<Definition>()),
    ("offsetof(struct out_sentry_definition, type)", offset_of!(Definition, kind)),
    ("offsetof(struct out_sentry_definition, proxy)", offset_of!(Definition, proxy)),
    ("offsetof(struct out_sentry_definition, flags)", offset_of!(Definition, flags)),
    ("offsetof(struct out_sentry_definition, name)", offset_of!(Definition, name)),
    ("offsetof(struct out_sentry_definition, description)", offset_of!(Definition, description)),
    ("sizeof(struct out_sentry_definition_5_1)", size_of::<NewestDefinition>()),
    ("offsetof(struct out_sentry_definition_5_1, config_map)", offset_of!(NewestDefinition, config_map)),
    ("offsetof(struct out_sentry_definition_4_2, event_type)", offset_of!(NewestDefinition, event_type)),
    ("sizeof(struct out_sentry_config_map)", size_of::<ConfigMap>()),
    ("offsetof(struct out_sentry_config_map, type)", offset_of!(ConfigMap, kind)),
    ("offsetof(struct out_sentry_config_map, name)", offset_of!(ConfigMap, name)),
    ("offsetof(struct out_sentry_config_map, default_value)", offset_of!(ConfigMap, default)),
    ("offsetof(struct out_sentry_config_map, flags)", offset_of!(ConfigMap, flags)),
    ("offsetof(struct out_sentry_config_map, set_property)", offset_of!(ConfigMap, set_property)),
    ("offsetof(struct out_sentry_config_map, offset)", offset_of!(ConfigMap, offset)),
    ("offsetof(struct out_sentry_config_map, description)", offset_of!(ConfigMap, description)),
    ("offsetof(struct out_sentry_config_map, value)", offset_of!(ConfigMap, value)),
    ("offsetof(struct out_sentry_config_map, list)", offset_of!(ConfigMap, list)),
    ("offsetof(struct out_sentry_plugin, name)", offset_of!(Plugin, name)),
    ("offsetof(struct out_sentry_plugin, api)", offset_of!(Plugin, api)),
    ("offsetof(struct out_sentry_plugin, instance)", offset_of!(Plugin, instance)),
    ("offsetof(struct out_sentry_plugin, context)", offset_of!(Plugin, context)),
    ("sizeof(struct out_sentry_context)", size_of::<Context>()),
    ("offsetof(struct out_sentry_context, remote_context)", offset_of!(Context, remote)),
    ("offsetof(struct out_sentry_context, proxy)", offset_of!(Context, proxy)),
    ("OUT_SENTRY_TYPE_OUTPUT", OUTPUT as usize),
    ("OUT_SENTRY_PROXY_GOLANG", GOLANG as usize),
    ("OUT_SENTRY_ERROR", ERROR as usize),
    ("OUT_SENTRY_OK", OK as usize),
    ("OUT_SENTRY_RETRY", RETRY as usize),
];

/// FLB_PROXY_OUTPUT_PLUGIN
const OUTPUT: c_int = 2;
/// FLB_PROXY_GOLANG
const GOLANG: c_int = 11;
/// FLB_ERROR, FLB_OK, FLB_RETRY of flb_macros.h.
const ERROR: c_int = 0;
const OK: c_int = 1;
const RETRY: c_int = 2;

/// True if Fluent Bit has called PreRegister, which it does from 2.2.0 on; then it has the whole function table of
/// [`crate::host::Api`].
static HOST_IS_COMPLETE: AtomicBool = AtomicBool::new(false);

/// Runs an export; a panic becomes `fallen`.
fn fence(fallen: c_int, body: impl FnOnce() -> c_int) -> c_int {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(fallen)
}

/// Silences the panic hook: the standard hook formats and symbolises on the panicking thread's own stack, which may be
/// Fluent Bit's 24 KiB. The code that catches a panic reports it from a safe place.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|_| {})));
}

/// Called by Fluent Bit from 2.2.0 on, before Register. During a hot reload older instances are still alive.
#[unsafe(no_mangle)]
pub extern "C" fn FLBPluginPreRegister(hot_reloading: c_int) -> c_int {
    HOST_IS_COMPLETE.store(true, Relaxed);
    // The old instances are told to exit when their chunks have been taken, or the new configuration is given up.
    if hot_reloading == 0 {
        end_reload()
    } else {
        begin_reload()
    }
    0
}

/// Fills in the plugin's registration.
///
/// # Safety
/// `definition` is NULL or points to Fluent Bit's `struct flb_plugin_proxy_def`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FLBPluginRegister(definition: *mut Definition) -> c_int {
    if definition.is_null() {
        return -1;
    }
    let ours = Definition {
        kind: OUTPUT,
        proxy: GOLANG,
        flags: 0,
        name: c"sentry".as_ptr(),
        description: c"Sentry issues and logs".as_ptr(),
    };
    // SAFETY: not NULL, and every version's struct begins with these five fields; writing them all at once writes
    // nothing behind them, for the struct ends with its last pointer.
    unsafe { definition.write(ours) };
    fence(0, || {
        // A host that has not called PreRegister is older than 2.2 and has no such field.
        if HOST_IS_COMPLETE.load(Relaxed) && has_room(definition) && config_map_fits(size_of::<ConfigMap>()) {
            // SAFETY: the allocation that the definition begins reaches to the end of this field.
            let field = unsafe { &raw mut (*definition.cast::<NewestDefinition>()).config_map };
            // SAFETY: as above. It is the field in hosts from 5.1.1 on; in one that asked for less it lies in what its
            // allocator rounded up to, which nobody reads.
            unsafe { field.write(OPTIONS.0.as_ptr()) };
        }
        0
    })
}

/// Returns true if Fluent Bit's allocator has given the definition room for `config_map`. There is no version to ask for.
fn has_room(definition: *mut Definition) -> bool {
    // SAFETY: hosts of all versions allocate the definition with malloc or calloc (flb_plugin_proxy.c, the function
    // flb_plugin_proxy_create) and pass it unchanged; the name binds to the same allocator as the host's own malloc.
    unsafe { libc::malloc_usable_size(definition.cast()) >= size_of::<NewestDefinition>() }
}

/// The options in the form that Fluent Bit expects from 5.1.1 on: one element each, then one without a name.
struct Options(Box<[ConfigMap]>);

// SAFETY: nothing writes to the elements or to the texts they point at, neither here nor in the host, which copies what it
// changes (flb_config_map_create); they are never freed.
unsafe impl Send for Options {}
// SAFETY: as above.
unsafe impl Sync for Options {}

/// Made at the first registration, and valid until the process ends, because the library stays loaded: Fluent Bit reads it
/// for its help, for each instance, and until Unregister.
static OPTIONS: Lazy<Options> = Lazy::new(|| {
    // No row has a NUL byte, which a test checks.
    let text = |text: &str| CString::new(text).unwrap_or_default().into_raw().cast_const();
    let element = |kind, name, default, description| ConfigMap {
        kind,
        name,
        default,
        flags: 0,
        set_property: 0,
        offset: 0,
        description,
        value: [0; 5],
        list: [0; 2],
    };
    let rows = options::rows().map(|row| {
        // A terminal shows the help, where code is not marked.
        let description = row.doc.replace('`', "");
        element(number_of(row.kind()), text(row.name), row.default.map_or(ptr::null(), text), text(&description))
    });
    let end = element(0, ptr::null(), ptr::null(), ptr::null());
    Options(rows.chain(std::iter::once(end)).collect())
});

/// `FLB_CONFIG_MAP_*` of flb_config_map.h.
fn number_of(kind: Kind) -> c_int {
    match kind {
        Kind::Text => 0,
        Kind::Number => 2,
        Kind::Switch => 3,
        Kind::Fraction => 4,
        Kind::Size => 5,
        Kind::Time => 6,
        Kind::List => 30,
    }
}

/// Makes an instance for one `[OUTPUT]` section.
///
/// # Safety
/// `plugin` is NULL or points to Fluent Bit's `struct flbgo_output_plugin`, whose table, instance and context are live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FLBPluginInit(plugin: *const Plugin) -> c_int {
    quiet_panics();
    end_reload();
    // SAFETY: NULL or live, says the caller.
    let Some(plugin) = (unsafe { plugin.as_ref() }) else { return ERROR };
    if plugin.api.is_null() || plugin.instance.is_null() || plugin.context.is_null() {
        return ERROR;
    }
    fence(ERROR, || {
        // SAFETY: live, says the caller; complete only if the host has shown its age.
        let table = unsafe { Table::new(plugin.api, plugin.instance, HOST_IS_COMPLETE.load(Relaxed)) };
        let name = instance_name(&table);
        let host: Arc<dyn Host> = Arc::new(Live::new(table, &name));
        let Some(instance) = Instance::open(&name, |option| table.property(option), host, thread()) else {
            return ERROR;
        };
        let remote = Box::into_raw(Box::new(instance)).cast();
        // SAFETY: the context belongs to this instance and is live; Init is the only one to write it.
        unsafe { (*plugin.context).remote = remote };
        OK
    })
}

/// The flush of Fluent Bit versions without contexts. It names no instance, so it does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn FLBPluginFlush(_data: *const c_void, _length: usize, _tag: *const c_char) -> c_int {
    ERROR
}

/// Takes a chunk. May run on several threads at once for the same instance.
///
/// # Safety
/// `remote` is NULL or the pointer that Init stored, before Exit; `data` is NULL or `length` readable bytes; `tag` is NULL
/// or NUL-terminated. All of it stays valid during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FLBPluginFlushCtx(
    remote: *mut c_void,
    data: *const c_void,
    length: usize,
    tag: *const c_char,
) -> c_int {
    if remote.is_null() || data.is_null() {
        return ERROR;
    }
    fence(RETRY, || {
        // SAFETY: what Init stored is an Instance, shared between threads by design (it is Sync).
        let instance = unsafe { &*remote.cast::<Instance>() };
        // SAFETY: readable for the call, says the caller; a chunk is far below isize::MAX bytes.
        let data = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length) };
        let tag = if tag.is_null() {
            &[]
        } else {
            // SAFETY: NUL-terminated, says the caller.
            unsafe { CStr::from_ptr(tag) }.to_bytes()
        };
        match instance.flush(tag, data, thread()) {
            Verdict::Ok => OK,
            Verdict::Retry => RETRY,
        }
    })
}

/// The exit of Fluent Bit versions without contexts.
#[unsafe(no_mangle)]
pub extern "C" fn FLBPluginExit() -> c_int {
    OK
}

/// Ends an instance: drains, joins, frees.
///
/// # Safety
/// `remote` is NULL or the pointer that Init stored, not passed here before, with no flush in progress.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FLBPluginExitCtx(remote: *mut c_void) -> c_int {
    if remote.is_null() {
        return OK;
    }
    fence(OK, || {
        // SAFETY: Init made it with Box::into_raw, and it comes back once.
        let instance = unsafe { Box::from_raw(remote.cast::<Instance>()) };
        if HOST_IS_COMPLETE.load(Relaxed) {
            instance.close();
        } else {
            Instance::close_all();
        }
        OK
    })
}

/// Called before the library is closed. Nothing is torn down here: during a hot reload another generation is alive.
#[unsafe(no_mangle)]
pub extern "C" fn FLBPluginUnregister(_definition: *mut Definition) {
    end_reload();
}

/// Called by Fluent Bit from 2.2.0 on when an instance is about to run.
#[unsafe(no_mangle)]
pub extern "C" fn FLBPluginOutputPreRun(_hot_reloading: c_int) -> c_int {
    0
}

/// Called by Fluent Bit from 2.2.0 on before an instance's exit.
#[unsafe(no_mangle)]
pub extern "C" fn FLBPluginOutputPreExit(_hot_reloading: c_int) {}

/// The calling thread, without the allocation that `std::thread::current` makes on threads that are not Rust's.
fn thread() -> u64 {
    // SAFETY: always succeeds (POSIX).
    unsafe { libc::pthread_self() as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_at_the_boundary() {
        assert_eq!(fence(RETRY, || panic!("of a test")), RETRY);
        assert_eq!(fence(RETRY, || OK), OK);
    }
}
