//! Files that a configuration names and others write.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
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
}
