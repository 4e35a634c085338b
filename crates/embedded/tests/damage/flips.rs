use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use embedded::{Database, Error};

use crate::sample::{self, Contents, Files};

/// What became of a damaged database.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// It opens, with all that was in it.
    Same,
    /// It does not open, and says why.
    Refused(String),
    /// It opens, and what is damaged cannot be read.
    Unreadable(String),
    /// It opens, with something else in it: never.
    Other,
    /// Never.
    Panic,
    /// It was refused, and is not what it was: never.
    Changed(String),
}

impl Outcome {
    fn is_allowed(&self) -> bool {
        matches!(self, Self::Same | Self::Refused(_) | Self::Unreadable(_))
    }
}

fn outcome(files: &Files, expected: &Contents) -> Outcome {
    let root = sample::restored(files);
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let database =
            Database::open(root.path()).map_err(|error| refused(root.path(), files, &error))?;
        let contents = sample::contents(&database);
        contents.map_err(|error| {
            assert!(error.is_damage(), "{error}");
            Outcome::Unreadable(format!("{error}; {:?}", error.damaged_table()))
        })
    }));
    match opened {
        Err(_) => Outcome::Panic,
        Ok(Err(outcome)) => outcome,
        Ok(Ok(contents)) if contents == *expected => Outcome::Same,
        Ok(Ok(_)) => Outcome::Other,
    }
}

fn refused(root: &Path, files: &Files, error: &Error) -> Outcome {
    assert!(error.is_damage(), "{error}");
    let after = sample::read(root);
    // Manifests that another one has taken the place of, the library removes at any opening.
    let is_old = |path: &Path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let current = files.get(&path.with_file_name("current"));
        let current = current.map(|bytes| u64::from_le_bytes(bytes[..8].try_into().unwrap()));
        name.starts_with('v') && current.is_some_and(|current| name != format!("v{current}"))
    };
    let differ = |path: &&PathBuf| after.get(*path) != files.get(*path) && !is_old(path);
    let changed: Vec<_> = files.keys().chain(after.keys()).filter(differ).collect();
    match changed.is_empty() {
        true => Outcome::Refused(error.to_string()),
        false => Outcome::Changed(format!("{error}: {changed:?}")),
    }
}

/// The sample, and what is in it. It opens as it is.
fn sample() -> (Files, Contents) {
    let files = sample::files();
    let root = sample::restored(&files);
    let contents = sample::contents(&Database::open(root.path()).unwrap()).unwrap();
    assert_eq!(contents.len(), 86, "70 records and 16 states");
    assert_eq!(outcome(&files, &contents), Outcome::Same);
    (files, contents)
}

/// A generator for places; the seed is printed.
struct Places(u64);

impl Places {
    fn new() -> Self {
        let seed = u64::from(std::process::id());
        println!("seed {seed}");
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

#[test]
fn a_flipped_bit_is_refused_or_does_no_harm() {
    let (files, expected) = sample();
    let mut places = Places::new();
    let mut refused = 0;
    for round in 0..300 {
        let journals = round % 2 == 0;
        let chosen: Vec<_> = files
            .iter()
            .filter(|(path, bytes)| {
                !bytes.is_empty() && (path.extension().is_some_and(|end| end == "jnl") == journals)
            })
            .collect();
        let (path, bytes) = chosen[places.below(chosen.len())];
        let bit = places.below(bytes.len() * 8);
        let outcome = flipped(&files, path, bit, &expected);
        assert!(outcome.is_allowed(), "{} bit {bit}: {outcome:?}", path.display());
        if let Outcome::Refused(error) | Outcome::Unreadable(error) = &outcome
            && path.parent().is_some_and(|folder| folder.ends_with("tables"))
        {
            assert!(error.contains(path.to_str().unwrap()), "{} {error}", path.display());
        }
        refused += usize::from(outcome != Outcome::Same);
    }
    assert!(refused > 150, "{refused}");
}

fn flipped(files: &Files, path: &Path, bit: usize, expected: &Contents) -> Outcome {
    let mut damaged = files.clone();
    damaged.get_mut(path).unwrap()[bit / 8] ^= 1 << (bit % 8);
    outcome(&damaged, expected)
}

/// Bytes that are gone, or zeros, from the middle of a journal.
#[test]
fn a_hole_in_a_journal_is_refused() {
    let (files, expected) = sample();
    let mut places = Places::new();
    for round in 0..100 {
        let path = Path::new(["db/7.jnl", "db/8.jnl"][round % 2]);
        let written = files[path].len() - 100;
        let from = places.below(written - 1);
        let to = from + 1 + places.below((written - from).min(512));
        let to = to.min(written);
        let mut damaged = files.clone();
        let bytes = damaged.get_mut(path).unwrap();
        // What is cut out of the beginning of the oldest one, exactly between batches, could have been removed
        // with the one before.
        match round % 4 < 2 || from < 13 {
            true => bytes[from..to].fill(0),
            false => drop(bytes.drain(from..to)),
        }
        if damaged == files {
            continue;
        }
        let outcome = outcome(&damaged, &expected);
        let named = match &outcome {
            Outcome::Refused(error) => error.contains(".jnl") && error.contains("at byte"),
            // Zeros where zeros were.
            _ => false,
        };
        assert!(named, "{} {from}..{to}: {outcome:?}", path.display());
    }
}

/// One bit of each byte of each file: minutes.
#[test]
#[ignore = "tries every byte"]
fn every_byte() {
    let (files, expected) = sample();
    let mut places = Places::new();
    let mut wrong = Vec::new();
    for (path, bytes) in &files {
        let mut counts = [0; 4];
        for byte in 0..bytes.len() {
            let bit = byte * 8 + places.below(8);
            let outcome = flipped(&files, path, bit, &expected);
            let kind = match &outcome {
                Outcome::Same => 0,
                Outcome::Refused(_) => 1,
                Outcome::Unreadable(_) => 2,
                _ => 3,
            };
            counts[kind] += 1;
            if !outcome.is_allowed() {
                println!("{} bit {bit}: {outcome:?}", path.display());
                wrong.push((path, bit));
            }
        }
        let [same, refused, unreadable, wrong] = counts;
        println!(
            "{}: {} bytes: same {same}, refused {refused}, unreadable {unreadable}, wrong {wrong}",
            path.display(),
            bytes.len()
        );
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
