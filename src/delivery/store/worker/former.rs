//! Remembers the directories that earlier instances of the same output used in this process. After a hot reload with another
//! `spool_path`, the remaining records of the old directory are sent as backlog.

use crate::sync::{Lazy, Mutex, lock};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The directories of each output by its name, the one in use last.
static DIRECTORIES: Lazy<Mutex<HashMap<String, Vec<PathBuf>>>> = Lazy::new(Mutex::default);

/// Notes the directory that the output `name` uses from now on, if it uses one, and returns those it has used before and that
/// may contain chunks.
pub(in crate::delivery) fn begin(name: &str, path: Option<&Path>) -> Vec<PathBuf> {
    let mut all = lock(&DIRECTORIES);
    let own = all.entry(name.to_owned()).or_default();
    own.retain(|other| Some(other.as_path()) != path);
    let former = own.clone();
    own.extend(path.map(Path::to_owned));
    // A directory that another output uses now belongs to that output.
    let is_used = |path: &PathBuf| all.iter().any(|(other, paths)| other != name && paths.last() == Some(path));
    former.into_iter().filter(|path| !is_used(path)).collect()
}

/// Forgets a former directory of the output `name`, which is empty.
pub(super) fn end(name: &str, path: &Path) {
    if let Some(own) = lock(&DIRECTORIES).get_mut(name) {
        own.retain(|other| other != path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_a_former_directory_until_it_is_empty() {
        let [a, b] = ["/a", "/b"].map(Path::new);
        assert!(begin("former", Some(a)).is_empty() && begin("former", Some(a)).is_empty());
        assert_eq!(begin("former", Some(b)), [a]);
        assert_eq!(begin("former", None), [a, b]);
        end("former", a);
        assert_eq!(begin("former", None), [b]);
        assert!(begin("former", Some(b)).is_empty());
        assert!(begin("another", Some(a)).is_empty(), "it is another output");
        assert_eq!(begin("former", Some(a)), [b]);
    }

    #[test]
    fn leaves_the_directory_of_another_output() {
        let [a, b] = ["/swapped/a", "/swapped/b"].map(Path::new);
        assert!(begin("one", Some(a)).is_empty() && begin("two", Some(b)).is_empty());
        assert!(begin("one", Some(b)).contains(&a.to_owned()));
        assert!(!begin("two", Some(a)).contains(&b.to_owned()));
    }
}
