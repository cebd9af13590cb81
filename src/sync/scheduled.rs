//! The same primitives for unit tests. Outside a model they behave as the originals do.
//!
//! In a model, every thread of an execution is a shuttle coroutine on the same operating system thread. Before each use of a
//! primitive another coroutine may run, a coroutine that would block lets the others run, and time advances only while a
//! coroutine waits for it.

mod channel;
mod lock;
mod world;

pub(crate) use channel::recv_either;
pub use channel::{Receiver, Sender, bounded, unbounded};
pub use lock::{Condvar, Mutex, MutexGuard};
use std::any::Any;
use std::fmt::Debug;
use std::ops::Deref;
use std::sync;
use std::time::Duration;
pub(crate) use world::{Model, below, is_modelled, now};
use world::{in_world, switch, wait_for};

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
