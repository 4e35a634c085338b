//! Where sorts spill: a directory of each engine's own, locked for as long as it lives. What a process that
//! was killed leaves there is taken away by the next one; the lock is the truth, not a process's number.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::{Error, files};

/// What our directories are called: this, the process and a number.
const PREFIX: &str = "spill-";
/// In each of them, locked by its owner.
const LOCK: &str = "lock";
/// Beside them, locked while one looks for dead ones, makes its own or takes it away: one that is not locked
/// yet, or without its lock already, would look dead.
const TURN: &str = "spill.lock";

/// A directory to spill into; it goes with its owner.
#[derive(Debug)]
pub(super) struct Spill {
    path: PathBuf,
    root: PathBuf,
    _lock: File,
}

impl Spill {
    /// Takes away what dead ones left in `root`, and makes one.
    pub(super) fn claim(root: &Path) -> Result<Self, Error> {
        files::create_dir(root)?;
        let _turn = turn(root)?;
        sweep(root)?;
        let process = std::process::id();
        // Another engine of this process, or a process of the same number on another machine, may have some.
        let path = (0..)
            .map(|n| root.join(format!("{PREFIX}{process}-{n}")))
            .find(|path| !path.exists())
            .expect("numbers do not end");
        files::create_dir(&path)?;
        let lock = path.join(LOCK);
        let lock_file = File::create(&lock).map_err(Error::io(&lock))?;
        lock_file.lock().map_err(Error::io(&lock))?;
        Ok(Self { path, root: root.to_owned(), _lock: lock_file })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        if let Err(error) = turn(&self.root).and_then(|_turn| remove(&self.path)) {
            let path = self.path.display();
            tracing::warn!(%path, %error, "the spill stays; the next batch job takes it away");
        }
    }
}

/// Waits until nobody else looks, makes or takes away; held as long as the file is.
fn turn(root: &Path) -> Result<File, Error> {
    let path = root.join(TURN);
    let file = File::create(&path).map_err(Error::io(&path))?;
    file.lock().map_err(Error::io(&path))?;
    Ok(file)
}

/// Removes a directory; somebody may have done so already.
fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io(path)(error)),
        _ => Ok(()),
    }
}

/// Removes the directories that nobody holds.
fn sweep(root: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(root).map_err(Error::io(root))? {
        let entry = entry.map_err(Error::io(root))?;
        let path = entry.path();
        let is_spill = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        // Of a link only the link is ours to judge.
        if !is_spill || !entry.file_type().map_err(Error::io(&path))?.is_dir() {
            continue;
        }
        if is_dead(&path)? {
            remove(&path)?;
            tracing::info!(path = %path.display(), "took away what a killed batch job had spilled");
        }
    }
    Ok(())
}

fn is_dead(path: &Path) -> Result<bool, Error> {
    let lock = path.join(LOCK);
    match File::open(&lock) {
        Ok(file) => match file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(Error::io(&lock)(error)),
        },
        // Killed before it had its lock.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(Error::io(&lock)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(root: &Path) -> Vec<String> {
        let entries = fs::read_dir(root).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_the_dead_left_goes_and_what_the_living_have_stays() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        // Killed at work, and killed before it had its lock.
        for dead in ["spill-1-0/datafusion-x", "spill-2-0"] {
            fs::create_dir_all(root.join(dead)).unwrap();
        }
        fs::write(root.join("spill-1-0/lock"), "").unwrap();
        fs::write(root.join("spill-1-0/datafusion-x/rows"), "rows").unwrap();
        // Nobody's spill.
        fs::create_dir(root.join("bench-update")).unwrap();
        std::os::unix::fs::symlink("/", root.join("spill-link")).unwrap();
        let first = Spill::claim(root).unwrap();
        let mine = first.path().file_name().unwrap().to_str().unwrap().to_owned();
        let others = ["bench-update", "spill-link", TURN].map(str::to_owned);
        let with = |more: &[&String]| {
            let mut all = others.to_vec();
            all.extend(more.iter().map(|name| (*name).clone()));
            all.sort();
            all
        };
        assert_eq!(names(root), with(&[&mine]));
        fs::create_dir(first.path().join("datafusion-y")).unwrap();
        let second = Spill::claim(root).unwrap();
        let its = second.path().file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(names(root), with(&[&mine, &its]), "the first lives");
        drop(first);
        assert_eq!(names(root), with(&[&its]));
        drop(second);
        assert_eq!(names(root), with(&[]));
    }
    #[test]
    fn what_goes_waits_for_its_turn_so_that_nobody_sees_it_half_gone() {
        let root = tempfile::tempdir().unwrap();
        let spill = Spill::claim(root.path()).unwrap();
        let lock = spill.path().join(LOCK);
        let sweeping = turn(root.path()).unwrap();
        let going = std::thread::spawn(move || drop(spill));
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(lock.exists(), "removed under a sweep");
        drop(sweeping);
        going.join().unwrap();
        assert!(!lock.exists());
        remove(lock.parent().unwrap()).unwrap();
    }

    #[test]
    fn many_come_and_go_at_once() {
        let root = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..200).for_each(|_| drop(Spill::claim(root.path()).unwrap())));
            }
        });
        assert_eq!(names(root.path()), [TURN]);
    }
}
