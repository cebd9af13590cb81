//! Classifies a name at the head of a line: a logger, a thread, a host, the type of an exception, or an id.

/// Returns true if a logger may have this name: `shop.pay`, `my_crate::module`, `c.s.Pay`, `NestFactory`; not a thread, an
/// id, a place in a file.
pub(super) fn is_logger(name: &[u8]) -> bool {
    let is_part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$' | b'.' | b':' | b'/' | b'-' | b'#');
    let letters = name.iter().filter(|b| b.is_ascii_alphabetic()).count();
    let digits = name.iter().filter(|b| b.is_ascii_digit()).count();
    let begins = name.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_');
    begins
        && name.len() <= 100
        && letters >= 2
        && name.iter().all(is_part)
        && !(digits > 0
            && (name.contains(&b'-')
                || digits * 2 > letters
                || name.rsplit(|b| *b == b':').next().is_some_and(|line| line.iter().all(u8::is_ascii_digit))))
        && !matches!(name, b"main" | b"worker" | b"thread")
}

/// Returns true if the last part of a name says that it is the type of an exception.
pub(super) fn is_exception(name: &[u8]) -> bool {
    const ENDS: [&[u8]; 9] =
        [b"Error", b"Exception", b"Warning", b"Failure", b"Fault", b"Interrupt", b"Exit", b"error", b"Errno"];
    ENDS.iter().any(|end| name.ends_with(end))
}

/// Returns true if a name with dots is more likely a host or file.
pub(super) fn is_host(name: &[u8]) -> bool {
    const LAST: [&[u8]; 33] = [
        b"com",
        b"org",
        b"net",
        b"io",
        b"dev",
        b"local",
        b"internal",
        b"svc",
        b"test",
        b"example",
        b"lan",
        b"de",
        b"yaml",
        b"yml",
        b"json",
        b"conf",
        b"cfg",
        b"ini",
        b"txt",
        b"log",
        b"xml",
        b"toml",
        b"sh",
        b"sql",
        b"py",
        b"c",
        b"cc",
        b"cpp",
        b"go",
        b"rs",
        b"js",
        b"rb",
        b"php",
    ];
    name.rsplit(|b| *b == b'.').next().is_some_and(|last| LAST.contains(&last))
}

/// `SparkContext`, `DAGScheduler`: capitals within.
pub(super) fn has_humps(name: &[u8]) -> bool {
    let lower = name.iter().position(u8::is_ascii_lowercase).unwrap_or(name.len());
    name.first().is_some_and(u8::is_ascii_uppercase)
        && (name[lower..].iter().any(u8::is_ascii_uppercase) || lower > 2)
        && name.iter().any(u8::is_ascii_lowercase)
}

/// `http-nio-8080-exec-1`, `pool-2-thread-9`, `MainThread`, `main`.
pub(super) fn is_thread_name(name: &[u8]) -> bool {
    let is_thread = |part: &[u8]| part.eq_ignore_ascii_case(b"thread");
    let dashed = name.contains(&b'-') || name.contains(&b'#');
    name.windows(6).any(is_thread)
        || dashed && name.last().is_some_and(u8::is_ascii_digit)
        || name.starts_with(b"qtp")
        || matches!(name, b"main" | b"worker" | b"MainProcess")
}

/// `<0.30979.6230>`
pub(super) fn is_erlang_pid(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|b| b.is_ascii_digit() || *b == b'.')
}

/// A UUID or a hash.
pub(super) fn is_id(text: &[u8]) -> bool {
    text.len() >= 8 && text.iter().all(|b| b.is_ascii_hexdigit() || *b == b'-') && text.iter().any(u8::is_ascii_digit)
}
