//! `twofold settings`: every setting, with what it means, what it is and who set it.

use runtime::settings::{Loaded, to_toml};
use toml::Value;

use crate::output::Output;
use crate::settings::{SECTIONS, Settings};

pub(super) fn run(output: Output, loaded: &Loaded<Settings>) -> anyhow::Result<()> {
    let listing = loaded.listing(&SECTIONS, is_secret)?;
    output.result(&serde_json::json!({ "settings": &listing }), || to_toml(&listing))
}

/// Whether others must not learn a value: keys, passwords in a URL, and what Kafka logs in with.
fn is_secret(key: &str, value: &Value) -> bool {
    match key {
        "service.cursor_key" | "kafka.properties" => true,
        "log" | "store" => value.as_str().is_some_and(|url| url.contains('@')),
        _ => false,
    }
}
