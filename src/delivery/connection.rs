//! Connections that keep to their time. ureq gives each read the time that is left, but while it asks a proxy for a way each
//! read the whole: one that says a byte now and then would hold a sender for ever.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;
use ureq::unversioned::transport::time::{Duration, Instant};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport};
use ureq::{Error, Timeout};

/// ureq's own, each connection of which is [`Timed`]; that to a proxy too, since it is made by the same.
#[derive(Debug, Default)]
pub(super) struct TimedConnector(DefaultConnector);

impl Connector for TimedConnector {
    type Out = Timed;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<()>) -> Result<Option<Timed>, Error> {
        let connection = self.0.connect(details, chained)?;
        let clock = Clock(Arc::clone(&details.current_time));
        Ok(connection.map(|connection| Timed { connection, clock, until: None }))
    }
}

/// What the time is, by whoever makes the request.
struct Clock(Arc<dyn Fn() -> Instant + Send + Sync>);

impl Debug for Clock {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// All reads between two writes share the time that the first of them was given.
#[derive(Debug)]
pub(super) struct Timed {
    connection: Box<dyn Transport>,
    clock: Clock,
    until: Option<Instant>,
}

impl Timed {
    /// What is left for a read that is given so much.
    fn left(&mut self, given: Duration) -> Duration {
        let now = (self.clock.0)();
        let until = *self.until.get_or_insert_with(|| now + given);
        match (until, now) {
            (Instant::Exact(until), Instant::Exact(now)) => given.min(until.saturating_duration_since(now).into()),
            _ => given,
        }
    }
}

impl Transport for Timed {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.connection.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.until = None;
        self.connection.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let after = self.left(timeout.after);
        if after.is_zero() {
            return Err(Error::Timeout(Timeout::Global));
        }
        self.connection.await_input(NextTimeout { after, ..timeout })
    }

    fn is_open(&mut self) -> bool {
        self.connection.is_open()
    }

    fn is_tls(&self) -> bool {
        self.connection.is_tls()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Remembers what time it was given.
    #[derive(Debug)]
    struct Given(Arc<Mutex<Vec<Duration>>>);

    impl Transport for Given {
        fn buffers(&mut self) -> &mut dyn Buffers {
            unreachable!("nothing is read")
        }

        fn transmit_output(&mut self, _: usize, _: NextTimeout) -> Result<(), Error> {
            Ok(())
        }

        fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
            self.0.lock().unwrap().push(timeout.after);
            Ok(true)
        }

        fn is_open(&mut self) -> bool {
            true
        }
    }

    #[test]
    fn reads_between_two_writes_share_their_time() {
        let start = std::time::Instant::now();
        let (given, now) = (Arc::<Mutex<Vec<_>>>::default(), Arc::new(Mutex::new(0)));
        let at = Arc::clone(&now);
        let clock =
            Clock(Arc::new(move || Instant::Exact(start + std::time::Duration::from_secs(*at.lock().unwrap()))));
        let mut timed = Timed { connection: Box::new(Given(Arc::clone(&given))), clock, until: None };
        let timeout = |secs| NextTimeout { after: Duration::from_secs(secs), ..NextTimeout::default() };
        let mut read = |at: u64, secs: u64| {
            *now.lock().unwrap() = at;
            timed.await_input(timeout(secs)).is_ok()
        };
        // The same time again and again, less, and none.
        assert!(read(0, 10) && read(4, 10) && read(5, 1) && read(9, 10) && !read(10, 10) && !read(99, 10));
        assert_eq!(*given.lock().unwrap(), [10, 6, 1, 1].map(Duration::from_secs));
        timed.transmit_output(0, timeout(10)).unwrap();
        assert!(timed.await_input(timeout(10)).is_ok(), "another exchange has a time of its own");
        assert_eq!(given.lock().unwrap().last(), Some(&Duration::from_secs(10)));
    }
}
