//! Ctrl-C, typed at a terminal while the real plugin is at work.

use super::tty::{CTRL_C, Terminal};
use super::{letters, lines, receiver, shown};
use std::fs;
use testkit::tempdir::TempDir;

/// `ship` of many lines, slowly, to this DSN.
fn ship_slowly(dir: &TempDir, dsn: &str, options: &str) -> Terminal {
    let input = dir.path().join("a.log");
    fs::write(&input, lines(2_000)).expect("expected a file");
    let plugin = shown(&testkit::plugin());
    let options = format!("-o dsn={dsn} -o log_level=off {options}");
    Terminal::open("", &format!("ship --rate 20 --plugin {plugin} {options} {}", shown(&input)))
}

pub fn ship() {
    let (dir, receiver) = (TempDir::new("interrupt").expect("expected a directory"), receiver("forever:503"));
    let spool = shown(&dir.path().join("spool"));
    let options = format!("-o exit_timeout=500ms -o spool_path={spool}");
    let mut terminal = ship_slowly(&dir, &receiver.dsn(), &options);
    terminal.shows("20 records");
    terminal.press(CTRL_C);
    let (code, seen) = terminal.ended();
    assert_eq!(code, 130, "{seen}");
    for part in [
        "interrupted: shutting down; interrupt once more to end at once",
        "flb-sentry ship: interrupted: the inputs were not read to their end",
        "flb-sentry ship: not delivered: event.pending=1 log.pending=",
        &format!(
            "flb-sentry ship: pending items wait in {spool}: the next run with this spool_path or `flb-sentry replay` sends them"
        ),
    ] {
        assert!(seen.contains(part), "expected {part:?}, found {seen}");
    }
    receiver.script(Default::default());
    let plugin = shown(&testkit::plugin());
    let (code, seen) =
        Terminal::open("", &format!("replay --plugin {plugin} -o dsn={} {spool}", receiver.dsn())).ended();
    assert!(code == 0 && receiver.events().len() == 1 && !receiver.logs().is_empty(), "{seen}");
}

pub fn ship_in_memory() {
    let (dir, receiver) = (TempDir::new("interrupt").expect("expected a directory"), receiver("forever:503"));
    let mut terminal = ship_slowly(&dir, &receiver.dsn(), "-o exit_timeout=500ms");
    terminal.shows("20 records");
    terminal.press(CTRL_C);
    let (code, seen) = terminal.ended();
    assert!(code == 130 && seen.contains("event.lost=1 log.lost="), "{seen}");
    assert!(seen.contains("lost items were only in memory: -o spool_path=DIR keeps them"), "{seen}");
}

pub fn replay() {
    let (letters, receiver) = (letters(), receiver("forever:503"));
    let (plugin, dead) = (shown(&testkit::plugin()), letters.path().join("dead"));
    let before = fs::read_dir(&dead).expect("expected letters").count();
    let words = format!("replay --plugin {plugin} -o dsn={} -o exit_timeout=500ms {}", receiver.dsn(), shown(&dead));
    let mut terminal = Terminal::open("", &words);
    terminal.shows("503");
    terminal.press(CTRL_C);
    let (code, seen) = terminal.ended();
    assert!(code == 130 && seen.contains("not answered OK: replay the files again"), "{seen}");
    // But for the lock.
    assert_eq!(fs::read_dir(&dead).expect("expected letters").count(), before + 1, "{seen}");
    receiver.script(Default::default());
    let (code, seen) = Terminal::open("", &words).ended();
    assert!(code == 0 && receiver.events().len() == 1, "{seen}");
}

pub fn receive() {
    let mut terminal = Terminal::open("", "receive --listen 127.0.0.1:0");
    terminal.shows("dsn http://");
    terminal.press(CTRL_C);
    let (code, seen) = terminal.ended();
    assert!(
        code == 0
            && seen.ends_with("received 0 events, 0 logs and 0 client reports in 0 of 0 requests; 0 problems\r\n"),
        "{seen:?}"
    );
}

/// The first waits for what it cannot get.
pub fn twice() {
    let (dir, receiver) = (TempDir::new("interrupt").expect("expected a directory"), receiver("forever:hang=300s"));
    let mut terminal = ship_slowly(&dir, &receiver.dsn(), "-o exit_timeout=300s -o timeout=300s");
    terminal.shows("20 records");
    terminal.press(CTRL_C);
    terminal.shows("once more to end at once");
    terminal.press(CTRL_C);
    let (code, seen) = terminal.ended();
    assert!(code == 130 && !seen.contains("shipped "), "{seen}");
}
