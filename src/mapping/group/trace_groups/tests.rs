//! Tests which lines form a group.

use super::heads::{HEADS, IN_HEADS, first_look};
use super::prefix::{around_digit, shares_tag};
use super::*;
use crate::mapping::group::stream_lines::tests::lines;
use crate::mapping::trigram_scan::Block;

/// Numbers of lines of each group or single line.
fn spans(texts: &[&'static str]) -> Vec<usize> {
    let lines = lines(texts);
    let groups = Grouping::new(&lines, texts).all();
    let (mut at, mut spans) = (0, Vec::new());
    for group in groups {
        spans.extend(std::iter::repeat_n(1, group.first - at));
        spans.push(group.len);
        at = group.first + group.len;
    }
    spans.extend(std::iter::repeat_n(1, texts.len() - at));
    spans
}

/// The text of the first group as its event shows it.
fn text(texts: &[&'static str]) -> String {
    Grouping::new(&lines(texts), texts).all()[0].text(texts)
}

const TRACE: [&str; 2] = ["java.io.IOException: reset", "\tat com.shop.Net.read(Net.java:7)"];

#[test]
fn joins_a_trace_with_the_line_that_announces_it() {
    let texts = [
        "request 1",
        "ERROR order failed",
        "java.lang.IllegalStateException: declined",
        "\tat com.shop.Pay.run(Pay.java:10)",
        "\tat com.shop.Main.main(Main.java:3)",
        "Caused by: java.io.IOException: reset",
        "\tat com.shop.Net.read(Net.java:7)",
        "\t... 1 more",
        "request 2",
        "ERROR plain",
        "request 3",
    ];
    assert_eq!(spans(&texts), [1, 7, 1, 1, 1]);
}

#[test]
fn every_head_has_its_three_bytes() {
    for (head, _) in HEADS {
        assert!(heads(head.as_bytes()), "{head}");
        assert!(heads(format!("x {head} y").as_bytes()), "{head}");
        (0..40).for_each(|at| assert!(heads(format!("{:at$}{head}", "").as_bytes()), "{head} at {at}"));
    }
}

#[test]
fn first_look_agrees_with_the_table() {
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..20_000 {
        let block: Block = std::array::from_fn(|_| b"ceabiorl d'PHxu[sR:"[random.usize(..19)]);
        assert_eq!(first_look(&block), IN_HEADS.pairs(&block), "{}", String::from_utf8_lossy(&block));
    }
}

#[test]
fn joins_over_at_most_two_empty_lines() {
    assert_eq!(spans(&["ERROR failed", "", TRACE[0], TRACE[1]]), [4]);
    assert_eq!(spans(&["ERROR failed", "", "", "", TRACE[0], TRACE[1]]), [1, 1, 1, 1, 2]);
    assert_eq!(spans(&["ERROR failed", "", "on"]), [1, 1, 1]);
    assert_eq!(spans(&["ERROR failed", ""]), [1, 1]);
}

#[test]
fn joins_message_lines_only_above_a_trace() {
    assert_eq!(spans(&["ERROR failed", "order: 17", "cart: 3", TRACE[0], TRACE[1], "on"]), [5, 1]);
    assert_eq!(spans(&["ERROR failed", "order: 17", "cart: 3", "on"]), [1, 1, 1, 1]);
    // An event of its own, and a line with a time, are no message lines.
    assert_eq!(spans(&["ERROR failed", "ERROR again", TRACE[0], TRACE[1]]), [1, 3]);
    assert_eq!(spans(&["ERROR failed", "2026-11-30 10:00:00 on", TRACE[0], TRACE[1]]), [1, 1, 2]);
    // A structured record announces no plain text.
    let mut lines = lines(&["ERROR failed", TRACE[0], TRACE[1]]);
    lines[0].said = LevelSource::InField;
    let groups = Grouping::new(&lines, &["ERROR failed", TRACE[0], TRACE[1]]).all();
    assert_eq!(groups.iter().map(|group| (group.first, group.len)).collect::<Vec<_>>(), [(1, 2)]);
}

#[test]
fn joins_a_python_trace_by_itself() {
    let texts = [
        "start",
        "Traceback (most recent call last):",
        "  File \"/app/x.py\", line 3, in f",
        "    g()",
        "ValueError: no",
        "on",
    ];
    assert_eq!(spans(&texts), [1, 4, 1]);
}

#[test]
fn takes_off_a_prefix_that_each_line_repeats() {
    let texts = [
        "(Worker pid=12) ERROR 11-30 10:00:01 [core.py:7] step failed",
        "(Worker pid=12) ERROR 11-30 10:00:01 [core.py:7] Traceback (most recent call last):",
        "(Worker pid=12) ERROR 11-30 10:00:01 [core.py:7]   File \"/app/x.py\", line 3, in f",
        "(Worker pid=12) ERROR 11-30 10:00:02 [core.py:7]     g()",
        "(Worker pid=12) ERROR 11-30 10:00:02 [core.py:7] ValueError: no",
        "(Worker pid=12) INFO 11-30 10:00:02 [core.py:7] on",
    ];
    let mut all = lines(&texts);
    all.iter_mut().take(5).for_each(|line| (line.level, line.said) = (Level::Error, LevelSource::InText));
    let group = Grouping::new(&all, &texts).all()[0];
    assert_eq!((group.first, group.len, group.trace), (0, 5, 1));
    let expected = "(Worker pid=12) ERROR 11-30 10:00:01 [core.py:7] step failed\nTraceback (most recent call last):\n  \
                    File \"/app/x.py\", line 3, in f\n    g()\nValueError: no";
    assert_eq!(group.text(&texts), expected);
    let ranks =
        ["[rank1]: Traceback (most recent call last):", "[rank1]:   File \"x.py\", line 3, in f", "[rank1]: E: x"];
    assert_eq!(text(&ranks), "Traceback (most recent call last):\n  File \"x.py\", line 3, in f\nE: x");
    // Other ranks write at the same time.
    assert_eq!(spans(&[ranks[0], "[rank2]:   File \"x.py\", line 3, in f"]), [1, 1]);
}

#[test]
fn takes_a_prefix_off_a_whole_text() {
    let text = "ERROR failed\n[rank1]: Traceback (most recent call last):\n[rank1]:   File \"x.py\", line 3, in f\n[rank1]: E: x\non";
    let bare = "ERROR failed\nTraceback (most recent call last):\n  File \"x.py\", line 3, in f\nE: x\non";
    assert_eq!(without_prefix(text).as_deref(), Some(bare));
    assert_eq!(without_prefix(bare), None);
    assert_eq!(without_prefix("[rank1]: Error: a\n[rank1]: Error: b"), None);
    assert_eq!(without_prefix(""), None);
    // Beginnings without a trace are tried so often and no more.
    let behind = |count: usize| format!("{}{text}", "x: Error: a\n".repeat(count));
    assert!(without_prefix(&behind(5)).is_some_and(|found| found.ends_with(bare)));
    assert_eq!(without_prefix(&behind(1_000)), None);
}

#[test]
fn a_tag_is_shared_with_or_without_the_prefix_before_it() {
    let (tagged, bare) = ("F, [10:00:01 #1] FATAL -- : [4b0f2c9e-2b51] Error", "[4b0f2c9e-2b51]     36: x");
    assert!(shares_tag([tagged, bare]) && shares_tag([bare, "F, [10:00:01 #1] FATAL -- : [4b0f2c9e-2b51]"]));
    assert!(
        !shares_tag([tagged, "[4b0f2c9e-2b52]     36: x"]) && !shares_tag([tagged, "[4b0f2c9e-2b51] Completed 500"])
    );
}

#[test]
fn joins_frames_behind_a_prefix() {
    let texts = [
        "[web] F, [2026-11-30T10:00:01.065165 #29:1a] FATAL -- : Error caught: [Shop::Declined] card",
        "[web] F, [2026-11-30T10:00:01.065254 #29:1a] FATAL -- : pay (5.0.0) lib/pay/gateway.rb:44:in `charge'",
        "[web] F, [2026-11-30T10:00:01.065365 #29:1a] FATAL -- : pay (5.0.0) lib/pay/order.rb:87:in `block in run'",
        "[web] F, [2026-11-30T10:00:02.065365 #29:1a] FATAL -- : on",
    ];
    let mut all = lines(&texts);
    all.iter_mut().for_each(|line| (line.level, line.said) = (Level::Fatal, LevelSource::InText));
    let groups = Grouping::new(&all, &texts).all();
    assert_eq!(groups.iter().map(|group| (group.first, group.len)).collect::<Vec<_>>(), [(0, 3)]);
    for (two, texts) in all.windows(2).zip(texts.windows(2)).take(2) {
        assert!(may_begin(&two[0], &two[1], [texts[0], texts[1]]), "{texts:?}");
    }
    assert!(
        !around_digit(b"order.rb:44:in", 9).1
            && around_digit(b"10:00:01.065165", 14).1
            && !around_digit(b"pid=12", 4).1
    );
}

#[test]
fn joins_a_two_line_head_with_what_is_below() {
    let texts = ["fail: Shop.Worker[0]", "      Payment 17 failed", "info: Shop.Worker[0]", "      on", "end"];
    let mut all = lines(&texts);
    (all[0].said, all[0].level, all[2].said) = (LevelSource::InText, Level::Error, LevelSource::InText);
    let groups = Grouping::new(&all, &texts).all();
    assert_eq!(groups.iter().map(|group| (group.first, group.len)).collect::<Vec<_>>(), [(0, 2), (2, 2)]);
    assert_eq!(groups.iter().map(|group| group.level(&all)).collect::<Vec<_>>(), [Level::Error, Level::Info]);
}

#[test]
fn first_line_determines_the_level() {
    let level = |texts: &[&'static str], head: Option<Level>| {
        let mut lines = lines(texts);
        if let Some(level) = head {
            (lines[0].level, lines[0].said) = (level, LevelSource::InText);
        }
        lines[1].level = Level::Fatal;
        Grouping::new(&lines, texts).all()[0].level(&lines)
    };
    let texts = ["late, trying again", TRACE[0], TRACE[1]];
    assert_eq!(level(&TRACE, None), Level::Error);
    assert_eq!(level(&texts, Some(Level::Warn)), Level::Warn);
    assert_eq!(level(&texts, Some(Level::Info)), Level::Info);
    let crash = ["Exception in thread \"main\" java.io.IOException: reset", TRACE[1]];
    assert_eq!(level(&crash, None), Level::Fatal);
}

#[test]
fn ordinary_lines_begin_no_run() {
    let all = ["INFO a", "GET /x 200", "INFO b", "{\"level\":\"info\"}", "ERROR c", "ERROR d", "2026-11-30 10:00:00 e"];
    let lines = lines(&all);
    for (two, texts) in lines.windows(2).zip(all.windows(2)) {
        assert!(!may_begin(&two[0], &two[1], [texts[0], texts[1]]), "{texts:?}");
    }
}
