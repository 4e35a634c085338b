use serde::{Deserialize, Serialize};

use super::super::{Section, to_toml};
use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Settings {
    data: String,
    format: Format,
    updater: Updater,
    properties: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Human,
    Json,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Updater {
    batch_records: u32,
    share: f64,
    eager: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let (format, updater, properties) = Default::default();
        Self { data: "./twofold-data".to_owned(), format, updater, properties }
    }
}

impl Default for Updater {
    fn default() -> Self {
        Self { batch_records: 4096, share: 0.5, eager: false }
    }
}

const FILE: &str = "# ours\ndata = \"/srv\"\n\n[updater]\nbatch_records = 100\nshare = 1\n";

fn layers() -> Layers {
    Layers::default().file(Path::new("twofold.toml"), FILE)
}

fn variables(name: &str, value: &str) -> [(String, String); 2] {
    [(name.to_owned(), value.to_owned()), ("PATH".to_owned(), "/bin".to_owned())]
}

fn load(layers: Layers) -> Result<Loaded<Settings>, String> {
    layers
        .load(|settings: &Settings| match settings.updater.batch_records {
            0 => Err(Invalid::new("updater.batch_records", "is 0", "give at least 1")),
            _ => Ok(()),
        })
        .map_err(|error| error.to_string())
}

