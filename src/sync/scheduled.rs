//! The same primitives for unit tests. Outside a model they behave as the originals do.
//!
//! In a model, every thread of an execution is a shuttle coroutine on the same operating system thread. Before each use of a
//! primitive another coroutine may run, a coroutine that would block lets the others run, and time advances only while a
//! coroutine waits for it.

use crossbeam_channel as channel;
use shuttle::rand::{Rng, thread_rng};
use std::any::Any;
use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::fmt::Debug;
use std::hash::BuildHasher;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{self, LockResult, PoisonError, TryLockError};
use std::time::Duration;

/// One execution of a model.
#[derive(Default)]
struct World {
    now: Duration,
    /// True if there is more than one thread.
    is_shared: bool,
    /// Until when threads wait.
    deadlines: Vec<Duration>,
    /// The number of times that threads have asked in vain since one of them last did something.
    idle: u32,
    /// The number of times that a thread has waited for a condition.
    waits: u64,
    /// Values that are otherwise global to a process, by the address of their static.
    globals: Vec<(usize, &'static dyn Any)>,
}

/// After as many questions in vain everybody seems to wait.
const IDLE: u32 = 24;

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// This thread of the machine runs executions of a model for as long as this lives.
pub(crate) struct Model;

impl Model {
    /// Begins an execution: a process of its own, with a time of its own. Threads that were left behind may outlive its body.
    pub(crate) fn begin() {
        WORLD.set(Some(World::default()));
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        WORLD.set(None);
    }
}

/// Time in the model since it began.
pub(crate) fn now() -> Duration {
    WORLD.with_borrow(|world| world.as_ref().map_or(Duration::ZERO, |world| world.now))
}

/// A number below `n`: in a model of the scheduler's choice.
pub(crate) fn below(n: u64) -> u64 {
    if is_modelled() { thread_rng().gen_range(0..n) } else { RandomState::new().hash_one(0) % n }
}

fn in_world<T>(ask: impl FnOnce(&mut World) -> T) -> Option<T> {
    WORLD.with_borrow_mut(|world| world.as_mut().map(ask))
}

/// Returns true if this thread of the machine runs a model.
pub(crate) fn is_modelled() -> bool {
    WORLD.with_borrow(Option::is_some)
}

/// Lets another thread go on, perhaps.
fn switch() {
    let may_switch = in_world(|world| {
        world.idle = 0;
        world.is_shared
    });
    if may_switch.unwrap_or(false) && !std::thread::panicking() {
        shuttle::thread::sleep(Duration::ZERO);
    }
}

/// A thread that waits until then.
struct Deadline(Duration);

impl Deadline {
    fn after(wait: Duration) -> Self {
        let at = now().saturating_add(wait);
        in_world(|world| world.deadlines.push(at));
        Self(at)
    }

    /// Advances the time to the earliest deadline when all threads seem to wait. Now and then it advances the time although
    /// a thread could still run, which makes that thread a slow one.
    fn let_time_pass(&self) {
        let is_slow = below(1_000) == 0;
        in_world(|world| {
            world.idle += 1;
            let next = world.deadlines.iter().min().copied().filter(|_| world.idle > IDLE);
            let to = if is_slow { Some(self.0) } else { next };
            world.now = world.now.max(to.unwrap_or_default());
        });
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        in_world(|world| {
            let at = world.deadlines.iter().position(|at| *at == self.0);
            at.map(|at| world.deadlines.swap_remove(at));
        });
    }
}

/// Waits in a model until something is `ready`, or for that long at most.
fn wait_for<T>(longest: Option<Duration>, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
    switch();
    let deadline = longest.map(Deadline::after);
    loop {
        if let Some(found) = ready() {
            return Some(found);
        }
        if let Some(deadline) = &deadline {
            if now() >= deadline.0 {
                return None;
            }
            deadline.let_time_pass();
        }
        shuttle::thread::yield_now();
    }
}

/// Waits in a model for as long as it takes.
fn wait_long<T>(ready: impl FnMut() -> Option<T>) -> T {
    wait_for(None, ready).expect("there is no deadline")
}

/// [`sync::Mutex`]
#[derive(Debug, Default)]
pub struct Mutex<T> {
    real: sync::Mutex<T>,
    /// Repeats the ordering of a lock for thread sanitizers: the standard library that is installed was built without them,
    /// and so are the parts of its locks that are not compiled into the plugin.
    order: sync::atomic::AtomicU8,
}

/// [`sync::MutexGuard`]
#[derive(Debug)]
pub struct MutexGuard<'m, T> {
    mutex: &'m Mutex<T>,
    /// There until it is let go of.
    guard: Option<sync::MutexGuard<'m, T>>,
}

