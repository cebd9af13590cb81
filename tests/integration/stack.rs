//! A flush fits the stack it gets: hosts before 5.1 give it 24 KiB on x86_64, without a guard page behind.
//!
//! Here a guard page makes an overflow a crash instead of a damaged heap, and a pattern tells how deep the flush went.
#![expect(unsafe_code, reason = "makes a coroutine as the host does and calls the plugin on it")]

use libc::{c_char, c_int, c_void};
use plugin_host::{Generation, Instance, Plugin, RawFlush, Verdict};
use receiver::{Options, Receiver};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};
use std::time::{Duration, Instant};
use testkit::suite::Suite;
use testkit::tempdir::TempDir;
use testkit::{artefacts, chunk, net, output};

/// Stack size, in bytes, of a coroutine in Fluent Bit before 5.1 on x86_64.
const STACK_BYTES: usize = 24 * 1024;
/// The promise: our own frames and the allocator's together.
const BOUND: usize = 12 * 1024;
/// Chunks of a busy host come in up to this size.
const CHUNK_BYTES: usize = 3_600_000;
const GUARD_BYTES: usize = 4096 * 16;
const PATTERN: u8 = 0xa5;

/// A stack of the host's size with a guard page below it.
struct Stack {
    mapping: *mut c_void,
}

impl Stack {
    fn new() -> Self {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let size = GUARD_BYTES + STACK_BYTES;
        // SAFETY: a new private mapping, at a place of the kernel's choice.
        let mapping = unsafe { libc::mmap(std::ptr::null_mut(), size, protection, flags, -1, 0) };
        assert_ne!(mapping, libc::MAP_FAILED, "mmap");
        let stack = Self { mapping };
        // SAFETY: the writable part of the mapping, which nobody else knows yet.
        unsafe { std::ptr::write_bytes(stack.low(), PATTERN, STACK_BYTES) };
        // SAFETY: the first pages of the mapping, which hold nothing.
        let guarded = unsafe { libc::mprotect(mapping, GUARD_BYTES, libc::PROT_NONE) };
        assert_eq!(guarded, 0, "mprotect");
        stack
    }

    /// Its lowest byte above the guard.
    fn low(&self) -> *mut u8 {
        self.mapping.cast::<u8>().wrapping_add(GUARD_BYTES)
    }

    /// Bytes from its top to the lowest one that was ever written.
    fn depth(&self) -> usize {
        // SAFETY: mapped, filled with the pattern, and nothing runs on it now.
        let bytes = unsafe { std::slice::from_raw_parts(self.low(), STACK_BYTES) };
        STACK_BYTES - bytes.iter().take_while(|&&byte| byte == PATTERN).count()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: what `new` mapped; nothing runs on it any more.
        unsafe { libc::munmap(self.mapping, GUARD_BYTES + STACK_BYTES) };
    }
}

/// A call to make on another stack.
struct Call {
    flush: RawFlush,
    context: *mut c_void,
    chunk: *const c_void,
    length: usize,
    tag: *const c_char,
    answer: c_int,
}

thread_local! {
    static CALL: Cell<*mut Call> = const { Cell::new(std::ptr::null_mut()) };
}

extern "C" fn entry() {
    // SAFETY: `on_stack` sets it to a call that it owns, and waits for us.
    let call = unsafe { &mut *CALL.get() };
    // SAFETY: what Init stored, and bytes and tag that `on_stack`'s caller holds.
    call.answer = unsafe { (call.flush)(call.context, call.chunk, call.length, call.tag) };
}

