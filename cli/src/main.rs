//! `flb-sentry`: check, explain, ship, replay and receive without a cluster and without an account.

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
    Check(flb_sentry::check::Args),
    Explain(flb_sentry::explain::Args),
    Install(flb_sentry::install::Args),
    Receive(flb_sentry::receive::Args),
    Replay(flb_sentry::replay::Args),
    Ship(flb_sentry::ship::Args),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Check(args) => flb_sentry::check::run(args),
        Command::Explain(args) => flb_sentry::explain::run(args),
        Command::Install(args) => flb_sentry::install::run(args),
        Command::Receive(args) => flb_sentry::receive::run(args),
        Command::Replay(args) => flb_sentry::replay::run(args),
        Command::Ship(args) => flb_sentry::ship::run(args),
    }
}
