//! Opens connections: decides the order in which the addresses of a host are tried and for how long each, limits the age of
//! a connection, and enforces its time limits.

use std::fmt::{self, Debug, Formatter};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use ureq::unversioned::transport::time::{self, Instant};
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, NextTimeout, RustlsConnector, TcpConnector,
    Transport,
};
use ureq::{Error, Timeout};

/// A connection is not used again after this time, so that a change in DNS is followed while the old server still responds.
const MAX_AGE: Duration = Duration::from_secs(300);

/// Longest attempt at one of several addresses before the next one is tried, in the first round; twice as long in each
/// further round. RFC 8305 starts the next attempt after 250 ms and lets the first go on; attempts here are one after the
/// other, and longer.
const ATTEMPT: Duration = Duration::from_secs(1);

/// An address that did not respond is tried last for this long.
const AVOIDED_FOR: Duration = Duration::from_secs(600);

/// Addresses that are remembered as not answering, at most.
const AVOIDED: usize = 32;

/// Opens connections: through a proxy where there is one, with TLS if the scheme is https.
#[derive(Debug)]
pub(in crate::delivery) struct TimedConnector(Box<dyn Connector<(), Out = Box<dyn Transport>>>);

impl Default for TimedConnector {
    fn default() -> Self {
        let tcp = ().chain(ConnectProxyConnector::default()).chain(AddressConnector::default());
        Self(Box::new(Boxed(tcp.chain(RustlsConnector::default()))))
    }
}

/// Boxes the connections of a chain, so that they have one type.
#[derive(Debug)]
struct Boxed<C>(C);

impl<C: Connector<()>> Connector<()> for Boxed<C> {
    type Out = Box<dyn Transport>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<()>) -> Result<Option<Self::Out>, Error> {
        Ok(self.0.connect(details, chained)?.map(|connection| Box::new(connection) as Box<dyn Transport>))
    }
}

impl Connector for TimedConnector {
    type Out = Timed;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<()>) -> Result<Option<Timed>, Error> {
        let connection = self.0.connect(details, chained)?;
        let clock = Clock(Arc::clone(&details.current_time));
        let born = clock.now();
        Ok(connection.map(|connection| Timed { connection, clock, born, until: None }))
    }
}

/// Opens a TCP connection to the first address of a host that accepts one.
#[derive(Debug, Default)]
struct AddressConnector {
    tcp: TcpConnector,
    avoided: Mutex<Avoided>,
}

impl<In: Transport> Connector<In> for AddressConnector {
    type Out = Either<In, Box<dyn Transport>>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        if chained.is_some() {
            // A proxy has made the connection.
            return Ok(chained.map(Either::A));
        }
        let clock = Clock(Arc::clone(&details.current_time));
        let time_left = || time_left(details, clock.now());
        let attempt = |address, longest: Duration| {
            let mut addrs = details.resolver.empty();
            addrs.push(address);
            let narrowed = ConnectionDetails {
                uri: details.uri,
                addrs,
                config: details.config,
                request_level: details.request_level,
                resolver: details.resolver,
                now: (details.current_time)(),
                timeout: NextTimeout { after: longest.min(time_left()).into(), ..details.timeout },
                current_time: Arc::clone(&details.current_time),
                run_connector: Arc::clone(&details.run_connector),
                register_shutdown: Arc::clone(&details.register_shutdown),
            };
            let result = Connector::<()>::connect(&self.tcp, &narrowed, None);
            let result = result.map(|found| found.map(|tcp| Either::B(tcp.boxed())));
            match result {
                Err(Error::Timeout(_)) => self.avoided().timed_out(address, clock.now()),
                _ => self.avoided().responded(address),
            }
            result
        };
        let order = self.avoided().order(&details.addrs, clock.now());
        first_that_connects(&order, attempt, time_left).unwrap_or(Err(Error::Timeout(details.timeout.reason)))
    }
}

