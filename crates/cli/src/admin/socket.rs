//! The socket file: where it is, and how it is put there.

use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// In the data directory.
const NAME: &str = "admin.sock";
/// Where a socket waits for its permissions; nobody else may enter.
const ASIDE: &str = "admin.new";
/// Longest path that every system takes as a socket's address, in bytes.
const PATH_BYTES_MAX: usize = 100;

/// A directory's name that is short enough for an address; valid as long as this value.
pub(super) struct Short {
    path: PathBuf,
    _open: Option<File>,
}

impl Short {
    /// The directory itself, or, where its path is too long, this process's own name of it once it is open.
    pub(super) fn of(directory: &Path) -> io::Result<Self> {
        // What is put behind it is never longer than this.
        let longest = directory.join(ASIDE).join(NAME);
        if longest.as_os_str().len() <= PATH_BYTES_MAX {
            return Ok(Self { path: directory.to_owned(), _open: None });
        }
        let open = File::open(directory)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
        if !path.is_dir() {
            let message = format!(
                "{} is longer than the {PATH_BYTES_MAX} bytes of a socket's address: use a shorter --data",
                longest.display()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidFilename, message));
        }
        Ok(Self { path, _open: Some(open) })
    }

    /// The socket's address.
    pub(super) fn socket(&self) -> PathBuf {
        self.path.join(NAME)
    }
}

/// The owner's socket, for its own user only; dropping this removes the file.
pub(super) struct Socket {
    path: PathBuf,
    inode: u64,
}

impl Socket {
    /// Listens in a directory that this process owns; a dead owner's socket is replaced.
    pub(super) fn bind(directory: &Path) -> io::Result<(Self, UnixListener)> {
        let short = Short::of(directory)?;
        let aside = short.path.join(ASIDE);
        if aside.try_exists()? {
            std::fs::remove_dir_all(&aside)?;
        }
        DirBuilder::new().mode(0o700).create(&aside)?;
        let unfinished = aside.join(NAME);
        let listener = UnixListener::bind(&unfinished)?;
        std::fs::set_permissions(&unfinished, Permissions::from_mode(0o600))?;
        let inode = std::fs::metadata(&unfinished)?.ino();
        std::fs::rename(&unfinished, short.socket()).map_err(|error| {
            let message =
                format!("{NAME} is in the way and cannot be replaced ({error}): remove it");
            io::Error::new(error.kind(), message)
        })?;
        std::fs::remove_dir(&aside)?;
        listener.set_nonblocking(true)?;
        Ok((Self { path: directory.join(NAME), inode }, listener))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // A directory that was renamed may have made room for another one, with another's socket.
        let ours = std::fs::metadata(&self.path).is_ok_and(|found| found.ino() == self.inode);
        if ours && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, socket = %self.path.display(), "the admin socket stays behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn for_its_user_only_over_a_stale_one_and_gone_at_the_end() {
        let root = tempfile::tempdir().unwrap();
        let (first, listener) = Socket::bind(root.path()).unwrap();
        let path = Short::of(root.path()).unwrap().socket();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // As kill -9 leaves it: the file is there and nobody listens.
        drop(listener);
        assert!(UnixStream::connect(&path).is_err());
        let (second, _listener) = Socket::bind(root.path()).unwrap();
        UnixStream::connect(&path).unwrap();
        drop(first);
        UnixStream::connect(&path).expect("another's socket is not removed");
        drop(second);
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0, "nothing stays behind");
    }

    #[test]
    fn what_is_in_the_way_is_named() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join(NAME)).unwrap();
        let error = Socket::bind(root.path()).err().expect("a directory is in the way");
        assert!(error.to_string().contains("admin.sock is in the way"), "{error}");
    }

    #[test]
    fn a_directory_with_a_long_path() {
        let root = tempfile::tempdir().unwrap();
        let long = root.path().join("d".repeat(150));
        std::fs::create_dir(&long).unwrap();
        assert!(UnixListener::bind(long.join(NAME)).is_err(), "too long for an address");
        match Socket::bind(&long) {
            Ok((socket, _listener)) => {
                let short = Short::of(&long).unwrap();
                UnixStream::connect(short.socket()).unwrap();
                drop(socket);
                assert!(!long.join(NAME).exists());
            }
            Err(error) => assert!(error.to_string().contains("shorter --data"), "{error}"),
        }
    }
}
