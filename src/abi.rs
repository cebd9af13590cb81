//! The symbols that Fluent Bit looks up: its Go-plugin ABI, met from Rust. No logic here.
//!
//! Sources: Fluent Bit's `src/flb_plugin_proxy.c`, `src/proxy/go/go.c` and `include/fluent-bit/flb_plugin_proxy.h`, 1.9 to
//! 5.1. What bites:
//! - The flush runs on a coroutine stack of 24 KiB without a guard page (hosts before 5.1): nothing but copy, enqueue,
//!   wait may happen there, so nothing is formatted, logged or symbolised, not even in a panic.
//! - The registration struct grew over the versions and its memory is exactly as long as the host's own idea of it: only
//!   the first five fields are ever written.
//! - One plugin struct serves all instances; it is read during Init and never kept.
//! - No panic may cross into C: every export runs inside [`fence`].
#![expect(unsafe_code, reason = "the C boundary; every block argues its case")]

use crate::delivery::{Host, Verdict};
use crate::host::{Live, Table, instance_name};
use crate::instance::Instance;
use libc::{c_char, c_int, c_void};
use std::ffi::CStr;
use std::mem::offset_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
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

/// `struct flbgo_output_plugin`, as far as it is ours to read.
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

/// Only hosts from 2.2.0 on call PreRegister; they have the whole function table of [`crate::host::Api`].
static HOST_IS_COMPLETE: AtomicBool = AtomicBool::new(false);

/// Runs an export; a panic becomes `fallen`.
fn fence(fallen: c_int, body: impl FnOnce() -> c_int) -> c_int {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(fallen)
}

/// Panics say nothing by themselves: the standard hook formats and symbolises on the panicking thread's own stack, which
/// may be the host's 24 KiB. Whoever catches one reports it from a safe place.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|_| {})));
}

/// Called by hosts from 2.2.0 on, before Register. During a hot reload older instances are still alive.
#[unsafe(no_mangle)]
pub extern "C" fn FLBPluginPreRegister(_hot_reloading: c_int) -> c_int {
    HOST_IS_COMPLETE.store(true, Relaxed);
    0
}

/// Fills in who we are.
///
/// # Safety
/// `definition` is NULL or points to the host's `struct flb_plugin_proxy_def`.
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
    0
}

/// Makes an instance for one `[OUTPUT]` section.
///
/// # Safety
/// `plugin` is NULL or points to the host's `struct flbgo_output_plugin`, whose table, instance and context are live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FLBPluginInit(plugin: *const Plugin) -> c_int {
    quiet_panics();
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

/// The flush of hosts that know no contexts. There is no instance to speak of, so there is nothing to be done.
#[unsafe(no_mangle)]
pub extern "C" fn FLBPluginFlush(_data: *const c_void, _length: usize, _tag: *const c_char) -> c_int {
    ERROR
}

/// Takes a chunk. May run on several threads at once for the same instance.
///
/// # Safety
/// `remote` is NULL or what Init stored, before Exit; `data` is NULL or `length` readable bytes; `tag` is NULL or
/// NUL-terminated. All of it stays valid during the call.
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
            Verdict::Error => ERROR,
        }
    })
}

/// The exit of hosts that know no contexts.
#[unsafe(no_mangle)]
pub extern "C" fn FLBPluginExit() -> c_int {
    OK
}

/// Ends an instance: drains, joins, frees.
///
/// # Safety
/// `remote` is NULL or what Init stored, not passed here before, with no flush under way.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FLBPluginExitCtx(remote: *mut c_void) -> c_int {
    if remote.is_null() {
        return OK;
    }
    fence(OK, || {
        // SAFETY: Init made it with Box::into_raw, and it comes back once.
        let instance = unsafe { Box::from_raw(remote.cast::<Instance>()) };
        instance.close();
        OK
    })
}

/// Called before the library is closed. Nothing is torn down here: during a hot reload another generation is alive.
#[unsafe(no_mangle)]
pub extern "C" fn FLBPluginUnregister(_definition: *mut Definition) {}

/// Called by hosts from 2.2.0 on when an instance is about to run.
#[unsafe(no_mangle)]
pub extern "C" fn FLBPluginOutputPreRun(_hot_reloading: c_int) -> c_int {
    0
}

/// Called by hosts from 2.2.0 on before an instance's exit.
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
