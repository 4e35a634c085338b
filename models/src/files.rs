//! Writing that a crash cannot tear: a name appears with all of its bytes, or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Reads a regular file. Opening a pipe would wait for whoever writes into it, and nobody does.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let kind = fs::metadata(path)?.file_type();
    if !kind.is_file() && !kind.is_dir() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    fs::read(path)
}

/// Makes a directory's entries durable; without it a rename may be lost.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Writes and syncs a file that nobody reads yet.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Replaces a file in one step: readers see the old bytes or the new ones.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let staged = path.with_extension("staged");
    write_synced(&staged, bytes)?;
    fs::rename(&staged, path)?;
    sync_dir(dir)
}

/// Writes files into a new directory that appears whole, or not at all.
///
/// `dir` must not exist; its parents are made. What a crash left in the staging place is removed.
pub(crate) fn publish_dir(dir: &Path, files: &[(String, Vec<u8>)]) -> io::Result<()> {
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent)?;
    if dir.exists() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "exists already"));
    }
    let name = dir.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let staged = parent.join(format!(".staged-{name}"));
    if staged.exists() {
        fs::remove_dir_all(&staged)?;
    }
    fs::create_dir(&staged)?;
    for (name, bytes) in files {
        write_synced(&staged.join(name), bytes)?;
    }
    sync_dir(&staged)?;
    fs::rename(&staged, dir)?;
    sync_dir(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_appears_whole_and_is_never_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("a/b");
        // What a crash in the middle leaves behind must not block or leak into the next try.
        fs::create_dir_all(root.path().join("a/.staged-b")).unwrap();
        fs::write(root.path().join("a/.staged-b/torn"), b"x").unwrap();
        publish_dir(&dir, &[("f".into(), b"1".to_vec())]).unwrap();
        assert_eq!(fs::read(dir.join("f")).unwrap(), b"1");
        assert!(!dir.join("torn").exists());
        let again = publish_dir(&dir, &[("f".into(), b"2".to_vec())]).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(dir.join("f")).unwrap(), b"1");
    }

    #[test]
    fn replacing_leaves_no_second_file() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("active.json");
        replace(&path, b"1").unwrap();
        replace(&path, b"22").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"22");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
