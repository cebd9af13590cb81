//! Locks and conditions.

use super::world::{below, in_world, is_modelled, switch, wait_for, wait_long};
use std::fmt::Debug;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{self, LockResult, PoisonError, TryLockError};
use std::time::Duration;

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
