//! Finds the plugin's file if the user does not name it.

use std::path::{Path, PathBuf};

const NAMES: [&str; 2] = ["libout_sentry.so", "out_sentry.so"];

/// Returns the file named by the user, or the first found beside the executable, in `../lib` and, as in an image, in
/// `../plugins`.
///
/// # Errors
/// The places where it was looked for, and the remedy.
pub(crate) fn plugin(given: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    let executable = std::env::current_exe().map_err(|error| format!("--plugin is needed: {error}"))?;
    beside(&executable)
}

fn beside(executable: &Path) -> Result<PathBuf, String> {
    let here = executable.parent().unwrap_or(Path::new("."));
    let places = [here.to_owned(), here.join("../lib"), here.join("../plugins")];
    let mut candidates = places.iter().flat_map(|place| NAMES.map(|name| place.join(name)));
    candidates.find(|path| path.is_file()).ok_or_else(|| {
        let [first, second, third] = places.map(|place| place.display().to_string());
        format!(
            "no plugin found: expected {} in {first}, {second} or {third}; build it or pass --plugin FILE",
            NAMES.join(" or ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn beside_the_executable_first_then_in_lib() {
        let root = tempfile::tempdir().unwrap();
        let (bin, lib) = (root.path().join("bin"), root.path().join("lib"));
        fs::create_dir(&bin).unwrap();
        fs::create_dir(&lib).unwrap();
        let executable = bin.join("flb-sentry");
        let problem = beside(&executable).unwrap_err();
        assert!(problem.contains("libout_sentry.so or out_sentry.so") && problem.contains("--plugin"), "{problem}");
        fs::write(lib.join("out_sentry.so"), "").unwrap();
        assert_eq!(beside(&executable).unwrap(), bin.join("../lib/out_sentry.so"));
        fs::write(bin.join("libout_sentry.so"), "").unwrap();
        assert_eq!(beside(&executable).unwrap(), bin.join("libout_sentry.so"));
    }

    #[test]
    fn the_users_word_is_final() {
        assert_eq!(plugin(Some(Path::new("x.so"))).unwrap(), Path::new("x.so"));
    }
}
