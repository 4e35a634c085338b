//! The nearest name to one that does not exist.

/// `write \`x\`` for the candidate nearest to `found`, if one is near enough to be meant.
pub(crate) fn nearest<'a>(
    found: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let found_length = found.chars().count();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(found, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= 1 + found_length.min(candidate.chars().count()) / 3
        })
        .min()
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}
