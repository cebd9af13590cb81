//! The command line of `flb-sentry receive`.

use crate::argument::Discreet;
use crate::terminal::{counted, in_colour, printable};
use receiver::print::{Format, line};
use receiver::{Forwarder, GRAMMAR, Keep, Notice, Observer, Options, Receiver, Script, Target, Totals};
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const HELP: &str = "\
Examples:
  flb-sentry receive
  flb-sentry receive --listen 127.0.0.1:0 --json | jq .payload
  flb-sentry receive --save /tmp/envelopes --fault '5x503 then 3x429'

There is no login. Listen on an address that is reachable only for those who may
read the logs.

Output for programs (--json), one object per line:
  first      `listening` and `dsn`
  each item  `item` (event, log, client_report, check_in), `project`, `payload`
  last       `totals`: requests, accepted (of them), events, logs,
             client_reports, problems
http://ADDR/api/items.json has what the server keeps: the newest 1000 events,
10000 logs and 1000 problems, and the issues made of the events.

Ctrl-C shuts the server down; a second Ctrl-C ends the process at once.

Exit codes:
  0    ended by a signal, or because its output was closed
  1    the address or the directory cannot be used
  2    the command line is wrong
  130  ended by a second signal";

/// Listen as a Sentry server does, check the requests, and show them.
///
/// Prints its address and a DSN first, then each item. At its address are pages for a browser: issues, each event with its
/// stack trace, logs with a filter, and problems. Envelopes with problems that a real server would hide behind a 200 are
/// refused with 400.
#[derive(clap::Args, Debug)]
#[command(after_long_help = format!("{HELP}\n\n{GRAMMAR}"))]
pub struct Args {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9000", value_parser = address)]
    listen: SocketAddr,
    /// Write each decoded envelope to DIR/NNNNNN.envelope, and refused ones to DIR/NNNNNN.refused
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// Accept only this public key (32 hexadecimal digits) instead of any
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Forward accepted events to this server (plain http)
    #[arg(long, value_name = "DSN", value_parser = Discreet(str::parse::<Target>))]
    forward: Option<Target>,
    /// Script faults of the server (repeatable; the grammar is at the end of --help)
    #[arg(long = "fault", value_name = "SPEC")]
    faults: Vec<Script>,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
    /// Answer 200 and drop bad items, as a real server does; problems are still reported
    #[arg(long)]
    lenient: bool,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let mut found = text.to_socket_addrs().map_err(|error| format!("expected HOST:PORT ({error})"))?;
    found.next().ok_or_else(|| "expected HOST:PORT of an address of this machine".to_owned())
}

/// Runs until SIGINT or SIGTERM, or until nobody reads the output any more.
pub fn run(args: Args) -> ExitCode {
    let json = args.json;
    match listen(args) {
        Ok(totals) => {
            if json {
                // Whoever has left does not miss it.
                let _ = writeln!(io::stdout(), "{}", json!({"totals": totals}));
            }
            tell(&summary(totals));
            ExitCode::SUCCESS
        }
        Err(error) => {
            tell(&format!("flb-sentry receive: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn listen(args: Args) -> Result<Totals, String> {
    // Before anything is printed: whoever reads the address may stop us at once.
    let (mut wait, stop) = stop_signals().map_err(|error| format!("cannot wait for signals: {error}"))?;
    let format = match args.json {
        true => Format::Json,
        false => Format::Human { colour: in_colour() },
    };
    let forwarder = match args.forward {
        None => None,
        Some(target) => Some(Arc::new(Forwarder::start(target, Box::new(tell)).map_err(|error| error.to_string())?)),
    };
    let options = Options {
        listen: args.listen,
        save: args.save,
        key: args.key,
        faults: args.faults.into(),
        keep: Keep::RECENT,
        lenient: args.lenient,
        observer: Some(observer(format, stop, forwarder.clone())),
        ..Options::default()
    };
    let mut receiver = Receiver::start(options).map_err(|error| error.to_string())?;
    if greet(&receiver, format).is_ok() {
        // A signal or a broken pipe; an error here ends the command all the same.
        let _ = wait.read(&mut [0]);
    }
    receiver.shutdown();
    if let Some(forwarder) = forwarder {
        forwarder.finish();
    }
    Ok(receiver.totals())
}

/// A socket that becomes readable when it is time to go, and the end that makes it so. The second signal ends the process.
fn stop_signals() -> io::Result<(UnixStream, UnixStream)> {
    let (wait, stop) = UnixStream::pair()?;
    let leaving = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&leaving))?;
        signal_hook::flag::register(signal, Arc::clone(&leaving))?;
        signal_hook::low_level::pipe::register(signal, stop.try_clone()?)?;
    }
    Ok((wait, stop))
}

fn greet(receiver: &Receiver, format: Format) -> io::Result<()> {
    let (url, dsn) = (format!("http://{}", receiver.addr()), receiver.dsn());
    let mut out = io::stdout().lock();
    match format {
        Format::Json => writeln!(out, "{}", json!({"listening": url, "dsn": dsn}))?,
        Format::Human { .. } => writeln!(out, "listening on {url}\ndsn {dsn}")?,
    }
    out.flush()
}

fn observer(format: Format, stop: UnixStream, forwarder: Option<Arc<Forwarder>>) -> Observer {
    Arc::new(move |notice: &Notice<'_>| {
        let request = notice.request;
        for problem in &request.problems {
            tell(&format!("request {}: {problem}", request.index));
        }
        if print(notice, format).is_err() {
            let _ = (&stop).write_all(b"x");
        }
        if let Some(forwarder) = forwarder.as_ref().filter(|_| request.accepted) {
            forwarder.offer(&request.body);
        }
    })
}

fn print(notice: &Notice<'_>, format: Format) -> io::Result<()> {
    let mut text = String::new();
    for item in notice.items {
        text += &line(item, format);
        text.push('\n');
    }
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// A problem, for people. That nobody reads it is no reason to end.
fn tell(problem: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", printable(problem));
}

fn summary(totals: Totals) -> String {
    let Totals { requests, accepted, events, logs, client_reports, check_ins, problems } = totals;
    let check_ins = if check_ins == 0 { String::new() } else { format!(", {}", counted(check_ins, "check-in")) };
    format!(
        "received {}, {}{check_ins} and {} in {accepted} of {}; {}",
        counted(events, "event"),
        counted(logs, "log"),
        counted(client_reports, "client report"),
        counted(requests, "request"),
        counted(problems, "problem")
    )
}