impl AddressConnector {
    fn avoided(&self) -> MutexGuard<'_, Avoided> {
        self.avoided.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the remaining time for opening a connection.
fn time_left(details: &ConnectionDetails<'_>, now: std::time::Instant) -> Duration {
    const LONGEST: Duration = Duration::from_secs(3_600);
    let spent = match details.now {
        Instant::Exact(start) => now.saturating_duration_since(start),
        _ => Duration::ZERO,
    };
    match details.timeout.after {
        time::Duration::Exact(after) => after.saturating_sub(spent),
        time::Duration::NotHappening => LONGEST,
    }
}

/// Tries addresses in rounds until one accepts a connection, one fails for a reason that applies to all, or the time is over. A single
/// address gets all the time there is. `None`: there was no time.
fn first_that_connects<T>(
    order: &[SocketAddr],
    mut attempt: impl FnMut(SocketAddr, Duration) -> Result<T, Error>,
    time_left: impl Fn() -> Duration,
) -> Option<Result<T, Error>> {
    let mut last = None;
    let mut longest = ATTEMPT;
    loop {
        let mut has_timed_out = false;
        for address in order {
            if time_left().is_zero() {
                return last;
            }
            let given = if order.len() == 1 { time_left() } else { longest };
            match attempt(*address, given) {
                Err(error @ Error::Timeout(_)) => {
                    has_timed_out = true;
                    last = Some(Err(error));
                }
                Err(Error::Io(error)) if is_of_the_address(&error) => last = Some(Err(Error::Io(error))),
                result => return Some(result),
            }
        }
        // An address that refused a connection refuses the next one, too.
        if !has_timed_out || order.len() <= 1 {
            return last;
        }
        longest *= 2;
    }
}

/// Returns true if another address of the same host may respond all the same.
fn is_of_the_address(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{
        AddrNotAvailable, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkDown, NetworkUnreachable,
    };
    matches!(
        error.kind(),
        ConnectionRefused | ConnectionReset | HostUnreachable | NetworkDown | NetworkUnreachable | AddrNotAvailable
    )
}

/// Addresses that did not respond in time, and when.
#[derive(Debug, Default)]
struct Avoided(Vec<(SocketAddr, std::time::Instant)>);

impl Avoided {
    /// Returns the addresses, families in turn as the resolver prefers them, those that did not respond last.
    fn order(&mut self, addresses: &[SocketAddr], now: std::time::Instant) -> Vec<SocketAddr> {
        self.0.retain(|(_, since)| now.saturating_duration_since(*since) < AVOIDED_FOR);
        let (mut order, avoided): (Vec<_>, Vec<_>) =
            in_turn(addresses).into_iter().partition(|address| !self.0.iter().any(|(other, _)| other == address));
        order.extend(avoided);
        order
    }

    /// Adds an address that did not respond in time. Forgets the oldest one if there are too many.
    fn timed_out(&mut self, address: SocketAddr, now: std::time::Instant) {
        self.responded(address);
        if self.0.len() >= AVOIDED {
            self.0.remove(0);
        }
        self.0.push((address, now));
    }

    /// Removes an address that accepted or refused a connection.
    fn responded(&mut self, address: SocketAddr) {
        self.0.retain(|(other, _)| *other != address);
    }
}

/// The addresses with their families in turn (RFC 8305, section 4), the first family first.
pub(in crate::delivery) fn in_turn(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut one, mut other) = (
        addresses.iter().filter(|address| address.is_ipv6() == first),
        addresses.iter().filter(|address| address.is_ipv6() != first),
    );
    let mut turns = Vec::with_capacity(addresses.len());
    while turns.len() < addresses.len() {
        turns.extend(one.next().into_iter().chain(other.next()).copied());
    }
    turns
}

/// The clock of the caller that makes the request.
struct Clock(Arc<dyn Fn() -> Instant + Send + Sync>);

impl Debug for Clock {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl Clock {
    fn now(&self) -> std::time::Instant {
        match (self.0)() {
            Instant::Exact(now) => now,
            _ => crate::clock::instant(),
        }
    }
}

/// A connection whose reads between two writes share the timeout of the first of them.
#[derive(Debug)]
pub(in crate::delivery) struct Timed {
    connection: Box<dyn Transport>,
    clock: Clock,
    /// Time at which the connection was opened.
    born: std::time::Instant,
    until: Option<Instant>,
}

impl Timed {
    /// Returns the remaining time for a read that is given `given`.
    fn time_left(&mut self, given: time::Duration) -> time::Duration {
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
        let after = self.time_left(timeout.after);
        if after.is_zero() {
            return Err(Error::Timeout(Timeout::Global));
        }
        self.connection.await_input(NextTimeout { after, ..timeout })
    }

    fn is_open(&mut self) -> bool {
        self.clock.now().saturating_duration_since(self.born) < MAX_AGE && self.connection.is_open()
    }

