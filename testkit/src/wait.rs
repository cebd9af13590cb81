//! Waiting for something to become true, never longer than said.

use std::time::{Duration, Instant};

/// Asks `probe` again and again until it answers or `limit` has passed.
pub fn until<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(found) = probe() {
            return Some(found);
        }
        let left = deadline.checked_duration_since(Instant::now())?;
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// [`until`] for a plain condition.
pub fn until_true(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    until(limit, || condition().then_some(())).is_some()
}