const HELD: &str = "a lock is held for as long as its guard is there";

impl<T> Mutex<T> {
    /// As its original.
    pub const fn new(value: T) -> Self {
        Self { real: sync::Mutex::new(value), order: sync::atomic::AtomicU8::new(0) }
    }

    /// As its original.
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        if !is_modelled() {
            return self.guarded(self.real.lock());
        }
        self.guarded(wait_long(|| match self.real.try_lock() {
            Ok(guard) => Some(Ok(guard)),
            Err(TryLockError::Poisoned(poisoned)) => Some(Err(poisoned)),
            Err(TryLockError::WouldBlock) => None,
        }))
    }

    /// As its original.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        self.real.get_mut()
    }

    fn guarded<'m>(&'m self, guard: LockResult<sync::MutexGuard<'m, T>>) -> LockResult<MutexGuard<'m, T>> {
        self.order.load(Acquire);
        let ours = |guard| MutexGuard { mutex: self, guard: Some(guard) };
        guard.map(ours).map_err(|poisoned| PoisonError::new(ours(poisoned.into_inner())))
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.guard.as_deref().expect(HELD)
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_deref_mut().expect(HELD)
    }
}

impl<'m, T> MutexGuard<'m, T> {
    /// The original, about to be let go of.
    fn leave(mut self) -> (&'m Mutex<T>, sync::MutexGuard<'m, T>) {
        self.mutex.order.store(0, Release);
        (self.mutex, self.guard.take().expect(HELD))
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        if self.guard.is_some() {
            self.mutex.order.store(0, Release);
        }
    }
}

/// [`sync::Condvar`], without wake-ups for no reason in a model: a forgotten notice is never made up for.
#[derive(Debug, Default)]
pub struct Condvar {
    real: sync::Condvar,
    waiting: sync::Mutex<Vec<u64>>,
}

impl Condvar {
    /// As its original.
    pub const fn new() -> Self {
        Self { real: sync::Condvar::new(), waiting: sync::Mutex::new(Vec::new()) }
    }

    /// As its original.
    pub fn wait<'m, T>(&self, guard: MutexGuard<'m, T>) -> LockResult<MutexGuard<'m, T>> {
        if is_modelled() {
            return self.pause(guard, None);
        }
        let (mutex, guard) = guard.leave();
        mutex.guarded(self.real.wait(guard))
    }

    /// As its original, but does not say which of the two it was.
    pub fn wait_timeout<'m, T>(
        &self,
        guard: MutexGuard<'m, T>,
        longest: Duration,
    ) -> LockResult<(MutexGuard<'m, T>, ())> {
        let guard = if is_modelled() {
            self.pause(guard, Some(longest))
        } else {
            let (mutex, guard) = guard.leave();
            let waited = self.real.wait_timeout(guard, longest);
            mutex.guarded(Ok(waited.unwrap_or_else(PoisonError::into_inner).0))
        };
        guard.map(|guard| (guard, ())).map_err(|poisoned| PoisonError::new((poisoned.into_inner(), ())))
    }

    /// As its original.
    pub fn notify_one(&self) {
        switch();
        self.real.notify_one();
        let mut waiting = self.list();
        if !waiting.is_empty() {
            let one = below(waiting.len() as u64) as usize;
            waiting.swap_remove(one);
        }
    }

    /// As its original.
    pub fn notify_all(&self) {
        switch();
        self.real.notify_all();
        self.list().clear();
    }

    fn pause<'m, T>(&self, guard: MutexGuard<'m, T>, longest: Option<Duration>) -> LockResult<MutexGuard<'m, T>> {
        let mutex = guard.mutex;
        let own = in_world(|world| {
            world.waits += 1;
            world.waits
        });
        let own = own.unwrap_or_default();
        self.list().push(own);
        drop(guard);
        wait_for(longest, || (!self.list().contains(&own)).then_some(()));
        self.list().retain(|waiting| *waiting != own);
        mutex.lock()
    }

    fn list(&self) -> sync::MutexGuard<'_, Vec<u64>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An atomic whose every use is one where another thread may go on before.
