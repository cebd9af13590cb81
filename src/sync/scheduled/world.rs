//! The state of one execution of a model: its time, and the threads that wait.

use shuttle::rand::{Rng, thread_rng};
use std::any::Any;
use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

/// One execution of a model.
#[derive(Default)]
pub(super) struct World {
    pub(super) now: Duration,
    /// True if there is more than one thread.
    pub(super) is_shared: bool,
    /// Until when threads wait.
    pub(super) deadlines: Vec<Duration>,
    /// The number of times that threads have asked in vain since one of them last did something.
    pub(super) idle: u32,
    /// The number of times that a thread has waited for a condition.
    pub(super) waits: u64,
    /// Values that are otherwise global to a process, by the address of their static.
    pub(super) globals: Vec<(usize, &'static dyn Any)>,
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

pub(super) fn in_world<T>(ask: impl FnOnce(&mut World) -> T) -> Option<T> {
    WORLD.with_borrow_mut(|world| world.as_mut().map(ask))
}

/// Returns true if this thread of the machine runs a model.
pub(crate) fn is_modelled() -> bool {
    WORLD.with_borrow(Option::is_some)
}

/// Lets another thread go on, perhaps.
pub(super) fn switch() {
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
pub(super) fn wait_for<T>(longest: Option<Duration>, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
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
pub(super) fn wait_long<T>(ready: impl FnMut() -> Option<T>) -> T {
    wait_for(None, ready).expect("there is no deadline")
}
