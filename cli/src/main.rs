//! `flb-sentry`: check, explain, ship, replay and receive without a cluster and without an account.

use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

const MORE: &str = "\
Examples:
  Can this configuration work?
      flb-sentry check fluent-bit.conf
  What does Sentry get from these lines?
      flb-sentry explain app.log
  A local server that accepts what Sentry accepts, with pages for a browser:
      flb-sentry receive
  Send a file to Sentry without Fluent Bit:
      flb-sentry ship -o dsn=$SENTRY_DSN app.log
  Send dead letters again:
      flb-sentry replay -o dsn=$SENTRY_DSN /var/lib/fluent-bit/sentry/dead

Environment:
  SENTRY_DSN  the DSN, if no option sets one
  HTTPS_PROXY, HTTP_PROXY, NO_PROXY
              the proxy, if the option `proxy` is not set
  NO_COLOR    set to any value: no colors

Colors and progress are for terminals only. The --help of each command lists
its exit codes; 0 is success and 2 an invalid command line.";

/// Check configurations of Fluent Bit's Sentry output, explain what it sends, and send and receive items without a cluster.
///
/// The command uses the code of the plugin out_sentry, so that its results are the plugin's. Output is for people, or with
/// --json for programs. No command prints the key of a DSN.
#[derive(Parser)]
#[command(name = "flb-sentry", version, propagate_version = true, max_term_width = 100, after_long_help = MORE)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(flb_sentry::check::Args),
    Completions(flb_sentry::completions::Args),
    Explain(flb_sentry::explain::Args),
    Install(flb_sentry::install::Args),
    #[command(hide = true)]
    Man(flb_sentry::man::Args),
    Receive(flb_sentry::receive::Args),
    Replay(flb_sentry::replay::Args),
    Ship(flb_sentry::ship::Args),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Check(args) => flb_sentry::check::run(args),
        Command::Completions(args) => flb_sentry::completions::run(&args, Cli::command()),
        Command::Explain(args) => flb_sentry::explain::run(args),
        Command::Install(args) => flb_sentry::install::run(args),
        Command::Man(args) => flb_sentry::man::run(&args, Cli::command()),
        Command::Receive(args) => flb_sentry::receive::run(args),
        Command::Replay(args) => flb_sentry::replay::run(args),
        Command::Ship(args) => flb_sentry::ship::run(args),
    }
}