macro_rules! atomic {
    ($name:ident, $value:ty) => {
        #[doc = concat!("[`sync::atomic::", stringify!($name), "`]")]
        #[derive(Debug, Default)]
        pub struct $name(sync::atomic::$name);

        impl $name {
            /// As its original.
            pub const fn new(value: $value) -> Self {
                Self(sync::atomic::$name::new(value))
            }
        }

        impl Deref for $name {
            type Target = sync::atomic::$name;

            fn deref(&self) -> &Self::Target {
                switch();
                &self.0
            }
        }
    };
}

atomic!(AtomicBool, bool);
atomic!(AtomicU8, u8);
atomic!(AtomicU64, u64);

/// [`channel::Sender`]
#[derive(Debug)]
pub struct Sender<T>(channel::Sender<T>);

/// [`channel::Receiver`]
#[derive(Debug)]
pub struct Receiver<T>(channel::Receiver<T>);

/// [`channel::bounded`]
pub fn bounded<T>(most: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = channel::bounded(most);
    (Sender(sender), Receiver(receiver))
}

/// [`channel::unbounded`]
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = channel::unbounded();
    (Sender(sender), Receiver(receiver))
}

impl<T> Sender<T> {
    /// As its original.
    pub fn send(&self, message: T) -> Result<(), channel::SendError<T>> {
        if !is_modelled() {
            return self.0.send(message);
        }
        match self.offer(message, None) {
            Ok(()) => Ok(()),
            Err(channel::TrySendError::Full(message) | channel::TrySendError::Disconnected(message)) => {
                Err(channel::SendError(message))
            }
        }
    }

    /// As its original.
    pub fn send_timeout(&self, message: T, longest: Duration) -> Result<(), channel::SendTimeoutError<T>> {
        if !is_modelled() {
            return self.0.send_timeout(message, longest);
        }
        self.offer(message, Some(longest)).map_err(|error| match error {
            channel::TrySendError::Full(message) => channel::SendTimeoutError::Timeout(message),
            channel::TrySendError::Disconnected(message) => channel::SendTimeoutError::Disconnected(message),
        })
    }

    fn offer(&self, message: T, longest: Option<Duration>) -> Result<(), channel::TrySendError<T>> {
        let mut message = Some(message);
        let sent = wait_for(longest, || match self.0.try_send(message.take()?) {
            Ok(()) => Some(Ok(())),
            Err(channel::TrySendError::Full(back)) => {
                message = Some(back);
                None
            }
            Err(disconnected) => Some(Err(disconnected)),
        });
        match (sent, message) {
            (None, Some(message)) => Err(channel::TrySendError::Full(message)),
            (sent, _) => sent.unwrap_or(Ok(())),
        }
    }
}

impl<T> Receiver<T> {
    /// As its original.
    pub fn recv(&self) -> Result<T, channel::RecvError> {
        if !is_modelled() {
            return self.0.recv();
        }
        wait_long(|| self.poll()).ok_or(channel::RecvError)
    }

    /// As its original.
    pub fn recv_timeout(&self, longest: Duration) -> Result<T, channel::RecvTimeoutError> {
        if !is_modelled() {
            return self.0.recv_timeout(longest);
        }
        let heard = wait_for(Some(longest), || self.poll());
        heard.ok_or(channel::RecvTimeoutError::Timeout)?.ok_or(channel::RecvTimeoutError::Disconnected)
    }

    /// A message, or that none will come; `None`: not yet.
    fn poll(&self) -> Option<Option<T>> {
        match self.0.try_recv() {
            Ok(message) => Some(Some(message)),
            Err(channel::TryRecvError::Disconnected) => Some(None),
            Err(channel::TryRecvError::Empty) => None,
        }
    }
}