fn on_stack(stack: &Stack, call: &mut Call) {
    CALL.set(call);
    // SAFETY: plain data, for which zero is a value.
    let mut home = unsafe { std::mem::zeroed::<libc::ucontext_t>() };
    // SAFETY: as above.
    let mut there = unsafe { std::mem::zeroed::<libc::ucontext_t>() };
    // SAFETY: writes to a context of ours.
    assert_eq!(unsafe { libc::getcontext(&mut there) }, 0);
    there.uc_stack.ss_sp = stack.low().cast();
    there.uc_stack.ss_size = STACK_BYTES;
    there.uc_link = &mut home;
    // SAFETY: a context from getcontext, a stack that is free, a function without arguments.
    unsafe { libc::makecontext(&mut there, entry, 0) };
    // SAFETY: both contexts live until the function has returned to `home`, which is here.
    assert_eq!(unsafe { libc::swapcontext(&mut home, &there) }, 0);
}

/// A context that may travel to another thread, as it does in a host with workers.
struct Flusher {
    flush: RawFlush,
    context: AtomicPtr<c_void>,
}

impl Flusher {
    fn of(instance: &Instance) -> Self {
        let (flush, context) = instance.raw_flush().expect("expected FLBPluginFlushCtx");
        Self { flush, context: AtomicPtr::new(context) }
    }

    /// Flushes on a small stack, on a thread that has never been in the plugin; says how deep it went.
    fn flush(&self, chunk: &[u8]) -> (Verdict, usize) {
        let fresh = || self.flush_here(chunk);
        std::thread::scope(|scope| scope.spawn(fresh).join().expect("expected an answer"))
    }

    fn flush_here(&self, chunk: &[u8]) -> (Verdict, usize) {
        let (stack, context) = (Stack::new(), self.context.load(Relaxed));
        let (chunk, length, tag) = (chunk.as_ptr().cast(), chunk.len(), c"kube.app".as_ptr());
        let mut call = Call { flush: self.flush, context, chunk, length, tag, answer: -1 };
        on_stack(&stack, &mut call);
        (Verdict::from_answer(call.answer), stack.depth())
    }

    /// Flushes until it is answered so; returns the deepest of all.
    fn flush_until(&self, wanted: Verdict, chunk: &[u8]) -> usize {
        let deadline = Instant::now() + output::PATIENCE;
        let mut deepest = 0;
        loop {
            let (verdict, depth) = self.flush(chunk);
            deepest = deepest.max(depth);
            if verdict == wanted {
                return deepest;
            }
            assert!(Instant::now() < deadline, "expected {wanted:?}, found {verdict:?} every time");
        }
    }
}

fn assert_shallow(what: &str, depth: usize) {
    println!("{what}: {depth} bytes of stack");
    assert!(depth > 0 && depth < BOUND, "{what}: expected less than {BOUND} bytes of stack, found {depth}");
}

fn start(library: &Path, dsn: &str, options: &[(&str, &str)]) -> (Plugin, Instance) {
    let plugin = Plugin::load(library, Generation::default()).unwrap_or_else(|error| panic!("{error}"));
    let instance = output::instance(&plugin, dsn, options);
    (plugin, instance)
}

/// A test of one build of the plugin.
type Test = fn(&Path);

/// A DSN that nobody answers.
fn nobody() -> String {
    format!("http://{}@127.0.0.1:{}/1", "0".repeat(32), net::free_port().expect("expected a free port"))
}

fn taken(library: &Path) {
    let receiver = Receiver::start(Options::default()).expect("expected a receiver");
    let spool = TempDir::new("stack").expect("expected a directory");
    let spool_path = spool.path().to_str().expect("expected a plain path");
    let chunk = chunk::large(CHUNK_BYTES);
    for (delivery, options) in [
        ("spool", vec![("delivery", "spool"), ("spool_path", spool_path)]),
        ("ack", vec![("delivery", "ack"), ("ack_timeout", "30s")]),
        ("memory", vec![("delivery", "memory")]),
    ] {
        let (_plugin, instance) = start(library, &receiver.dsn(), &options);
        let flusher = Flusher::of(&instance);
        let depth = flusher.flush_until(Verdict::Ok, &chunk);
        assert_shallow(&format!("{delivery} OK"), depth);
        instance.exit();
    }
}

