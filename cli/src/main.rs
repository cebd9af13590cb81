//! `flb-sentry`: explain, ship and receive without a cluster and without an account.

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Companion of the Sentry output for Fluent Bit.
#[derive(Parser)]
#[command(name = "flb-sentry", version, propagate_version = true, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Explain(flb_sentry::explain::Args),
    Install(flb_sentry::install::Args),
    Receive(flb_sentry::receive::Args),
    Ship(flb_sentry::ship::Args),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Explain(args) => flb_sentry::explain::run(args),
        Command::Install(args) => flb_sentry::install::run(args),
        Command::Receive(args) => flb_sentry::receive::run(args),
        Command::Ship(args) => flb_sentry::ship::run(args),
    }
}
