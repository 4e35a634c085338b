use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::training_set::tests::Fixture;
use crate::{Sequences, ranker, retriever};

/// A small trained draft with what its definitions would expect.
pub(crate) fn draft(seed: u64) -> (Draft, Expectation) {
    let set = Fixture::new(60).open().unwrap();
    let settings = ranker::Settings { epochs_max: 1, seed, ..ranker::Settings::default() };
    let (ranker, report) = Ranker::fit(&set, &settings, &mut ()).unwrap();
    let row = |shift: i64| (0..5).map(|i| (Arc::from(format!("i{i}")), i + shift)).collect();
    let sequences = Sequences::new(&[row(0), row(10)]);
    let settings = retriever::Settings { dimension: 8, epochs_max: 1, ..Default::default() };
    let (retriever, _) = Retriever::fit(&sequences, &settings, &mut ()).unwrap();
    let draft = Draft::trained(&set, ranker, Some(retriever), report.metrics, seed, 77);
    let expected = Expectation {
        models: vec!["other".to_owned(), set.manifest.model],
        definition_hash: set.manifest.definition_hash,
        inputs: set.manifest.inputs,
        retriever: false,
        half_life_us: Some(settings.half_life_us),
    };
    (draft, expected)
}

fn written() -> (tempfile::TempDir, std::path::PathBuf, Draft, Expectation) {
    let root = tempfile::tempdir().unwrap();
    let (draft, expected) = draft(1);
    let dir = root.path().join("bundle");
    draft.write(&dir).unwrap();
    (root, dir, draft, expected)
}

/// Rewrites the manifest after a change, as one who trains elsewhere would.
fn edit(dir: &Path, change: impl FnOnce(&mut Manifest)) {
    let path = dir.join("manifest.json");
    let mut manifest: Manifest = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut manifest);
    for entry in &mut manifest.files {
        entry.sha256 = crate::digest::sha256(&fs::read(dir.join(&entry.name)).unwrap());
    }
    let bytes = serde_json::to_vec(&manifest).unwrap();
    fs::write(dir.join(SEAL), seal(&crate::digest::sha256(&bytes))).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_is_loaded_computes_what_was_trained() {
    let (_root, dir, draft, expected) = written();
    let bundle = Bundle::load(&dir, &expected).unwrap();
    let rows: Vec<f32> = (0..30).map(|i| (i as f32).cos()).collect();
    assert_eq!(bundle.ranker.score(&rows, 10), draft.ranker.score(&rows, 10));
    let (loaded, trained) = (bundle.retriever.unwrap(), draft.retriever.unwrap());
    assert_eq!(loaded.digest(), trained.digest());
    assert_eq!(loaded.trained_to_us(), trained.trained_to_us());
    assert_eq!(bundle.manifest.created_at_us, 77);
    assert_eq!(bundle.manifest.golden.scores.len(), 16);
    let again = tempfile::tempdir().unwrap();
    let (other, _) = super::tests::draft(1);
    assert_eq!(other.write(&again.path().join("b")).unwrap(), bundle.digest, "repeatable bytes");
}

#[test]
fn a_flipped_bit_anywhere_is_refused() {
    let (root, dir, draft, expected) = written();
    for name in ["ranker.safetensors", "retriever.safetensors", "items.json"] {
        let good = fs::read(dir.join(name)).unwrap();
        for at in [0, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 4;
            fs::write(dir.join(name), &bad).unwrap();
            let error = Bundle::load(&dir, &expected).unwrap_err();
            assert!(matches!(error, Error::Checksum { .. }), "{name} at {at}: {error}");
            assert!(error.to_string().contains(name));
        }
        fs::write(dir.join(name), good).unwrap();
    }
    // The manifest's own checksum is the bundle's name …
    let named = root.path().join(draft.files().0);
    fs::rename(&dir, &named).unwrap();
    Bundle::load(&named, &expected).unwrap();
    let text = fs::read_to_string(named.join("manifest.json")).unwrap();
    let bent = text.replace("\"created_at_us\": 77", "\"created_at_us\": 76");
    assert_ne!(bent, text);
    fs::write(named.join("manifest.json"), bent).unwrap();
    let error = Bundle::load(&named, &expected).unwrap_err();
    assert!(matches!(error, Error::Checksum { .. }), "{error}");
}

#[test]
fn a_flipped_bit_of_the_manifest_is_refused_wherever_the_bundle_lies() {
    // … and lies beside it: what the golden vectors tolerate and what nobody computes with is found as well.
    let (_root, dir, draft, expected) = written();
    for name in ["manifest.json", SEAL] {
        let good = fs::read(dir.join(name)).unwrap();
        for at in (0..good.len()).step_by(7) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            fs::write(dir.join(name), &bad).unwrap();
            let error = Bundle::load(&dir, &expected).unwrap_err();
            assert!(matches!(error, Error::Seal { .. }), "{name} at {at}: {error}");
            assert!(error.to_string().contains("manifest.json"), "{error}");
        }
        fs::write(dir.join(name), good).unwrap();
    }
    assert_eq!(Bundle::load(&dir, &expected).unwrap().digest, draft.files().0);
}

