//! Whether an answer has the context that it was asked for.

use wire::v1;

use super::tables::Snapshot;

/// The surface whose answers are about the context items, and about nothing without them.
const SIMILAR: &str = "similar";

/// What an answer has to do without, as kind and cause: context items that the candidate indexes know, where the
/// request names some or its surface is for them.
pub(super) fn missing(
    request: &v1::RecommendRequest,
    snapshot: &Snapshot,
) -> Option<(&'static str, &'static str)> {
    let named = &request.context_item_ids;
    if named.is_empty() {
        return (request.surface == SIMILAR)
            .then_some(("none", "the surface is `similar`, and there are no context items"));
    }
    let indexes = snapshot.indexes.as_ref();
    let known = |id: &String| indexes.is_some_and(|i| i.catalogue.ordinal(id).is_some());
    (!named.iter().any(known))
        .then_some(("unknown", "the candidate indexes know none of the context items"))
}
