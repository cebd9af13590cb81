//! `make demo`: ships sample Kubernetes logs through the plugin into a server that shows them, reads everything back, and
//! compares the server's books with the plugin's. Exit 0 only if they agree. Beside that, what becomes of captured chunks.
//!
//! ```text
//! samples -> host (fluent-bit, else flb-sentry ship) -> plugin -> server (Bugsink, else flb-sentry receive)
//!                                                    ledger \-> compare <-/ issues, logs
//! ```

mod books;
mod captured;
mod cost;
mod progress;
mod server;
mod shipper;
mod stop;

use books::Books;
use captured::Captured;
use clap::Parser;
use cost::Cost;
use progress::{Progress, counted};
use server::Server;
use shipper::{Load, Shipper};
use std::process::ExitCode;
use stop::Stop;
use testkit::samples;
use testkit::tempdir::TempDir;

/// Sample Kubernetes logs, through the plugin, to issues on a page.
#[derive(Parser)]
#[command(name = "demo")]
struct Args {
    /// Server to ship to [default: Bugsink if it can be installed, else receive]
    #[arg(long, value_enum)]
    server: Option<server::Kind>,

    /// Program that ships [default: fluent-bit if it is on PATH, else ship]
    #[arg(long, value_enum)]
    by: Option<shipper::Kind>,

    /// Leave the page up until Ctrl-C
    #[arg(long)]
    wait: bool,
}

fn main() -> ExitCode {
    match demo(&Args::parse()) {
        Ok(agree) => ExitCode::from(u8::from(!agree)),
        Err(why) => {
            eprintln!("demo: {why}");
            ExitCode::from(2)
        }
    }
}

/// Returns true if the books agree, and `Err` if the demo did not get that far.
fn demo(args: &Args) -> Result<bool, String> {
    let progress = Progress::start();
    let dir = TempDir::new("demo").map_err(|error| format!("a directory for the samples: {error}"))?;
    let stop = Stop::watch(dir.path()).map_err(|error| format!("signals: {error}"))?;
    let samples = samples::fresh(dir.path()).map_err(|error| format!("samples: {error}"))?;
    let load = Load::of(&samples).map_err(|error| format!("samples: {error}"))?;
    progress.say(&format!(
        "samples: {} of {}, moved to now",
        counted(samples.lines as u64, "line"),
        counted(samples.files.len() as u64, "container")
    ));

    let server = Server::start(args.server, &progress)?;
    let shipper = Shipper::choose(args.by, &progress)?;
    let shipped = shipper.ship(&load, &server, &progress)?;
    let books = Books::read(&load, shipped, &server)?;
    let captured = Captured::explain()?;
    let cost = Cost::explain(&samples)?;

    print!("\n{captured}\n{cost}\n{books}");
    let agree = books.agree();
    if args.wait {
        println!("The page: {}\nCtrl-C ends it.", server.page());
        stop.wait();
    } else {
        println!("`make demo WAIT=1` leaves the page up.");
    }
    Ok(agree)
}
