//! What a request may ask for: every field has a limit, every refusal names field, limit and remedy.

use definitions::decode::KEY_BYTES_MAX;
use event_log::Topic;
use hashbrown::HashMap;
use wire::v1;

use super::attribute::{Attribute, Attributes};
use super::clip::quoted;
use super::settings::Settings;
use super::status::{Refusal, Violation};

/// What Track takes as a key is what may be asked about.
const ID_BYTES_MAX: usize = KEY_BYTES_MAX;
/// Names: of surfaces, requests, attributes, experiments and arms.
const TEXT_BYTES_MAX: usize = 128;
/// Values of maps: as long as a text that a feature keeps.
const VALUE_BYTES_MAX: usize = definitions::lane::TEXT_BYTES_MAX;
const CONTEXT_ITEMS_MAX: usize = 50;
const EXCLUDED_MAX: usize = 500;
const ENTRIES_MAX: usize = 16;
const POSITIONS_MAX: usize = 64;
const CURSOR_BYTES_MAX: usize = 16 * 1024;
/// Violations that an answer names; trailers are bounded.
const VIOLATIONS_MAX: usize = 8;
/// What an absent `k` means.
const K_DEFAULT: u32 = 20;

/// Collects what is wrong, so that a client learns it at once: the first [`VIOLATIONS_MAX`] by name, of the
/// others how many there are.
#[derive(Default)]
pub(super) struct Violations {
    named: Vec<Violation>,
    more: usize,
}

impl Violations {
    pub(super) fn add(&mut self, field: &str, description: impl Into<String>) {
        if self.named.len() == VIOLATIONS_MAX {
            self.more += 1;
            return;
        }
        self.named.push(Violation { field: field.to_owned(), description: description.into() });
    }

    /// An identifier: what can be a key of the log.
    pub(super) fn id(&mut self, field: &str, id: &str) {
        self.text(field, id, ID_BYTES_MAX);
    }

    /// Identifiers of things that there are: none of them is empty.
    pub(super) fn ids<'a>(&mut self, field: &str, ids: impl IntoIterator<Item = &'a String>) {
        for (place, id) in (1..).zip(ids) {
            if id.is_empty() {
                self.add(field, format!("entry {place} is empty: send an id or leave it out"));
            }
            self.id(field, id);
        }
    }

    fn text(&mut self, field: &str, text: &str, bytes_max: usize) {
        if text.len() > bytes_max {
            self.add(field, format!("{} bytes, the limit is {bytes_max}: shorten it", text.len()));
        }
    }

    fn count(&mut self, field: &str, count: usize, max: usize) {
        if count > max {
            self.add(field, format!("{count} entries, the limit is {max}: send fewer"));
        }
    }

    pub(super) fn into_result(mut self) -> Result<(), Refusal> {
        if self.named.is_empty() {
            return Ok(());
        }
        if self.more > 0 {
            let description = format!("and {} more are wrong: mend these first", self.more);
            self.named.push(Violation { field: "request".to_owned(), description });
        }
        Err(Refusal::Invalid(self.named))
    }
}

/// Checks a request and returns the number of items wanted.
///
/// `attributes` are those of items; `topics` are those whose positions can be
/// waited for.
pub(super) fn recommend(
    request: &v1::RecommendRequest,
    settings: &Settings,
    attributes: &Attributes,
    topics: &HashMap<String, Topic>,
) -> Result<usize, Refusal> {
    if request.as_of_us.is_some() && !settings.evaluation {
        return Err(Refusal::Denied("as_of_us is accepted in evaluations only: remove it"));
    }
    if !request.arm_overrides.is_empty() && !settings.evaluation {
        return Err(Refusal::Denied("arm_overrides are accepted in evaluations only: remove them"));
    }
    let mut wrong = Violations::default();
    if request.visitor_id.is_empty() {
        wrong.add("visitor_id", "is empty: send the shopper's anonymous id");
    }
    wrong.id("visitor_id", &request.visitor_id);
    wrong.id("user_id", &request.user_id);
    wrong.id("session_id", &request.session_id);
    wrong.text("surface", &request.surface, TEXT_BYTES_MAX);
    wrong.text("request_id", &request.request_id, TEXT_BYTES_MAX);
    wrong.text("cursor", &request.cursor, CURSOR_BYTES_MAX);
    wrong.count("context_item_ids", request.context_item_ids.len(), CONTEXT_ITEMS_MAX);
    wrong.count("exclude_item_ids", request.exclude_item_ids.len(), EXCLUDED_MAX);
    wrong.count("context", request.context.len(), ENTRIES_MAX);
    wrong.count("filter", request.filter.len(), ENTRIES_MAX);
    wrong.count("arm_overrides", request.arm_overrides.len(), ENTRIES_MAX);
    let lists = [
        ("context_item_ids", &request.context_item_ids),
        ("exclude_item_ids", &request.exclude_item_ids),
    ];
    for (field, ids) in lists {
        // Of more than there may be, the number is a mistake already.
        wrong.ids(field, ids.iter().take(EXCLUDED_MAX));
    }
    let maps = [
        ("context", &request.context),
        ("filter", &request.filter),
        ("arm_overrides", &request.arm_overrides),
    ];
    for (field, (key, value)) in maps.iter().flat_map(|(f, map)| map.iter().map(move |e| (f, e))) {
        wrong.text(field, key, TEXT_BYTES_MAX);
        wrong.text(field, value, VALUE_BYTES_MAX);
    }
    for (name, value) in &request.filter {
        filter(name, value, attributes.get(name), &mut wrong);
    }
    if request.k > settings.k_max {
        wrong.add("k", format!("{} is above {}: ask for less", request.k, settings.k_max));
    }
    positions(&request.min_positions, topics, &mut wrong);
    wrong.into_result()?;
    let k = if request.k == 0 { K_DEFAULT.min(settings.k_max) } else { request.k };
    Ok(k as usize)
}