/// The second of two chunks, for which a queue that is half full has no room but packed.
fn packed(library: &Path) {
    // Lines that differ: what only repeats itself is packed without most of the packer's work.
    let chunk = chunk::numbered(0..20_000);
    // However far the first one has been mapped meanwhile: it and half a queue of its items leave room, but no whole half.
    let queue = (chunk.len() * 3).to_string();
    let options = [("delivery", "memory"), ("queue_max_size", queue.as_str()), ("exit_timeout", "0")];
    let (_plugin, instance) = start(library, &nobody(), &options);
    let flusher = Flusher::of(&instance);
    assert_eq!(flusher.flush(&chunk).0, Verdict::Ok);
    let (verdict, depth) = flusher.flush(&chunk);
    assert_eq!(verdict, Verdict::Ok);
    assert_shallow("memory OK, packed", depth);
    instance.exit();
}

fn full(library: &Path) {
    let spool = TempDir::new("stack").expect("expected a directory");
    let spool_path = spool.path().to_str().expect("expected a plain path");
    let chunk = chunk::large(CHUNK_BYTES);
    let dsn = nobody();
    for (delivery, options) in [
        ("spool full", vec![("delivery", "spool"), ("spool_path", spool_path), ("spool_max_size", "4M")]),
        ("spool unusable", vec![("delivery", "spool"), ("spool_path", "/proc/nowhere")]),
        ("ack timeout", vec![("delivery", "ack"), ("ack_timeout", "50ms")]),
        ("memory full", vec![("delivery", "memory"), ("queue_max_size", "1M")]),
        ("no DSN yet", vec![("delivery", "memory"), ("dsn_file", "/proc/nowhere"), ("dsn", "")]),
    ] {
        let options: Vec<_> = options.into_iter().chain([("exit_timeout", "0")]).collect();
        let (_plugin, instance) = start(library, &dsn, &options);
        assert_shallow(&format!("{delivery} RETRY"), Flusher::of(&instance).flush_until(Verdict::Retry, &chunk));
        instance.exit();
    }
}

/// While one thread is in Exit the instance is closed and still there.
fn closed(library: &Path) {
    let faults = "forever:hang=60s".parse().expect("expected a script");
    let receiver = Receiver::start(Options { faults, ..Options::default() }).expect("expected a receiver");
    let options = [("delivery", "memory"), ("exit_timeout", "3s"), ("timeout", "30s"), ("queue_max_size", "500M")];
    let (_plugin, instance) = start(library, &receiver.dsn(), &options);
    let (flusher, chunk, small) = (Flusher::of(&instance), chunk::large(CHUNK_BYTES), chunk::numbered(0..1));
    flusher.flush_until(Verdict::Ok, &small);
    let exiting = std::thread::spawn(move || instance.exit());
    let start = Instant::now();
    flusher.flush_until(Verdict::Retry, &small);
    let (verdict, depth) = flusher.flush(&chunk);
    assert!(start.elapsed() < Duration::from_secs(3) && !exiting.is_finished(), "expected an instance that is closing");
    assert_eq!(verdict, Verdict::Retry);
    assert_shallow("closed RETRY", depth);
    drop(receiver);
    exiting.join().expect("expected it to exit");
}

pub fn add(suite: Suite) -> Suite {
    let under_test = testkit::plugin();
    let release = artefacts::fresh_release().ok_or_else(|| {
        "no release build as new as its sources (cargo build --release), the profile under test was measured".to_owned()
    });
    let release =
        if release.as_ref() == Ok(&under_test) { Err("it is the profile under test".to_owned()) } else { release };
    let tests: [(&str, Test); 4] = [
        ("a_chunk_that_is_taken", taken),
        ("a_chunk_that_is_packed", packed),
        ("a_chunk_that_there_is_no_room_for", full),
        ("a_chunk_that_comes_while_the_instance_closes", closed),
    ];
    let mut suite = suite;
    for (name, test) in tests {
        let library: PathBuf = under_test.clone();
        suite = suite.test(name, move || test(&library));
        suite = suite.needing(&release, &format!("{name}_release"), move |library: PathBuf| test(&library));
    }
    suite
}