/// [`super::either`]
pub(crate) fn recv_either<T>(
    messages: &Receiver<T>,
    words: &Receiver<()>,
    longest: Duration,
) -> Result<T, channel::RecvTimeoutError> {
    if !is_modelled() {
        return super::either(&messages.0, &words.0, longest);
    }
    let heard = wait_for(Some(longest), || {
        let word = || words.0.try_recv().ok().map(|()| Err(channel::RecvTimeoutError::Timeout));
        let message = || messages.poll().map(|message| message.ok_or(channel::RecvTimeoutError::Disconnected));
        // Of two that are there, either may be first.
        if below(2) == 0 { word().or_else(message) } else { message().or_else(word) }
    });
    heard.unwrap_or(Err(channel::RecvTimeoutError::Timeout))
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for Sender<T> {
    type Target = channel::Sender<T>;

    fn deref(&self) -> &Self::Target {
        switch();
        &self.0
    }
}

impl<T> Deref for Receiver<T> {
    type Target = channel::Receiver<T>;

    fn deref(&self) -> &Self::Target {
        switch();
        &self.0
    }
}

/// [`once_cell::sync::Lazy`]; in a model each execution has its own.
#[derive(Debug)]
pub struct Lazy<T> {
    real: once_cell::sync::Lazy<T>,
    make: fn() -> T,
}

impl<T> Lazy<T> {
    /// As its original.
    pub const fn new(make: fn() -> T) -> Self {
        Self { real: once_cell::sync::Lazy::new(make), make }
    }
}

impl<T: Any> Deref for Lazy<T> {
    type Target = T;

    fn deref(&self) -> &T {
        let address = std::ptr::from_ref(self).addr();
        let own = in_world(|world| {
            if let Some((_, global)) = world.globals.iter().find(|(of, _)| *of == address) {
                return *global;
            }
            let global: &'static T = Box::leak(Box::new((self.make)()));
            world.globals.push((address, global));
            global
        });
        own.and_then(<dyn Any>::downcast_ref).unwrap_or(&self.real)
    }
}

/// [`std::time::Instant`]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(std::time::Instant);

impl Instant {
    /// As its original.
    pub fn now() -> Self {
        static START: once_cell::sync::Lazy<std::time::Instant> = once_cell::sync::Lazy::new(std::time::Instant::now);
        Self(if is_modelled() { *START + now() } else { std::time::Instant::now() })
    }

    /// As its original.
    pub fn elapsed(&self) -> Duration {
        Self::now().0 - self.0
    }
}

/// [`std::thread`]
pub mod thread {
    use super::{AtomicBool, in_world, is_modelled, wait_for};
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::Ordering::Relaxed;
    use std::time::Duration;

    /// [`std::thread::Builder`]
    #[derive(Debug)]
    pub struct Builder(std::thread::Builder);

    /// [`std::thread::JoinHandle`]
    #[derive(Debug)]
    pub enum JoinHandle<T> {
        /// A thread of the machine.
        Real(std::thread::JoinHandle<T>),
        /// One of the model, and whether it has ended.
        Modelled(shuttle::thread::JoinHandle<T>, Arc<AtomicBool>),
    }

    impl Builder {
        /// As its original.
        pub fn new() -> Self {
            Self(std::thread::Builder::new())
        }

        /// As its original.
        pub fn name(self, name: String) -> Self {
            Self(self.0.name(name))
        }

        /// As its original; in a model all stacks are alike.
        pub fn stack_size(self, bytes: usize) -> Self {
            Self(self.0.stack_size(bytes))
        }

        /// As its original.
        pub fn spawn<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<JoinHandle<T>> {
            if is_modelled() {
                in_world(|world| world.is_shared = true);
                let ended = Arc::new(AtomicBool::default());
                let ends = Arc::clone(&ended);
                let work = move || {
                    let result = work();
                    ends.store(true, Relaxed);
                    result
                };
                return Ok(JoinHandle::Modelled(shuttle::thread::spawn(work), ended));
            }
            self.0.spawn(work).map(JoinHandle::Real)
        }
    }

    impl<T> JoinHandle<T> {
        /// As its original.
        pub fn join(self) -> std::thread::Result<T> {
            match self {
                Self::Real(thread) => thread.join(),
                Self::Modelled(thread, _) => thread.join(),
            }
        }

        /// As its original.
        pub fn is_finished(&self) -> bool {
            match self {
                Self::Real(thread) => thread.is_finished(),
                Self::Modelled(_, ended) => ended.load(Relaxed),
            }
        }
    }

    /// As its original.
    pub fn park_timeout(longest: Duration) {
        if is_modelled() {
            wait_for(Some(longest), || None::<()>);
        } else {
            std::thread::park_timeout(longest);
        }
    }
}
