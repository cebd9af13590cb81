//! Limits the number of connections, and ends all of them at once.

use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Connections served at the same time; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 256;

/// The open connections.
#[derive(Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    closed: bool,
    next: u64,
    open: HashMap<u64, Arc<TcpStream>>,
}

/// A place inside; leaving is dropping it.
pub(super) struct Ticket<'a> {
    gate: &'a Gate,
    /// Number of the connection, from 0.
    pub number: u64,
}

impl Gate {
    /// Waits until there is room for one more; `false` once the gate is closed.
    pub fn wait_for_room(&self) -> bool {
        let full = |state: &mut State| !state.closed && state.open.len() >= MAX_CONNECTIONS;
        let state = self.changed.wait_while(self.lock(), full).unwrap_or_else(PoisonError::into_inner);
        !state.closed
    }

    /// Lets a connection in; `None` once the gate is closed.
    pub fn enter(&self, stream: Arc<TcpStream>) -> Option<Ticket<'_>> {
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        let number = state.next;
        state.next += 1;
        state.open.insert(number, stream);
        Some(Ticket { gate: self, number })
    }

    /// Waits for the whole time; `false` if the gate was closed meanwhile.
    pub fn pause(&self, time: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), time, |state| !state.closed);
        !waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    /// Ends every connection and every wait, and lets nobody in any more.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        for stream in state.open.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.gate.lock().open.remove(&self.number);
        self.gate.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    #[test]
    fn closing_ends_waits_and_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let stream = Arc::new(listener.accept().unwrap().0);
        let gate = Gate::default();
        let ticket = gate.enter(stream.clone()).unwrap();
        assert!(gate.wait_for_room() && gate.pause(Duration::from_millis(1)));
        std::thread::scope(|scope| {
            let pausing = scope.spawn(|| gate.pause(Duration::from_secs(600)));
            gate.close();
            assert!(!pausing.join().unwrap());
        });
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        drop(ticket);
        assert!(!gate.wait_for_room() && gate.enter(stream).is_none());
    }

    #[test]
    fn a_full_house_waits_for_one_to_leave() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = Arc::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let gate = Gate::default();
        let mut tickets: Vec<_> = (0..MAX_CONNECTIONS).map(|_| gate.enter(stream.clone()).unwrap()).collect();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| gate.wait_for_room());
            assert!(!waiting.is_finished());
            tickets.pop();
            assert!(waiting.join().unwrap());
        });
    }
}
