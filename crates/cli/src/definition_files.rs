//! Definitions: read from a directory, or the demo shop's, which are built in.

use std::path::{Path, PathBuf};

use anyhow::Context;
use definitions::Definitions;
use definitions::parse::{File, parse};
use runtime::exit::{Code, With};

use crate::settings::DEFINITIONS;

macro_rules! built_in {
    ($($path:literal),+ $(,)?) => {
        const BUILT_IN: &[(&str, &str)] = &[
            $(($path, include_str!(concat!("../../../feature-definitions/", $path)))),+
        ];
    };
}

built_in! {
    "sources/catalog.toml",
    "sources/clickstream.toml",
    "groups/item_attributes.examples.toml",
    "groups/item_attributes.toml",
    "groups/item_popularity.examples.toml",
    "groups/item_popularity.toml",
    "groups/user_activity.examples.toml",
    "groups/user_activity.toml",
    "groups/user_interest.examples.toml",
    "groups/user_interest.toml",
    "models/ranker.toml",
}

/// The definitions of `dir`; of the built-in demo shop if `dir` is the default and is not there.
pub(crate) fn load(dir: &Path) -> anyhow::Result<Definitions> {
    let files = match dir == Path::new(DEFINITIONS) && !dir.exists() {
        true => built_in(),
        false => read(dir).exit(Code::Configuration)?,
    };
    parse(&files).exit(Code::Configuration)
}

/// The demo shop's.
pub(crate) fn built_in() -> Vec<File> {
    BUILT_IN
        .iter()
        .map(|(path, text)| File {
            path: format!("{DEFINITIONS}/{path}"),
            text: (*text).to_owned(),
        })
        .collect()
}

fn read(dir: &Path) -> anyhow::Result<Vec<File>> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder)
            .with_context(|| format!("definitions directory {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                files.push(definition(&path)?);
            } else if path.is_dir() {
                folders.push(path);
            } else if meant(dir, &path) {
                // Told as a mistake, with all others: its features would be missed without a word.
                files.push(File { path: path.display().to_string(), text: String::new() });
            }
        }
    }
    anyhow::ensure!(
        !files.is_empty(),
        "definitions directory {} holds no .toml file: expected sources/, groups/ and models/",
        dir.display()
    );
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Whether a file of another ending lies where only definitions do. Notes (`.md`) and what editors and
/// version control leave (hidden, or with `~` at the end) are nobody's mistake.
fn meant(dir: &Path, path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let below = path.strip_prefix(dir).unwrap_or(path);
    let kind = below.components().next().map(|first| first.as_os_str().to_owned());
    let kinds = ["sources", "groups", "models"];
    kind.is_some_and(|kind| kinds.iter().any(|known| kind == *known))
        && !name.starts_with('.')
        && !name.ends_with('~')
        && !name.ends_with(".md")
}

/// What is called a definition must be one: reading a pipe would wait for ever, and a directory of that
/// name would be passed over.
fn definition(path: &Path) -> anyhow::Result<File> {
    let context = || format!("definition {}", path.display());
    let found = std::fs::metadata(path).with_context(context)?;
    anyhow::ensure!(
        found.is_file(),
        "definition {} is {}: expected a regular file; rename it or move it away",
        path.display(),
        if found.is_dir() { "a directory" } else { "no regular file" }
    );
    let text = std::fs::read_to_string(path).with_context(context)?;
    Ok(File { path: path.display().to_string(), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_ending_among_definitions_is_a_mistake_and_notes_are_not() {
        let root = tempfile::tempdir().unwrap();
        for file in built_in() {
            let path =
                root.path().join(file.path.strip_prefix(DEFINITIONS).unwrap().trim_matches('/'));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file.text).unwrap();
        }
        for passed_over in
            ["notes.txt", "groups/README.md", "groups/more.toml~", "groups/.more.swp"]
        {
            std::fs::write(root.path().join(passed_over), "not TOML").unwrap();
        }
        parse(&read(root.path()).unwrap()).unwrap();
        std::fs::write(root.path().join("groups/more.tml"), "").unwrap();
        let error = parse(&read(root.path()).unwrap()).unwrap_err().to_string();
        assert!(
            error.contains("groups/more.tml:1: not a definition: expected a .toml file"),
            "{error}"
        );
    }

    /// Fails when a demo definition is added and not built in.
    #[test]
    fn what_is_built_in_is_the_directory() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../feature-definitions");
        let on_disk = read(&root).unwrap();
        let mut built_in: Vec<String> = built_in().into_iter().map(|file| file.text).collect();
        let mut texts: Vec<String> = on_disk.into_iter().map(|file| file.text).collect();
        built_in.sort();
        texts.sort();
        assert_eq!(built_in, texts);
    }
}
