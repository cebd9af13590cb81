//! Tests that each form of a stack trace becomes the text of its language.

use super::*;
use crate::chunk::msgpack::Cursor;
use crate::mapping::extract::parse;

/// Returns the text of the trace in a JSON value, with the details that the record has of its exception.
fn of(json: &str, ty: Option<&str>, message: Option<&str>) -> Option<String> {
    let mut packed = Vec::new();
    assert!(parse::message(format!("{{\"v\":{json}}}").as_bytes(), &mut packed), "{json}");
    let value = Cursor::new(&packed).read().unwrap().map().unwrap().get("v").unwrap();
    let about = About { ty: ty.map(str::as_bytes), message: message.map(str::as_bytes) };
    text(value, about).map(|text| String::from_utf8(text.into_owned()).unwrap())
}

#[test]
fn lines_become_the_text_that_the_language_prints() {
    for (lines, expected) in [
        (r#"["at a.B.c(B.java:3)","... 2 more"]"#, "T: m\n\tat a.B.c(B.java:3)\n\t... 2 more"),
        (r#"["X: y","at f (/a.js:1:2)"]"#, "X: y\n\tat f (/a.js:1:2)"),
        (
            r#"["  File \"a.py\", line 3, in f\n    g()\n"]"#,
            "Traceback (most recent call last):\n  File \"a.py\", line 3, in f\n    g()\nT: m",
        ),
        (r#"["/a.rb:1:in `f'","/b.rb:2:in `g'"]"#, "/a.rb:1:in `f': m (T)\n\tfrom /b.rb:2:in `g'"),
        (r#"["/a.php:1","/b.php:2"]"#, "T: m in /a.php:1\nStack trace:\n#0 /a.php(1)\n#1 /b.php(2)\n#2 {main}"),
    ] {
        assert_eq!(of(lines, Some("T"), Some("m")).as_deref(), Some(expected), "{lines}");
    }
}

#[test]
fn frames_with_parts_become_lines() {
    for (frames, expected) in [
        (r#"[{"class":"a.B","method":"c","file":"B.java","line":3}]"#, "T: m\n\tat a.B.c(B.java:3)"),
        (r#"[{"class":"a.B","method":"c","line":3}]"#, "T: m\n\tat a.B.c(SourceFile:3)"),
        (r#"[{"func":"main.f","source":"f.go","line":"3"}]"#, "m\nmain.f\n\tf.go:3"),
        (r#"[{"function":"f","file":"a.js","line":3}]"#, "T: m\n    at f (a.js:3:1)"),
        (
            r#"[{"name":"f","filename":"a.py","lineno":3}]"#,
            "Traceback (most recent call last):\n  File \"a.py\", line 3, in f\nT: m",
        ),
    ] {
        assert_eq!(of(frames, Some("T"), Some("m")).as_deref(), Some(expected), "{frames}");
    }
}

#[test]
fn an_object_brings_its_head_and_its_causes() {
    let object = r#"{"name":"A","message":"x","stackTrace":[{"class":"a.B","method":"c","file":"B.java","line":3}],
        "cause":{"exception":{"exceptionType":"C","message":"y","frames":[{"class":"a.D","method":"e"}]}}}"#;
    let expected = "A: x\n\tat a.B.c(B.java:3)\nCaused by: C: y\n\tat a.D.e(Unknown Source)";
    assert_eq!(of(object, None, None).as_deref(), Some(expected));
}

#[test]
fn text_gets_a_head_only_where_it_has_none() {
    assert_eq!(of(r#""at a.B.c(B.java:3)""#, Some("T"), None).as_deref(), Some("T\n\tat a.B.c(B.java:3)"));
    assert_eq!(of(r#""X: y\n\tat a.B.c(B.java:3)""#, Some("T"), None).as_deref(), Some("X: y\n\tat a.B.c(B.java:3)"));
    assert_eq!(of(r#""at a.B.c(B.java:3)""#, None, None), None);
}

#[test]
fn ignores_values_that_are_no_trace() {
    for json in [
        r#""one line""#,
        "7",
        "true",
        "[]",
        "{}",
        "[1,2]",
        r#"["red","blue"]"#,
        r#"[{"id":1}]"#,
        r#"{"name":"Bo"}"#,
        r#"{"name":"Bo","stack":7}"#,
        r#"{"name":"Bo","frames":[]}"#,
    ] {
        assert_eq!(of(json, Some("T"), Some("m")), None, "{json}");
    }
}

#[test]
fn a_chain_without_end_is_cut() {
    let frame = r#""frames":[{"class":"a.B","method":"c"}]"#;
    let chain = (0..40).fold("null".to_owned(), |cause, n| format!("{{\"name\":\"E{n}\",{frame},\"cause\":{cause}}}"));
    let text = of(&chain, None, None).unwrap();
    assert_eq!((text.matches("Caused by").count(), text.starts_with("E39")), (MAX_CHAIN - 1, true));
}