/// An attribute that items have, and a value that it may have.
fn filter(name: &str, value: &str, attribute: Option<&Attribute>, wrong: &mut Violations) {
    let Some(attribute) = attribute else {
        wrong.add("filter", format!("{} is no attribute of items: remove it", quoted(name)));
        return;
    };
    if attribute.value(value).is_none() {
        let (expected, found) = (attribute.expected(), quoted(value));
        wrong.add("filter", format!("{}: expected {expected}, found {found}", quoted(name)));
    }
}

/// Positions must name a known topic and the log that is behind it now.
pub(super) fn positions(
    positions: &[v1::Position],
    topics: &HashMap<String, Topic>,
    wrong: &mut Violations,
) {
    let field = "min_positions";
    wrong.count(field, positions.len(), POSITIONS_MAX);
    for position in positions.iter().take(POSITIONS_MAX) {
        let Some(topic) = topics.get(&position.topic) else {
            let topic = quoted(&position.topic);
            wrong.add(field, format!("{topic} is no topic of features: remove it"));
            continue;
        };
        if position.log_id != topic.log.0 {
            wrong.add(field, "the log id is another log's: send what Track answered");
        }
        if position.partition >= topic.partitions {
            wrong.add(field, format!("partition {} does not exist", position.partition));
        }
    }
}

#[cfg(test)]
mod tests {
    use record::LogId;

    use super::*;

    fn check(request: &v1::RecommendRequest) -> Result<usize, Refusal> {
        let topic = Topic { log: LogId([1; 16]), partitions: 4 };
        let topics = [("clickstream".to_owned(), topic)].into_iter().collect();
        let attributes = [("category", Attribute::text()), ("stock", Attribute::int())];
        let attributes = attributes.map(|(name, attribute)| (name.to_owned(), attribute)).into();
        recommend(request, &Settings::default(), &attributes, &topics)
    }

    fn valid() -> v1::RecommendRequest {
        v1::RecommendRequest { visitor_id: "ann".to_owned(), ..Default::default() }
    }

    #[test]
    fn more_violations_than_an_answer_holds_are_counted() {
        let ids = vec!["x".repeat(ID_BYTES_MAX + 1); 100];
        let request = v1::RecommendRequest { exclude_item_ids: ids, ..valid() };
        let Err(Refusal::Invalid(violations)) = check(&request) else { panic!("accepted") };
        assert_eq!(violations.len(), VIOLATIONS_MAX + 1);
        assert!(violations[VIOLATIONS_MAX].description.contains("92 more"), "{violations:?}");
    }

    #[test]
    fn a_visitor_is_enough() {
        assert_eq!(check(&valid()), Ok(20));
        assert_eq!(check(&v1::RecommendRequest { k: 7, ..valid() }), Ok(7));
    }

    #[test]
    fn every_wrong_field_is_named_with_its_limit() {
        let position = |topic: &str, log: u8, partition| v1::Position {
            topic: topic.to_owned(),
            log_id: vec![log; 16],
            partition,
            next: 1,
        };
        let request = v1::RecommendRequest {
            visitor_id: String::new(),
            k: 201,
            surface: "s".repeat(129),
            exclude_item_ids: vec!["x".to_owned(); 501],
            filter: [("colour".to_owned(), "red".to_owned())].into(),
            min_positions: vec![
                position("served", 1, 0),
                position("clickstream", 2, 0),
                position("clickstream", 1, 4),
            ],
            ..Default::default()
        };
        let Err(Refusal::Invalid(violations)) = check(&request) else { panic!("accepted") };
        let fields: Vec<&str> = violations.iter().map(|v| v.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "visitor_id",
                "surface",
                "exclude_item_ids",
                "filter",
                "k",
                "min_positions",
                "min_positions",
                "min_positions"
            ]
        );
        assert!(violations[2].description.contains("500"), "{:?}", violations[2]);
    }

    #[test]
    fn a_filter_asks_for_values_that_the_attribute_may_have() {
        let filter = |value: &str| v1::RecommendRequest {
            filter: [("stock".to_owned(), value.to_owned())].into(),
            ..valid()
        };
        assert_eq!(check(&filter("7")), Ok(20));
        for value in ["abc", "", "7.5"] {
            let Err(Refusal::Invalid(violations)) = check(&filter(value)) else {
                panic!("{value}")
            };
            let said = violations[0].to_string();
            let expected =
                format!("filter: `stock`: expected an int64, such as `42`, found `{value}`");
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn what_only_evaluations_may_do_is_denied() {
        let as_of = v1::RecommendRequest { as_of_us: Some(1), ..valid() };
        assert!(matches!(check(&as_of), Err(Refusal::Denied(_))));
        let arms = [("model".to_owned(), "off".to_owned())].into();
        let arms = v1::RecommendRequest { arm_overrides: arms, ..valid() };
        assert!(matches!(check(&arms), Err(Refusal::Denied(_))));
    }
}
