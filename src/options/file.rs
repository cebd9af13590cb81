//! Reads files that a configuration names and that others write.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Bytes of a file that holds a DSN, which is far shorter.
pub const MAX_DSN_FILE: u64 = 4_096;

/// Reads a file of at most so many bytes, and never waits: a named pipe that nobody writes to is empty, and a device that
/// does not end is too long.
///
/// # Errors
/// What the system says, and `InvalidData` for a file that is longer.
pub fn read_file(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("more than {most} bytes")));
    }
    Ok(bytes)
}

/// Opens a file of our own for reading: a regular file, never through a link, and without waiting for a named pipe.
///
/// # Errors
/// What the system says, and `InvalidInput` for anything that is no regular file.
pub fn open_plain(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file =
        File::options().read(true).custom_flags(flags).open(path).map_err(|error| match error.raw_os_error() {
            Some(libc::ELOOP) => io::Error::new(ErrorKind::InvalidInput, "is a link, expected a regular file"),
            Some(libc::ENXIO) => {
                io::Error::new(ErrorKind::InvalidInput, "is a socket or device, expected a regular file")
            }
            _ => error,
        })?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "expected a regular file"));
    }
    Ok(file)
}

/// Reads a file of our own of at most so many bytes.
///
/// # Errors
/// Those of [`open_plain`], and `InvalidData` for a file that is longer.
pub fn read_plain(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open_plain(path)?;
    let length = file.metadata()?.len();
    if length > most {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("has {length} bytes, expected at most {most}")));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns true if every user of the machine may create files in this directory: they could plant records there.
#[must_use]
pub fn is_writable_by_all(directory: &Path) -> bool {
    std::fs::metadata(directory).is_ok_and(|metadata| metadata.is_dir() && metadata.permissions().mode() & 0o002 != 0)
}

/// The name of this machine, or of the container that the process runs in; none if the system does not say.
#[must_use]
pub fn machine_name() -> Option<String> {
    let name = read_file(Path::new("/proc/sys/kernel/hostname"), 256).ok()?;
    let name = String::from_utf8(name).ok()?.trim().to_owned();
    (!name.is_empty() && name != "(none)").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::process::Command;

    #[test]
    fn pipes_and_devices_hold_nobody() {
        let dir = std::env::temp_dir().join(format!("out_sentry-file-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let pipe = dir.join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(read_file(&pipe, 9).unwrap(), b"");
        assert_eq!(read_file(Path::new("/dev/zero"), 9).unwrap_err().kind(), ErrorKind::InvalidData);
        assert!(read_file(&dir, 9).is_err());
        fs::write(dir.join("nine"), "123456789").unwrap();
        assert_eq!(read_file(&dir.join("nine"), 9).unwrap(), b"123456789");
        assert!(read_file(&dir.join("nine"), 8).is_err());
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn only_regular_files_of_a_bounded_length_are_read_as_our_own() {
        let dir = std::env::temp_dir().join(format!("out_sentry-plain-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let path = |name: &str| dir.join(name);
        assert!(Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        fs::write(path("file"), "123").unwrap();
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
        File::create(path("sparse")).unwrap().set_len(2 << 30).unwrap();
        for other in [path("pipe"), path("link"), dir.clone(), "/dev/zero".into()] {
            assert_eq!(read_plain(&other, 9).unwrap_err().kind(), ErrorKind::InvalidInput, "{}", other.display());
        }
        assert_eq!(read_plain(&path("sparse"), 1 << 20).unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(read_plain(&path("file"), 3).unwrap(), b"123");
        assert!(!is_writable_by_all(&dir));
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(is_writable_by_all(&dir));
        fs::remove_dir_all(&dir).unwrap();
    }
}
