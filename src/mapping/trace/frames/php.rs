//! Derives the fields of PHP frames. Follows `src/FrameBuilder.php`: a method is `Class::method` however it was called,
//! PHP's own frames are in `[internal]`, the filename is the path, and there are no modules.
//!
//! `in_app`: the SDKs of Laravel and Symfony exclude `vendor`, the plain SDK excludes nothing; here `vendor` is always
//! excluded.

use super::super::find::Find;
use super::super::model::Frame;
use super::super::text::number;
use std::borrow::Cow;

const INTERNAL: &str = "[internal]";

/// A frame of a function at a place, of PHP itself if there is none.
pub(in super::super) fn frame<'a>(place: Option<(&'a str, u32)>, function: Option<&'a str>) -> Frame<'a> {
    let function = function.map(named);
    let Some((path, line)) = place else {
        return Frame { function, filename: Some(INTERNAL.into()), in_app: Some(false), ..Frame::default() };
    };
    let (path, line) = evaluated(path).unwrap_or((path, line));
    let in_app = !path.holds("/vendor/") && !path.holds("\\vendor\\");
    Frame { function, in_app: Some(in_app), ..Frame::in_file(path, path, Some(line), None) }
}

/// `/app/a.php(3) : eval()'d code`: the file that evaluates.
fn evaluated(path: &str) -> Option<(&str, u32)> {
    let path = path.strip_suffix(" : eval()'d code").or_else(|| path.strip_suffix(" : runtime-created function"))?;
    let (path, line) = path.strip_suffix(')')?.cut_at_last_byte(b'(')?;
    Some((path, number(line)?))
}

/// Monolog writes the backslashes of a namespace as JSON does.
pub(in super::super) fn unescaped(name: &str) -> Cow<'_, str> {
    if name.holds("\\\\") { Cow::Owned(name.replace("\\\\", "\\")) } else { Cow::Borrowed(name) }
}

fn named(function: &str) -> Cow<'_, str> {
    let function = unescaped(function);
    // A closure's name has the place of its definition in it.
    let arrow = function.place_of("->").filter(|at| !function[..*at].holds_byte(b'{'));
    let (class, method) = match arrow {
        Some(at) => (&function[..at], &function[at + 2..]),
        None => return function,
    };
    let class = class.rsplit_once(":").filter(|(_, n)| is_number_of_class(n)).map_or(class, |(class, _)| class);
    Cow::Owned(format!("{class}::{method}"))
}

/// `12$0`: the line and the number of an anonymous class in its file.
fn is_number_of_class(text: &str) -> bool {
    let hex = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    text.cut_at_byte(b'$').is_some_and(|(line, count)| number(line).is_some() && hex(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_named_as_by_the_sdk() {
        for (name, expected) in [
            ("App\\Stock->take", "App\\Stock::take"),
            ("App\\Order::reserve", "App\\Order::reserve"),
            ("App\\\\Order->{closure}", "App\\Order::{closure}"),
            ("array_map", "array_map"),
            ("{closure:/app/a->b.php:3}", "{closure:/app/a->b.php:3}"),
            ("class@anonymous\0/app/a.php:12$0->run", "class@anonymous\0/app/a.php::run"),
        ] {
            assert_eq!(named(name), expected, "{name}");
        }
    }

    #[test]
    fn evaluated_code_is_where_it_is_evaluated() {
        let found = frame(Some(("/app/a.php(3) : eval()'d code", 1)), None);
        assert_eq!((found.filename.as_deref(), found.lineno), (Some("/app/a.php"), Some(3)));
    }
}
