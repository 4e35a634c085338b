//! File, environment and flags, laid over the defaults.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Value;

use super::{Error, Invalid, Origin, PREFIX, file, scalar};

/// The layers above the defaults.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    file: Option<(PathBuf, String)>,
    variables: Vec<(String, String)>,
    flags: Vec<(String, String, String)>,
    foreign: Vec<String>,
}

/// Settings, and where each of them came from.
#[derive(Debug, Clone)]
pub struct Loaded<T> {
    /// The settings.
    pub settings: T,
    pub(super) origins: BTreeMap<String, Origin>,
}

impl Layers {
    /// Adds the settings file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read_file(self, path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Ok(self.file(path, text))
    }

    /// Adds the settings file's text; `path` is for messages.
    #[must_use]
    pub fn file(mut self, path: &Path, text: impl Into<String>) -> Self {
        self.file = Some((path.to_owned(), text.into()));
        self
    }

    /// Adds the environment (see [`super::environment`]); only `TWOFOLD_…` is looked at.
    #[must_use]
    pub fn environment(mut self, all: impl IntoIterator<Item = (String, String)>) -> Self {
        self.variables.extend(all.into_iter().filter(|(name, _)| name.starts_with(PREFIX)));
        self
    }

    /// Names variables that begin like ours and are somebody else's (flags that read their own).
    #[must_use]
    pub fn foreign<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.foreign.extend(names.into_iter().map(str::to_owned));
        self
    }

    /// Adds a flag that was given: `flag("--batch", "updater.batch_records", "512")`.
    #[must_use]
    pub fn flag(mut self, flag: &str, key: &str, value: impl ToString) -> Self {
        self.flags.push((flag.to_owned(), key.to_owned(), value.to_string()));
        self
    }

    /// Lays everything over `T`'s default and checks the result.
    ///
    /// # Errors
    /// The first mistake, with the place where it stands and what to write instead.
    pub fn load<T: Serialize + DeserializeOwned + Default>(
        self,
        check: impl FnOnce(&T) -> Result<(), Invalid>,
    ) -> Result<Loaded<T>, Error> {
        let template = Value::try_from(T::default()).map_err(|e| Error::Build(e.to_string()))?;
        let mut merged = Merged::new(template.clone());
        if let Some((path, text)) = &self.file {
            for leaf in file::leaves(path, text)? {
                // A section without a setting says nothing, if there is such a section.
                if leaf.value.is_table() && merged.is_section(&leaf.key) {
                    continue;
                }
                merged.set_value(
                    Origin::File { path: path.clone(), line: leaf.line },
                    &leaf.key,
                    leaf.value,
                )?;
            }
        }
        let variables: BTreeMap<String, String> = merged
            .keys()
            .into_iter()
            .map(|key| (format!("{PREFIX}{}", key.replace('.', "_").to_uppercase()), key))
            .collect();
        for (name, text) in &self.variables {
            match variables.get(name) {
                Some(key) => merged.set_text(Origin::Variable(name.clone()), key, text)?,
                None if self.foreign.contains(name) => {}
                None => {
                    return Err(Error::Unknown {
                        origin: Origin::Variable(name.clone()),
                        key: name.clone(),
                        nearest: nearest(name, variables.keys()),
                    });
                }
            }
        }
        for (flag, key, text) in &self.flags {
            merged.set_text(Origin::Flag(flag.clone()), key, text)?;
        }
        let Merged { value, origins, .. } = merged;
        let settings: T = match value.clone().try_into() {
            Ok(settings) => settings,
            Err(error) => return Err(refused::<T>(&template, &value, &origins, &error)),
        };
        let loaded = Loaded { settings, origins };
        check(&loaded.settings).map_err(|invalid| loaded.refuse(invalid))?;
        Ok(loaded)
    }
}

impl<T> Loaded<T> {
    /// Where a setting came from, by dotted key.
    #[must_use]
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }

    /// What a later check found wrong, with the place it came from.
    #[must_use]
    pub fn refuse(&self, invalid: Invalid) -> Error {
        let Invalid { key, message, remedy } = invalid;
        Error::Invalid { origin: self.origin(&key), key, message, remedy }
    }
}

struct Merged {
    value: Value,
    origins: BTreeMap<String, Origin>,
    /// Tables that are empty by default: whoever sets them names the keys, and the values are text.
    open: Vec<String>,
}

