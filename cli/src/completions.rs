//! `flb-sentry completions`: writes the script with which a shell completes commands and options.

use clap_complete::Shell;
use std::io::{self, Write};
use std::process::ExitCode;

const EXAMPLES: &str = "\
For the current shell only:
  source <(flb-sentry completions bash)

Permanently, in a file that the shell reads (for all users; for yourself):
  bash        /usr/share/bash-completion/completions/flb-sentry
              ~/.local/share/bash-completion/completions/flb-sentry
  zsh         /usr/share/zsh/site-functions/_flb-sentry
              ~/.zfunc/_flb-sentry, with `fpath=(~/.zfunc $fpath)` in ~/.zshrc
              before `compinit`
  fish        /usr/share/fish/vendor_completions.d/flb-sentry.fish
              ~/.config/fish/completions/flb-sentry.fish
  powershell  append it to $PROFILE
  elvish      append it to ~/.config/elvish/rc.elv
for example
  flb-sentry completions zsh > ~/.zfunc/_flb-sentry
bash needs the package bash-completion.

Exit codes:
  0    the script is written
  1    the script cannot be written
  2    the command line is wrong";

/// Write the script that a shell needs to complete commands and options.
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs the command; `command` is the whole command line there is.
pub fn run(args: &Args, mut command: clap::Command) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "flb-sentry", &mut script);
    let mut out = io::stdout().lock();
    match out.write_all(&script).and_then(|()| out.flush()) {
        // Whoever reads us has had enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            crate::ship::complain("completions", &format!("cannot write: {error}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