#[test]
fn only_a_directory_named_by_its_digest_may_lack_the_checksum() {
    let (root, dir, draft, expected) = written();
    fs::remove_file(dir.join(SEAL)).unwrap();
    let error = Bundle::load(&dir, &expected).unwrap_err();
    assert!(matches!(&error, Error::Unsealed { path } if path.ends_with(SEAL)), "{error}");
    assert!(error.to_string().contains("sha256sum manifest.json"), "a remedy: {error}");
    // As bundles are in a registry from before it was written.
    let named = root.path().join(draft.files().0);
    fs::rename(&dir, &named).unwrap();
    Bundle::load(&named, &expected).unwrap();
}

#[test]
fn a_missing_file_and_a_truncated_one_are_refused() {
    for name in ["manifest.json", "ranker.safetensors", "retriever.safetensors", "items.json"] {
        let (_root, dir, _, expected) = written();
        fs::remove_file(dir.join(name)).unwrap();
        let error = Bundle::load(&dir, &expected).unwrap_err();
        assert!(matches!(&error, Error::Missing { path } if path.ends_with(name)), "{error}");
    }
    let (_root, dir, _, expected) = written();
    let path = dir.join("ranker.safetensors");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 7]).unwrap();
    assert!(matches!(Bundle::load(&dir, &expected), Err(Error::Checksum { .. })));
    // Even where the manifest was made for the torn file.
    edit(&dir, |_| ());
    let error = Bundle::load(&dir, &expected).unwrap_err();
    let torn = matches!(&error, Error::Tensors { source: tensors::Error::Damaged(_), .. });
    assert!(torn, "{error}");
}

#[test]
fn a_wrong_shape_is_refused_before_any_number_is_read() {
    let (_root, dir, _, expected) = written();
    edit(&dir, |m| m.ranker.shape.hidden = [16, 16]);
    let error = Bundle::load(&dir, &expected).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Tensors { source: tensors::Error::Shape { .. }, .. }), "{text}");
    assert!(text.contains("ranker.safetensors"), "{text}");
    let (_root, dir, _, expected) = written();
    edit(&dir, |m| m.retriever.as_mut().unwrap().dimension = 9);
    let error = Bundle::load(&dir, &expected).unwrap_err();
    assert!(matches!(error, Error::Tensors { .. }), "{error}");
    let (_root, dir, _, expected) = written();
    edit(&dir, |m| m.ranker.normalisation.mean.truncate(2));
    assert!(matches!(Bundle::load(&dir, &expected), Err(Error::Manifest { .. })));
}

#[test]
fn another_definition_and_other_inputs_are_refused_by_name() {
    let (_root, dir, _, expected) = written();
    let other = Expectation { definition_hash: "e".repeat(64), ..expected.clone() };
    let error = Bundle::load(&dir, &other).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Definition { .. }), "{text}");
    assert!(text.contains(&"e".repeat(64)) && text.contains(&"d".repeat(64)), "{text}");
    let inputs = ["a", "c", "noise"].map(str::to_owned).to_vec();
    let error = Bundle::load(&dir, &Expectation { inputs, ..expected }).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Inputs { .. }), "{text}");
    assert!(text.contains("inputs a, b, noise") && text.contains("have a, c, noise"), "{text}");
}

#[test]
fn a_bundle_that_computes_something_else_is_refused() {
    let (_root, dir, _, expected) = written();
    edit(&dir, |m| m.golden.scores[3] += 1e-3);
    let error = Bundle::load(&dir, &expected).unwrap_err();
    assert!(matches!(error, Error::Golden { row: 3, .. }), "{error}");
    let (_root, dir, _, expected) = written();
    edit(&dir, |m| m.ranker.normalisation.scale[0] *= 1.1);
    let error = Bundle::load(&dir, &expected).unwrap_err();
    assert!(matches!(error, Error::Golden { .. }), "{error}");
    let (_root, dir, _, expected) = written();
    edit(&dir, |m| m.golden.inputs.clear());
    assert!(matches!(Bundle::load(&dir, &expected), Err(Error::Manifest { .. })));
}

#[test]
fn a_bundle_without_a_retriever_serves() {
    let root = tempfile::tempdir().unwrap();
    let (mut draft, expected) = draft(1);
    draft.retriever = None;
    draft.metrics = BTreeMap::new();
    let dir = root.path().join("bundle");
    draft.write(&dir).unwrap();
    assert!(Bundle::load(&dir, &expected).unwrap().retriever.is_none());
    assert!(!dir.join("items.json").exists());
    let demanding = Expectation { retriever: true, ..expected };
    let error = Bundle::load(&dir, &demanding).unwrap_err();
    assert!(matches!(error, Error::NoRetriever { .. }), "{error}");
    assert!(error.to_string().contains("`interest`"), "{error}");
}

#[test]
fn a_retriever_for_other_interest_vectors_is_refused() {
    let (_root, dir, _, expected) = written();
    let demanding = Expectation { retriever: true, ..expected.clone() };
    Bundle::load(&dir, &demanding).unwrap();
    let served = expected.half_life_us.unwrap() + 1;
    let other = Expectation { half_life_us: Some(served), ..expected.clone() };
    let error = Bundle::load(&dir, &other).unwrap_err();
    assert!(matches!(error, Error::HalfLife { expected, .. } if expected == served), "{error}");
    // As one who trains elsewhere may have written it: what is served counts.
    edit(&dir, |m| m.retriever.as_mut().unwrap().half_life_us += 1);
    let error = Bundle::load(&dir, &expected).unwrap_err();
    assert!(matches!(error, Error::HalfLife { found, .. } if found == served), "{error}");
}
