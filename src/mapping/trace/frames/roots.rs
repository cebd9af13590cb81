//! Guesses the directory of a project from the path of one of its files.

use super::super::find::Find;
use super::super::text::starts_with_any;

/// Working directories of container images, platforms and their documentation.
const ROOTS: [&str; 12] = [
    "/app/",
    "/application/",
    "/code/",
    "/function/",
    "/home/site/wwwroot/",
    "/opt/app-root/src/",
    "/project/",
    "/src/",
    "/usr/app/",
    "/usr/src/app/",
    "/var/task/",
    "/workspace/",
];
/// Directories that hold projects. A `*` stands for one name.
const HOLDERS: [&str; 12] = [
    "/builds/*/",
    "/data/",
    "/home/*/",
    "/mnt/",
    "/opt/",
    "/root/",
    "/srv/",
    "/tmp/",
    "/usr/src/",
    "/Users/*/",
    "/var/www/",
    "/workspaces/",
];
/// Names of directories in these that say nothing of the project: `/srv/app`, `/home/deploy/current`.
const PLAIN: [&str; 16] = [
    "api",
    "app",
    "application",
    "backend",
    "code",
    "current",
    "html",
    "project",
    "repo",
    "server",
    "service",
    "site",
    "src",
    "web",
    "work",
    "www",
];

/// Returns the part of a path that is below its project's root. Without a known root, this is the file and its directory:
/// they distinguish two files of the same name and do not change with the place of the installation.
pub(in super::super) fn below_root(path: &str) -> &str {
    if let Some(root) = ROOTS.iter().find(|root| path.starts_with(**root)) {
        return &path[root.len()..];
    }
    if let Some(held) = HOLDERS.iter().find_map(|holder| held_by(holder, path)) {
        return without_plain(held);
    }
    let relative = !starts_with_any(path, &["/", "\\", "file:"]) && path.as_bytes().get(1) != Some(&b':');
    if relative { path.trim_start_matches("./") } else { last_two(path) }
}

/// Returns the part of a path that is below one of the directories of `holder`.
fn held_by<'a>(holder: &str, path: &'a str) -> Option<&'a str> {
    match holder.cut_at_byte(b'*') {
        None => path.strip_prefix(holder),
        Some((before, _)) => path.strip_prefix(before)?.cut_at_byte(b'/').map(|(_, rest)| rest),
    }
}

/// Without directories that every project may have, and without the number of a release.
fn without_plain(mut path: &str) -> &str {
    while let Some((name, rest)) = path.cut_at_byte(b'/') {
        let release = |rest: &str| rest.cut_at_byte(b'/').is_some_and(|(n, _)| n.bytes().all(|b| b.is_ascii_digit()));
        if name == "releases" && release(rest) {
            path = rest.cut_at_byte(b'/').map_or(rest, |(_, rest)| rest);
        } else if PLAIN.contains(&name) {
            path = rest;
        } else {
            break;
        }
    }
    // A project that is deployed by Capistrano or a like tool: the releases lie one directory deeper.
    match path.cut_at("/current/").or_else(|| path.cut_at("/releases/")) {
        Some((project, rest)) if !project.holds_byte(b'/') => without_plain_release(path, rest),
        _ => path,
    }
}

fn without_plain_release<'a>(path: &'a str, rest: &'a str) -> &'a str {
    match rest.cut_at_byte(b'/') {
        Some((number, below)) if number.bytes().all(|b| b.is_ascii_digit()) => below,
        _ if path.holds("/current/") => rest,
        _ => path,
    }
}

fn last_two(path: &str) -> &str {
    let is_slash = |c: char| matches!(c, '/' | '\\');
    let file = path.rfind(is_slash).unwrap_or(0);
    path[..file].rfind(is_slash).map_or(path.trim_start_matches(is_slash), |at| &path[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_part_below_the_project() {
        for (path, expected) in [
            ("/usr/src/app/orders/views.py", "orders/views.py"),
            ("/app/orders/views.py", "orders/views.py"),
            ("/srv/app/orders/views.py", "orders/views.py"),
            ("/srv/shop/orders/views.py", "shop/orders/views.py"),
            ("/home/deploy/shop/views.py", "shop/views.py"),
            ("/var/www/shop/current/orders/views.py", "orders/views.py"),
            ("/var/www/shop/releases/20261130101500/orders/views.py", "orders/views.py"),
            ("/srv/releases/17/orders/views.py", "orders/views.py"),
            ("/opt/app-root/src/shop/views.py", "shop/views.py"),
            ("/var/lib/shop/deep/orders/views.py", "orders/views.py"),
            ("C:\\work\\shop\\orders\\views.py", "orders\\views.py"),
            ("./orders/views.py", "orders/views.py"),
            ("views.py", "views.py"),
            ("/views.py", "views.py"),
            ("/app/views.py", "views.py"),
            ("", ""),
        ] {
            assert_eq!(below_root(path), expected, "{path}");
        }
    }
}
