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
