//! Runs the threads that call the plugin, as Fluent Bit does: one engine thread makes the instance and ends it. It either
//! flushes itself or has workers that flush.

use super::queue::Queue;
use plugin_host::{InitError, Instance, Level, Plugin};
use std::thread;

/// Runs Init, flushes, exit, all on the calling thread unless there are workers. Returns the lines that the instance logged;
/// `ready` gets the options that the instance has not asked for, and `before_exit` runs when all is flushed.
///
/// # Errors
/// The plugin refuses the options; nothing was taken from the queue then.
pub(super) fn run(
    plugin: &Plugin,
    options: &[(&str, &str)],
    workers: usize,
    queue: &Queue,
    ready: impl FnOnce(&[String]),
    before_exit: impl FnOnce(),
) -> Result<Vec<(Level, String)>, InitError> {
    let _over = Over(queue);
    let instance = plugin.instance(&plugin.name(), options)?;
    ready(&instance.unasked());
    if workers == 0 {
        drain(&instance, queue);
    } else {
        drain_with(workers, &instance, queue);
    }
    before_exit();
    Ok(instance.exit())
}

fn drain_with(workers: usize, instance: &Instance, queue: &Queue) {
    thread::scope(|scope| {
        let spawn = |number| {
            let worker = thread::Builder::new().name(format!("flb-out-sentry.{number}"));
            worker.spawn_scoped(scope, || drain(instance, queue)).is_ok()
        };
        // Fewer workers are slower, none at all would never end.
        if (0..workers).filter(|number| spawn(*number)).count() == 0 {
            drain(instance, queue);
        }
    });
}

fn drain(instance: &Instance, queue: &Queue) {
    while let Some(work) = queue.take() {
        let verdict = instance.flush(&work.chunk.tag, &work.chunk.bytes);
        queue.settle(work, verdict);
    }
}

/// However the engine ends, nobody waits for it afterwards.
struct Over<'a>(&'a Queue);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}
