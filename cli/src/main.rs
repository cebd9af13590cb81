//! `flb-sentry`: check, explain, ship, replay and receive without a cluster and without an account.

use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

const MORE: &str = "\
Examples:
  Can this configuration work?
      flb-sentry check fluent-bit.conf
  What would Sentry get from these lines?
      flb-sentry explain app.log
  A Sentry on this machine, with a page:
      flb-sentry receive
  A file to Sentry, without Fluent Bit:
      flb-sentry ship -o dsn=$SENTRY_DSN app.log
  What was refused, once more:
      flb-sentry replay -o dsn=$SENTRY_DSN /var/lib/fluent-bit/sentry/dead

Environment:
  SENTRY_DSN  where to send, if no option says so
  HTTPS_PROXY, HTTP_PROXY, NO_PROXY
              the proxy, if the option `proxy` does not say so
  NO_COLOR    set to anything: no colours

Colours and progress are for terminals only. Exit codes are at the end of each
command's --help; 0 is success and 2 a command line that makes no sense.";

/// See, check, ship and replay what the Sentry output of Fluent Bit sends, without a cluster.
///
/// The companion of the plugin out_sentry: it uses the plugin's own library, so its answers are the plugin's. It prints
/// for people, and with --json for machines; it never prints the key of a DSN.
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