    fn is_tls(&self) -> bool {
        self.connection.is_tls()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Remembers the timeouts that it was given.
    #[derive(Debug)]
    struct Given(Arc<Mutex<Vec<time::Duration>>>);

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
    fn reads_between_two_writes_share_one_timeout() {
        let start = std::time::Instant::now();
        let (given, now) = (Arc::<Mutex<Vec<_>>>::default(), Arc::new(Mutex::new(0)));
        let at = Arc::clone(&now);
        let clock = Clock(Arc::new(move || Instant::Exact(start + Duration::from_secs(*at.lock().unwrap()))));
        let mut timed = Timed { connection: Box::new(Given(Arc::clone(&given))), clock, born: start, until: None };
        let timeout = |secs| NextTimeout { after: Duration::from_secs(secs).into(), ..NextTimeout::default() };
        let mut read = |at: u64, secs: u64| {
            *now.lock().unwrap() = at;
            timed.await_input(timeout(secs)).is_ok()
        };
        // The same time again and again, less, and none.
        assert!(read(0, 10) && read(4, 10) && read(5, 1) && read(9, 10) && !read(10, 10) && !read(99, 10));
        assert_eq!(*given.lock().unwrap(), [10, 6, 1, 1].map(time::Duration::from_secs));
        timed.transmit_output(0, timeout(10)).unwrap();
        assert!(timed.await_input(timeout(10)).is_ok(), "another exchange has a time of its own");
        assert_eq!(given.lock().unwrap().last(), Some(&time::Duration::from_secs(10)));
    }

    #[test]
    fn does_not_reuse_connections_older_than_five_minutes() {
        let start = std::time::Instant::now();
        let now = Arc::new(Mutex::new(0));
        let at = Arc::clone(&now);
        let clock = Clock(Arc::new(move || Instant::Exact(start + Duration::from_secs(*at.lock().unwrap()))));
        let mut timed = Timed { connection: Box::new(Given(Arc::default())), clock, born: start, until: None };
        let mut is_open = |at| {
            *now.lock().unwrap() = at;
            timed.is_open()
        };
        assert_eq!([0, 299, 300].map(&mut is_open), [true, true, false]);
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    const SILENT: &str = "[2001:db8::1]:443";
    const REFUSING: &str = "192.0.2.1:443";
    const GOOD: &str = "192.0.2.2:443";

    /// Each address that was tried, and for how many seconds at most.
    type Attempts = Vec<(String, u64)>;

    /// Tries addresses with `total` seconds in all. Returns the attempts and the address that accepted a connection, else true if the
    /// last failure was a timeout.
    fn tried(order: &[&str], total: u64, slow: Duration) -> (Attempts, Option<Result<String, bool>>) {
        let order: Vec<_> = order.iter().map(|text| address(text)).collect();
        let (tried, spent) = (Mutex::new(Vec::new()), Mutex::new(Duration::ZERO));
        let time_left = || Duration::from_secs(total).saturating_sub(*spent.lock().unwrap());
        let attempt = |address: SocketAddr, longest: Duration| {
            let longest = longest.min(time_left());
            tried.lock().unwrap().push((address.to_string(), longest.as_secs()));
            match address.to_string().as_str() {
                REFUSING => Err(Error::Io(std::io::ErrorKind::ConnectionRefused.into())),
                GOOD if longest >= slow => Ok(address.to_string()),
                _ => {
                    *spent.lock().unwrap() += longest;
                    Err(Error::Timeout(Timeout::Connect))
                }
            }
        };
        let result = first_that_connects(&order, attempt, time_left);
        let result = result.map(|result| result.map_err(|error| matches!(error, Error::Timeout(_))));
        (tried.into_inner().unwrap(), result)
    }

    #[test]
    fn tries_next_address_after_one_second() {
        let (tried, result) = tried(&[SILENT, REFUSING, GOOD], 30, Duration::ZERO);
        let expected = [(SILENT, 1), (REFUSING, 1), (GOOD, 1)].map(|(address, secs)| (address.to_owned(), secs));
        assert_eq!((&tried[..], result), (&expected[..], Some(Ok(GOOD.to_owned()))));
    }

    #[test]
    fn doubles_attempt_time_in_each_round() {
        let (tried_, result) = tried(&[SILENT, GOOD], 30, Duration::from_secs(3));
        assert_eq!(result, Some(Ok(GOOD.to_owned())));
        assert_eq!(tried_.iter().map(|(_, secs)| *secs).collect::<Vec<_>>(), [1, 1, 2, 2, 4, 4]);
        assert_eq!(tried(&[SILENT], 30, Duration::ZERO).0, [(SILENT.to_owned(), 30)]);
    }

    #[test]
    fn all_addresses_share_the_timeout_of_a_request() {
        let (tried_, result) = tried(&[SILENT, "[2001:db8::2]:443"], 10, Duration::ZERO);
        assert_eq!((tried_.iter().map(|(_, secs)| secs).sum::<u64>(), result), (10, Some(Err(true))));
        assert_eq!(
            tried(&[REFUSING, REFUSING], 10, Duration::ZERO).1,
            Some(Err(false)),
            "expected no wait after a refusal"
        );
        assert_eq!(tried(&[GOOD, GOOD], 0, Duration::ZERO).1, None);
    }

    #[test]
    fn alternates_address_families_and_tries_timed_out_addresses_last() {
        let all = ["[2001:db8::1]:1", "[2001:db8::2]:1", "192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1"].map(address);
        let (mut avoided, now) = (Avoided::default(), std::time::Instant::now());
        assert_eq!(avoided.order(&all, now), [all[0], all[2], all[1], all[3], all[4]]);
        avoided.timed_out(all[0], now);
        assert_eq!(avoided.order(&all, now), [all[2], all[1], all[3], all[4], all[0]]);
        avoided.responded(all[0]);
        assert_eq!(avoided.order(&all, now)[0], all[0], "expected an address that accepts connections again");
        avoided.timed_out(all[0], now);
        assert_eq!(avoided.order(&all, now + AVOIDED_FOR)[0], all[0]);
        assert_eq!(in_turn(&[]), []);
    }
}
