//! The commands as people meet them: on a terminal, in a pipe that closes, with files that are not what they should be, and with
//! a hand on Ctrl-C.

mod bad;
mod help;
mod interrupts;
mod looks;
mod tty;

use receiver::{Options, Receiver};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;
use testkit::suite::Suite;
use testkit::tempdir::TempDir;

pub fn add(suite: Suite) -> Suite {
    let terminal = tty::available();
    suite
        .test("help_has_examples_and_exit_codes_and_fits_a_terminal", help::of_every_command)
        .test("completions_for_every_shell", help::completions)
        .test("writes_a_manual_page_for_each_command", help::manual_pages)
        .test("json_wherever_a_machine_may_ask", help::json)
        .test("replay_refuses_a_directory_of_other_files", help::wrong_directory)
        .test("files_that_are_not_what_they_should_be", bad::files)
        .test("an_option_that_nobody_asks_for_is_told", bad::misspelled_option)
        .test("an_input_without_end", bad::endless)
        .test("an_output_that_nobody_reads", bad::nobody_reads)
        .test("an_output_that_cannot_be_written", bad::full_disk)
        .test("a_pipe_gets_no_colour_and_no_progress", looks::pipe)
        .needing(&terminal, "a_terminal_gets_progress_of_ship", |()| looks::progress_of_ship())
        .needing(&terminal, "a_terminal_gets_progress_of_replay", |()| looks::progress_of_replay())
        .needing(&terminal, "a_terminal_gets_progress_of_check", |()| looks::progress_of_check())
        .needing(&terminal, "a_terminal_gets_colours_unless_told_otherwise", |()| looks::colours())
        .needing(&terminal, "ctrl_c_in_mid_ship_says_what_is_not_settled", |()| interrupts::ship())
        .needing(&terminal, "ctrl_c_without_a_spool_says_what_is_lost", |()| interrupts::ship_in_memory())
        .needing(&terminal, "ctrl_c_in_replay_keeps_what_was_not_taken", |()| interrupts::replay())
        .needing(&terminal, "ctrl_c_ends_receive_with_its_sums", |()| interrupts::receive())
        .needing(&terminal, "a_second_ctrl_c_ends_at_once", |()| interrupts::twice())
}

/// Variables of the machine that must not decide how a test ends.
fn foreign() -> impl Iterator<Item = &'static str> {
    let proxies = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"];
    ["SENTRY_DSN", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"].into_iter().chain(proxies)
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flb-sentry"));
    foreign().for_each(|name| _ = command.env_remove(name));
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(words: &[&str]) -> Output {
    command(words).output().expect("expected flb-sentry")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn receiver(faults: &str) -> Receiver {
    let faults = faults.parse().expect("expected a script");
    Receiver::start(Options { faults, ..Options::default() }).expect("expected a receiver")
}

/// Waits for the end of a process, which must come.
fn ended(child: &mut Child) -> ExitStatus {
    let over = testkit::wait::until(Duration::from_secs(60), || child.try_wait().expect("expected a process"));
    if over.is_none() {
        let _ = child.kill();
    }
    over.expect("it does not end")
}

/// Lines of an application, one of them an error.
fn lines(number: usize) -> String {
    let line = |n| format!("{} order {n} of a day\n", if n == 3 { "ERROR" } else { "INFO" });
    (0..number).map(line).collect()
}

/// A directory with dead letters in `dead`: an event and some logs that a server has refused.
fn letters() -> TempDir {
    let dir = TempDir::new("letters").expect("expected a directory");
    let input = dir.path().join("a.log");
    std::fs::write(&input, lines(5)).expect("expected a file");
    let refusing = receiver("forever:403");
    let (dsn, letters) =
        (format!("dsn={}", refusing.dsn()), format!("dead_letter_path={}", shown(&dir.path().join("dead"))));
    let options = ["-o", &dsn, "-o", &letters, "-o", "hold_events=0", "-o", "hold_logs=0", "-o", "log_level=off"];
    let (plugin, input) = (shown(&testkit::plugin()), shown(&input));
    let words = [&["ship", "--plugin", &plugin], &options[..], &[&input]].concat();
    let output = run(&words);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    dir
}