impl Merged {
    fn new(template: Value) -> Self {
        fn walk(prefix: &str, value: &Value, open: &mut Vec<String>) {
            let Value::Table(table) = value else { return };
            if table.is_empty() {
                open.push(prefix.to_owned());
            }
            for (name, value) in table {
                walk(&file::join(prefix, name), value, open);
            }
        }
        let mut open = Vec::new();
        walk("", &template, &mut open);
        Self { value: template, origins: BTreeMap::new(), open }
    }

    /// A place for a key of an open table, made if need be; `None`: the key is of none.
    fn open_slot(&mut self, key: &str) -> Option<&mut Value> {
        let is_in = |open: &&String| key.strip_prefix(*open).is_some_and(|k| k.starts_with('.'));
        let open = self.open.iter().find(is_in)?;
        let name = &key[open.len() + 1..];
        let table = open.split('.').try_fold(&mut self.value, |value, name| value.get_mut(name))?;
        Some(table.as_table_mut()?.entry(name).or_insert_with(|| Value::String(String::new())))
    }

    fn is_section(&self, key: &str) -> bool {
        let found = key.split('.').try_fold(&self.value, |value, name| value.get(name));
        found.is_some_and(Value::is_table)
    }

    fn keys(&self) -> Vec<String> {
        fn walk(prefix: &str, value: &Value, keys: &mut Vec<String>) {
            match value {
                Value::Table(table) => {
                    for (name, value) in table {
                        walk(&file::join(prefix, name), value, keys);
                    }
                }
                _ => keys.push(prefix.to_owned()),
            }
        }
        let mut keys = Vec::new();
        walk("", &self.value, &mut keys);
        keys
    }

    fn slot(&mut self, origin: &Origin, key: &str) -> Result<&mut Value, Error> {
        let keys = self.keys();
        if !keys.iter().any(|known| known == key) {
            return Err(Error::Unknown {
                origin: origin.clone(),
                key: key.to_owned(),
                nearest: nearest(key, keys.iter()),
            });
        }
        let slot = key.split('.').try_fold(&mut self.value, |value, name| value.get_mut(name));
        Ok(slot.expect("a key that was listed leads to a value"))
    }

    fn set_text(&mut self, origin: Origin, key: &str, text: &str) -> Result<(), Error> {
        let slot = self.slot(&origin, key)?;
        match scalar::parse(text, slot) {
            Some(value) => *slot = value,
            None => return Err(mistyped(origin, key, format!("{text:?}"), slot)),
        }
        self.origins.insert(key.to_owned(), origin);
        Ok(())
    }

    fn set_value(&mut self, origin: Origin, key: &str, value: Value) -> Result<(), Error> {
        let is_open = self.open_slot(key).is_some();
        let slot = match is_open {
            true => self.open_slot(key).expect("it was there just now"),
            false => self.slot(&origin, key)?,
        };
        let found = format!("{value} ({})", value.type_str());
        match scalar::fit(value, slot) {
            Some(value) => *slot = value,
            None => return Err(mistyped(origin, key, found, slot)),
        }
        self.origins.insert(key.to_owned(), origin);
        Ok(())
    }
}

/// Which key it was that `T` refused, of right type but with another value than there are: the first that it
/// refuses alone. `error` is what it said of all together.
fn refused<T: DeserializeOwned>(
    template: &Value,
    merged: &Value,
    origins: &BTreeMap<String, Origin>,
    error: &toml::de::Error,
) -> Error {
    let alone = |key: &String| {
        let mut alone = Merged::new(template.clone());
        let value = key.split('.').try_fold(merged, |value, name| value.get(name))?.clone();
        alone.set_value(Origin::Default, key, value).ok()?;
        alone.value.try_into::<T>().err()
    };
    let found = origins.iter().find_map(|(key, origin)| Some((key, origin, alone(key)?)));
    match found {
        Some((key, origin, error)) => Error::Invalid {
            origin: origin.clone(),
            key: key.clone(),
            message: format!("is refused: {}", error.message()),
            remedy: "use one of the values that are expected".to_owned(),
        },
        None => Error::Build(error.to_string()),
    }
}

fn mistyped(origin: Origin, key: &str, found: String, template: &Value) -> Error {
    Error::Type {
        origin,
        key: key.to_owned(),
        found,
        expected: scalar::expected(template),
        example: template.to_string(),
    }
}

fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> Option<String> {
    known
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.clone())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
