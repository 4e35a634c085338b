//! Every setting there is: what it means, what it is now and where that came from.

use std::fmt::Write as _;

use serde::Serialize;
use toml::Value;

use super::{Error, Loaded, Origin, PREFIX, file};

/// A section's name ("" for what stands before all sections) with its fields in order, each with the lines
/// of its documentation, as `documented::Documented` gives them.
pub type Section = (&'static str, &'static [(&'static str, &'static [&'static str])]);

/// One setting.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The key, dotted.
    pub key: String,
    /// What it means, in lines.
    pub doc: String,
    /// What it is if nobody sets it.
    pub default: Value,
    /// What it is now; `None`: it is not to be shown.
    pub value: Option<Value>,
    /// Where that came from.
    pub from: String,
    /// Its variable in the environment.
    pub variable: String,
}

impl<T: Serialize + Default> Loaded<T> {
    /// Lists the settings of `sections` in their order. What is set and `is_secret` (by key and value) is
    /// listed without its value.
    ///
    /// # Errors
    /// Settings that cannot be written as TOML: a mistake in the program.
    pub fn listing(
        &self,
        sections: &[Section],
        is_secret: impl Fn(&str, &Value) -> bool,
    ) -> Result<Vec<Entry>, Error> {
        let build = |error: toml::ser::Error| Error::Build(error.to_string());
        let values = Value::try_from(&self.settings).map_err(build)?;
        let defaults = Value::try_from(T::default()).map_err(build)?;
        let mut entries = Vec::new();
        for (section, fields) in sections {
            for (name, lines) in *fields {
                let key = file::join(section, name);
                if sections.iter().any(|(section, _)| *section == key) {
                    continue;
                }
                let (Some(value), Some(default)) = (get(&values, &key), get(&defaults, &key))
                else {
                    return Err(Error::Build(format!("`{key}` is documented and no setting")));
                };
                let is_shown = value == default || !is_secret(&key, value);
                entries.push(Entry {
                    doc: lines.iter().map(|line| plain(line)).collect::<Vec<_>>().join("\n"),
                    default: default.clone(),
                    value: is_shown.then(|| value.clone()),
                    from: self.origin_of(&key).to_string(),
                    variable: format!("{PREFIX}{}", key.replace('.', "_").to_uppercase()),
                    key,
                });
            }
        }
        Ok(entries)
    }

    /// The origin of a key, or of one below it.
    fn origin_of(&self, key: &str) -> Origin {
        let below = format!("{key}.");
        let mut keys = self.origins.iter();
        let found = keys.find(|(known, _)| *known == key || known.starts_with(&below));
        found.map_or(Origin::Default, |(_, origin)| origin.clone())
    }
}

fn get<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    key.split('.').try_fold(value, |value, name| value.get(name))
}

/// Without the links that only documentation follows.
fn plain(line: &str) -> String {
    line.trim().replace("[`", "`").replace("`]", "`")
}

/// A settings file that sets everything to what it is, with the meanings as comments.
#[must_use]
pub fn to_toml(entries: &[Entry]) -> String {
    let mut text = String::new();
    let mut section = "";
    for entry in entries {
        let (of, name) = entry.key.rsplit_once('.').unwrap_or(("", &entry.key));
        if of != section {
            let _ = write!(text, "\n[{of}]\n");
            section = of;
        }
        for line in entry.doc.lines() {
            let _ = writeln!(text, "# {line}");
        }
        let Entry { default, from, .. } = entry;
        let _ = match &entry.value {
            Some(value) if value == default => writeln!(text, "{name} = {value}"),
            Some(value) => writeln!(text, "# Set by {from}; default: {default}\n{name} = {value}"),
            None => writeln!(text, "# Set by {from} and not shown; default: {default}\n# {name} ="),
        };
    }
    text
}
