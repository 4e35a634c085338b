//! What can be seen of a database from outside: the library takes its files for granted, and makes new ones,
//! or panics, where they are not what it left.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::{Error, FILES};

/// What the library's version file says: format 3, the only one that was ever written.
const VERSION: &[u8] = b"FJL\x03";

/// Refuses a path that is there and is no directory.
pub(crate) fn is_directory(directory: &Path) -> Result<(), Error> {
    match std::fs::metadata(directory) {
        Ok(found) if !found.is_dir() => Err(Error::NoDirectory { path: directory.to_owned() }),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            Err(Error::NoDirectory { path: directory.to_owned() })
        }
        _ => Ok(()),
    }
}

/// Looks at the files of a database that was created whole: its version, and at least one journal. Gives the
/// journals by their numbers, in order.
pub(crate) fn check(directory: &Path) -> Result<Vec<(u64, PathBuf)>, Error> {
    let wrong = |file: &Path, what| Error::files(directory, file, what);
    let is_file = |file: &Path| match std::fs::metadata(file) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(_) => Err(wrong(file, "is no file")),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(wrong(file, "is not there")),
        Err(error) => Err(Error::io(file, error)),
    };
    let files = directory.join(FILES);
    if !files.is_dir() {
        return Err(wrong(&files, "is no directory"));
    }
    let version = files.join("version");
    is_file(&version)?;
    if std::fs::read(&version).map_err(|error| Error::io(&version, error))? != VERSION {
        return Err(wrong(&version, "names no format that this version of twofold knows"));
    }
    let journals = journals(directory, &files)?;
    journals.iter().try_for_each(|(_, path)| is_file(path))?;
    match journals.is_empty() {
        true => Err(wrong(&files, "has no journal (*.jnl)")),
        false => Ok(journals),
    }
}

/// The journals by their numbers, in order.
fn journals(directory: &Path, files: &Path) -> Result<Vec<(u64, PathBuf)>, Error> {
    let mut journals = Vec::new();
    for entry in std::fs::read_dir(files).map_err(|error| Error::io(files, error))? {
        let path = entry.map_err(|error| Error::io(files, error))?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            let name = path.file_stem().and_then(OsStr::to_str);
            let number = name.and_then(|name| name.parse().ok());
            let number =
                number.ok_or_else(|| Error::files(directory, &path, "is no journal's name"))?;
            journals.push((number, path));
        }
    }
    journals.sort();
    Ok(journals)
}

/// Number of the journal that is written to.
pub(crate) fn newest_journal(directory: &Path) -> Result<u64, Error> {
    let journals = journals(directory, &directory.join(FILES))?;
    Ok(journals.last().map_or(0, |(number, _)| *number))
}

