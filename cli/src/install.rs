//! `flb-sentry install`: copies the plugin into a directory, from an image that has no shell to copy with.

use crate::ship::locate;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const NAME: &str = "out_sentry.so";

const EXAMPLES: &str = "\
Examples:
  flb-sentry install --to /sentry
  flb-sentry install --plugin target/release/libout_sentry.so --to plugins/

In a pod, an init container runs the first command in a volume that Fluent Bit's
container mounts at the same path. There, `plugins_file /sentry/plugins.conf`
loads the plugin.

Output for programs (--json), one object:
  plugin        path of the copy
  plugins_file  path of the plugins.conf that names it

Exit codes:
  0    both files are written
  1    the plugin is missing or invalid, or the directory cannot be written
  2    the command line is wrong";

/// Copy the plugin, and a plugins.conf that names it, into a directory.
#[derive(clap::Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The directory, which is created if it does not exist
    #[arg(long, value_name = "DIR")]
    to: PathBuf,

    /// The plugin to copy [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    plugin: Option<PathBuf>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    let installed = locate::plugin(args.plugin.as_deref()).and_then(|plugin| install(&plugin, &args.to));
    let (text, code) = match installed {
        Ok(installed) if args.json => (installed.json().to_string(), ExitCode::SUCCESS),
        Ok(installed) => (format!("installed {}", installed.plugin.display()), ExitCode::SUCCESS),
        Err(why) => (format!("flb-sentry install: {why}"), ExitCode::FAILURE),
    };
    // What nobody reads changes nothing about what was done.
    _ = if code == ExitCode::SUCCESS { writeln!(io::stdout(), "{text}") } else { writeln!(io::stderr(), "{text}") };
    code
}

/// The current paths of the files.
struct Installed {
    plugin: PathBuf,
    plugins_file: PathBuf,
}

impl Installed {
    fn json(&self) -> serde_json::Value {
        let text = |path: &Path| path.display().to_string();
        serde_json::json!({"plugin": text(&self.plugin), "plugins_file": text(&self.plugins_file)})
    }
}

fn install(plugin: &Path, directory: &Path) -> Result<Installed, String> {
    let library = library(plugin).map_err(|error| format!("{}: {error}", plugin.display()))?;
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    // The host takes a name without a directory for one on the linker's path.
    let directory = directory.canonicalize().map_err(|error| format!("{}: {error}", directory.display()))?;
    let installed = Installed { plugin: directory.join(NAME), plugins_file: directory.join("plugins.conf") };
    write(&installed.plugin, 0o755, &library)?;
    let list = format!("[PLUGINS]\n    Path {}\n", installed.plugin.display());
    write(&installed.plugins_file, 0o644, list.as_bytes())?;
    Ok(installed)
}

/// The bytes of a shared library of the kind this program is.
fn library(path: &Path) -> io::Result<Vec<u8>> {
    const HEAD: &[u8] = b"\x7fELF";
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    // What is no library may have no end either.
    (&mut file).take(HEAD.len() as u64).read_to_end(&mut bytes)?;
    if bytes != HEAD {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "expected a shared library"));
    }
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Under a name of its own first, and then in its place: a host that has the old one loaded goes on with the old one, and
/// nobody ever loads half of one.
fn write(place: &Path, mode: u32, content: &[u8]) -> Result<(), String> {
    let unfinished = place.with_extension(format!("{}.new", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&unfinished)?;
        file.write_all(content)?;
        // Whatever the umask is: the host may be another user.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&unfinished, place)
    })();
    written.map_err(|error| {
        _ = fs::remove_file(&unfinished);
        format!("{}: {error}", place.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_plugin_and_the_file_that_names_it_are_in_the_directory() {
        let root = tempfile::tempdir().unwrap();
        let (plugin, to) = (root.path().join("libout_sentry.so"), root.path().join("a/volume"));
        for version in [&b"\x7fELF one"[..], b"\x7fELF two"] {
            fs::write(&plugin, version).unwrap();
            let place = install(&plugin, &to).unwrap().plugin;
            assert_eq!(fs::read(&place).unwrap(), version);
            assert_eq!(files(&to), ["out_sentry.so", "plugins.conf"]);
            let list = fs::read_to_string(to.join("plugins.conf")).unwrap();
            assert_eq!(list, format!("[PLUGINS]\n    Path {}\n", place.display()));
            let mode = |name: &str| fs::metadata(to.join(name)).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode("out_sentry.so"), mode("plugins.conf")), (0o755, 0o644));
        }
    }

    /// A library that a host has mapped must not change under it.
    #[test]
    fn what_is_loaded_stays_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        let (plugin, to) = (root.path().join("new.so"), root.path().join("volume"));
        fs::write(&plugin, b"\x7fELF one").unwrap();
        let mut open = File::open(install(&plugin, &to).unwrap().plugin).unwrap();
        fs::write(&plugin, b"\x7fELF two").unwrap();
        install(&plugin, &to).unwrap();
        let mut loaded = Vec::new();
        open.read_to_end(&mut loaded).unwrap();
        assert_eq!(loaded, b"\x7fELF one");
    }

    #[test]
    fn what_is_no_library_is_not_installed() {
        let root = tempfile::tempdir().unwrap();
        let to = root.path().join("volume");
        let missing = root.path().join("missing.so");
        let refused = |plugin: &Path| install(plugin, &to).err().unwrap();
        assert!(refused(&missing).contains("missing.so"));
        let text = root.path().join("text.so");
        fs::write(&text, "a page of an error").unwrap();
        assert!(refused(&text).contains("expected a shared library"));
        assert!(!to.exists());
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let root = tempfile::tempdir().unwrap();
        let plugin = root.path().join("new.so");
        fs::write(&plugin, b"\x7fELF").unwrap();
        let problem = install(&plugin, &plugin.join("volume")).err().unwrap();
        assert!(problem.contains("new.so/volume"), "{problem}");
    }
}