#[test]
fn flags_beat_the_environment_which_beats_the_file() {
    let all = layers().environment(variables("TWOFOLD_UPDATER_BATCH_RECORDS", "1_200")).flag(
        "--eager",
        "updater.eager",
        true,
    );
    let loaded = load(all.clone()).unwrap();
    assert_eq!(loaded.settings.data, "/srv");
    assert_eq!(loaded.settings.updater, Updater { batch_records: 1200, share: 1.0, eager: true });
    assert_eq!(loaded.origin("updater.share").to_string(), "twofold.toml:6");
    let loaded = load(all.flag("--batch", "updater.batch_records", 7)).unwrap();
    assert_eq!(loaded.settings.updater.batch_records, 7);
    assert_eq!(load(Layers::default()).unwrap().settings, Settings::default());
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest() {
    let text = "[updater]\neager = true\nbatch_record = 3\n";
    let error = load(Layers::default().file(Path::new("a.toml"), text)).unwrap_err();
    assert_eq!(
        error,
        "a.toml:3: there is no setting `updater.batch_record` (help: did you mean `updater.batch_records`?)"
    );
    let error = load(layers().environment(variables("TWOFOLD_UPDATER_BATCHRECORDS", "3")));
    assert!(error.clone().unwrap_err().contains("TWOFOLD_UPDATER_BATCH_RECORDS"), "{error:?}");
    let foreign = layers().foreign(["TWOFOLD_UPDATER_BATCHRECORDS"]);
    load(foreign.environment(variables("TWOFOLD_UPDATER_BATCHRECORDS", "3"))).unwrap();
}

#[test]
fn a_wrong_type_says_what_was_expected_and_where() {
    let error = load(layers().flag("--batch", "updater.batch_records", "many")).unwrap_err();
    assert!(error.starts_with("flag --batch: `updater.batch_records` is \"many\""), "{error}");
    assert!(error.contains("expected a whole number"), "{error}");
    let text = "data = 3\n";
    let error = load(Layers::default().file(Path::new("a.toml"), text)).unwrap_err();
    assert!(error.starts_with("a.toml:1: `data` is 3 (integer), expected text"), "{error}");
}

#[test]
fn a_value_that_cannot_be_used_names_its_origin_and_the_remedy() {
    let error = load(layers().environment(variables("TWOFOLD_UPDATER_BATCH_RECORDS", "0")));
    assert_eq!(
        error.unwrap_err(),
        "environment variable TWOFOLD_UPDATER_BATCH_RECORDS: `updater.batch_records` is 0 (help: give at least 1)"
    );
}

#[test]
fn a_value_that_is_none_of_the_names_there_are_is_named_with_its_key() {
    let text = "format = \"loud\"\nupdater.eager = true\n";
    let error = load(Layers::default().file(Path::new("a.toml"), text)).unwrap_err();
    assert!(error.starts_with("a.toml:1: `format` is refused: unknown variant `loud`"), "{error}");
    let error = load(layers().environment(variables("TWOFOLD_UPDATER_BATCH_RECORDS", "-1")));
    let error = error.unwrap_err();
    let at =
        "environment variable TWOFOLD_UPDATER_BATCH_RECORDS: `updater.batch_records` is refused";
    assert!(error.starts_with(at), "{error}");
    assert_eq!(load(layers().flag("-f", "format", "json")).unwrap().settings.format, Format::Json);
}

#[test]
fn broken_toml_is_named_with_its_line() {
    let error = load(Layers::default().file(Path::new("a.toml"), "data = \"x\"\n[updater\n"));
    assert!(error.clone().unwrap_err().starts_with("a.toml:2: "), "{error:?}");
    let error = Layers::default().read_file(Path::new("/nowhere/a.toml")).unwrap_err().to_string();
    assert!(error.contains("/nowhere/a.toml") && error.contains("existing file"), "{error}");
    let root = tempfile::tempdir().unwrap();
    let error = Layers::default().read_file(root.path()).unwrap_err().to_string();
    assert!(error.contains("name a file with --config"), "{error}");
    let latin = root.path().join("latin.toml");
    std::fs::write(&latin, b"data = \"caf\xe9\"").unwrap();
    let error = Layers::default().read_file(&latin).unwrap_err().to_string();
    assert!(error.contains("UTF-8"), "{error}");
}

#[test]
fn a_table_that_is_empty_by_default_takes_any_key() {
    let text = "[properties]\n\"security.protocol\" = \"SSL\"\nssl.ca.location = \"/ca\"\n";
    let loaded = load(Layers::default().file(Path::new("a.toml"), text)).unwrap();
    let expected = [("security.protocol", "SSL"), ("ssl.ca.location", "/ca")];
    let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(loaded.settings.properties, BTreeMap::from(expected));
    let text = "[properties]\nretries = 3\n";
    let error = load(Layers::default().file(Path::new("a.toml"), text)).unwrap_err();
    assert!(
        error.starts_with("a.toml:2: `properties.retries` is 3 (integer), expected text"),
        "{error}"
    );
}

#[test]
fn a_section_that_there_is_not_is_named_though_it_is_empty() {
    let error = load(Layers::default().file(Path::new("a.toml"), "data = \"x\"\n[updatr]\n"));
    let error = error.unwrap_err();
    assert!(error.starts_with("a.toml:2: there is no setting `updatr`"), "{error}");
    for text in ["[updater]\n", "[properties]\n", "updater = {}\n"] {
        assert!(load(Layers::default().file(Path::new("a.toml"), text)).is_ok(), "{text}");
    }
}

const SECTIONS: [Section; 2] = [
    ("", &[("data", &[" Where it", " lies."]), ("updater", &["-"]), ("properties", &[" More."])]),
    ("updater", &[("batch_records", &[" Rows."]), ("share", &[" Part."]), ("eager", &[" Soon."])]),
];

#[test]
fn a_listing_is_a_file_that_changes_nothing() {
    let loaded = load(layers()).unwrap();
    let listing = loaded.listing(&SECTIONS, |_, _| false).unwrap();
    let text = to_toml(&listing);
    assert_eq!(
        text,
        "# Where it\n# lies.\n# Set by twofold.toml:2; default: \"./twofold-data\"\ndata = \"/srv\"\n\
         # More.\nproperties = {}\n\n[updater]\n# Rows.\n\
         # Set by twofold.toml:5; default: 4096\nbatch_records = 100\n\
         # Part.\n# Set by twofold.toml:6; default: 0.5\nshare = 1.0\n# Soon.\neager = false\n"
    );
    let again = load(Layers::default().file(Path::new("again.toml"), text)).unwrap();
    assert_eq!(again.settings, loaded.settings);
    assert_eq!(listing[2].variable, "TWOFOLD_UPDATER_BATCH_RECORDS");
}

#[test]
fn a_secret_that_is_set_is_not_listed() {
    let loaded = load(layers()).unwrap();
    let listing = loaded.listing(&SECTIONS, |key, _| key == "data").unwrap();
    assert_eq!(listing[0].value, None);
    let text = to_toml(&listing);
    assert!(!text.contains("/srv") && text.contains("Set by twofold.toml:2"), "{text}");
    let unset = load(Layers::default()).unwrap();
    assert!(unset.listing(&SECTIONS, |_, _| true).unwrap()[0].value.is_some(), "a default is none");
}