/// Makes the library's lock file again if it is gone: it is empty, and [`crate::owner`]'s lock is the one that
/// counts.
pub(crate) fn make_lock(files: &Path) -> Result<(), Error> {
    let path = files.join("lock");
    let made = std::fs::File::options().create(true).append(true).open(&path);
    made.map(drop).map_err(|error| Error::io(&path, error))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{Database, Missing, Options};

    fn refused(damage: impl Fn(&Path)) -> String {
        let root = tempfile::tempdir().unwrap();
        drop(Database::open(root.path()).unwrap());
        damage(&root.path().join(FILES));
        for missing in [Missing::Create, Missing::Refuse] {
            let options = Options { missing, ..Options::default() };
            let error = Database::open_with(root.path(), options).err().expect("damaged");
            assert!(error.is_damage(), "{error}");
        }
        Database::open(root.path()).err().expect("damaged").to_string()
    }

    #[test]
    fn files_that_are_gone_or_no_files_are_named() {
        let gone = refused(|db| fs::remove_file(db.join("version")).unwrap());
        assert!(gone.contains("db/version is not there; it is damaged"), "{gone}");
        let empty = refused(|db| fs::write(db.join("version"), "").unwrap());
        assert!(
            empty.contains(
                "db/version names no format that this version of twofold knows; it is damaged"
            ),
            "{empty}"
        );
        // Formats of the library before, and one that is to come.
        for last in [1, 2, 4, 7, 0x83] {
            let other =
                refused(|db| fs::write(db.join("version"), [b'F', b'J', b'L', last]).unwrap());
            assert!(other.contains("db/version names no format that"), "{last}: {other}");
        }
        let gone = refused(|db| fs::remove_file(db.join("0.jnl")).unwrap());
        assert!(gone.contains("db has no journal"), "{gone}");
        let directory = refused(|db| {
            fs::remove_file(db.join("0.jnl")).unwrap();
            fs::create_dir(db.join("0.jnl")).unwrap();
        });
        assert!(directory.contains("db/0.jnl is no file"), "{directory}");
        let dangling = refused(|db| {
            fs::remove_file(db.join("0.jnl")).unwrap();
            std::os::unix::fs::symlink("nowhere", db.join("0.jnl")).unwrap();
        });
        assert!(dangling.contains("db/0.jnl is not there"), "{dangling}");
        let file = refused(|db| {
            fs::remove_dir_all(db).unwrap();
            fs::write(db, "").unwrap();
        });
        assert!(file.contains("db is no directory"), "{file}");
        let named = refused(|db| fs::write(db.join("x.jnl"), "").unwrap());
        assert!(named.contains("db/x.jnl is no journal's name"), "{named}");
        let gap = refused(|db| fs::copy(db.join("0.jnl"), db.join("2.jnl")).map(drop).unwrap());
        assert!(gap.contains("db/0.jnl lacks a batch"), "{gap}");
    }

    #[test]
    fn manifests_that_are_damaged_are_named() {
        let current = "keyspaces/0/current";
        let empty = refused(|db| fs::write(db.join(current), "").unwrap());
        assert!(empty.contains("db/keyspaces/0/current has a wrong length"), "{empty}");
        let gone = refused(|db| fs::remove_file(db.join(current)).unwrap());
        assert!(gone.contains("db/keyspaces/0/current is not there"), "{gone}");
        let none = refused(|db| fs::remove_dir_all(db.join("keyspaces")).unwrap());
        assert!(none.contains("db/keyspaces/0 is no directory, or not there"), "{none}");
        let other = refused(|db| fs::create_dir(db.join("keyspaces/x")).unwrap());
        assert!(other.contains("db/keyspaces/x is no keyspace"), "{other}");
        let flipped = refused(|db| {
            let mut bytes = fs::read(db.join(current)).unwrap();
            bytes[9] ^= 1;
            fs::write(db.join(current), bytes).unwrap();
        });
        assert!(flipped.contains("`current` beside it do not fit together"), "{flipped}");
    }

    #[test]
    fn what_can_be_made_again_is() {
        let root = tempfile::tempdir().unwrap();
        drop(Database::open(root.path()).unwrap());
        fs::remove_file(root.path().join("db/lock")).unwrap();
        fs::write(root.path().join("owner.json"), b"\xff{").unwrap();
        // A crash left a keyspace half created.
        fs::create_dir_all(root.path().join("db/keyspaces/9/tables")).unwrap();
        drop(Database::open(root.path()).unwrap());
        assert!(!root.path().join("db/keyspaces/9").exists());
        fs::remove_file(root.path().join("owner.json")).unwrap();
        fs::create_dir(root.path().join("owner.json")).unwrap();
        let error = Database::open(root.path()).err().expect("no file").to_string();
        assert!(error.contains("owner.json: "), "{error}");
    }

    #[test]
    fn a_file_is_no_data_directory() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("data");
        fs::write(&file, "mine").unwrap();
        for path in [file.clone(), file.join("below")] {
            let error = Database::open(&path).err().expect("no directory");
            assert!(matches!(error, Error::NoDirectory { .. }), "{error}");
            assert!(matches!(crate::exists(&path), Err(Error::NoDirectory { .. })));
        }
        assert_eq!(fs::read(&file).unwrap(), b"mine");
    }
}
