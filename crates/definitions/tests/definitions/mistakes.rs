//! Every mistake names its file and line, what was expected, and what was probably meant.

use definitions::parse::{File, parse};

use crate::support::{changed, demo_files};

/// The mistakes of the demo's files with one text replaced, as a person reads them.
fn mistakes(path: &str, from: &str, to: &str) -> Vec<String> {
    match parse(&changed(path, from, to)) {
        Ok(_) => panic!("{path} with {to:?} was let through"),
        Err(mistakes) => mistakes.0.iter().map(ToString::to_string).collect(),
    }
}

const CLICKS: &str = "sources/clickstream.toml";
const ATTRIBUTES: &str = "groups/item_attributes.toml";
const POPULARITY: &str = "groups/item_popularity.toml";
const ACTIVITY: &str = "groups/user_activity.toml";
const INTEREST: &str = "groups/user_interest.toml";
const RANKER: &str = "models/ranker.toml";

#[test]
fn each_mistake_is_found_where_it_is() {
    for (path, from, to, expected) in [
        // The line is that of the key; the suggestion is the nearest word.
        (
            CLICKS,
            "topic =",
            "topik =",
            "sources/clickstream.toml:4: unknown key `topik` in `source`; expected one of allowed_lateness, earliest, event_id, event_time, format, key, max_future, name, topic (help: did you mean `topic`?)",
        ),
        (
            CLICKS,
            "topic =",
            "topik =",
            "sources/clickstream.toml:2: `source` lacks `topic`; expected a string",
        ),
        (
            CLICKS,
            "topic = \"clickstream\"",
            "topic = \"click stream\"",
            "sources/clickstream.toml:4: `topic` is \"click stream\"; expected 1 to 249 of a-z A-Z 0-9 . _ -",
        ),
        (
            CLICKS,
            "topic = \"clickstream\"",
            "topic = \"catalog\"",
            "sources/clickstream.toml:4: the topic `catalog` is that of source `catalog` (sources/catalog.toml:4) already; expected one of its own",
        ),
        (
            CLICKS,
            "\"json\"",
            "\"avro\"",
            "sources/clickstream.toml:5: unknown format \"avro\"; expected \"json\"",
        ),
        (
            CLICKS,
            "\"10m\"",
            "\"10 minutes\"",
            "sources/clickstream.toml:9: `allowed_lateness` is \"10 minutes\"; expected a duration of at most 36500d with one of the units ms, s, m, h, d, such as \"30m\"",
        ),
        (
            CLICKS,
            "\"10m\"",
            "600",
            "sources/clickstream.toml:9: `allowed_lateness` of `source` is of type integer; expected a string",
        ),
        (
            CLICKS,
            "\"10m\"",
            "\"99999999999999999999d\"",
            "sources/clickstream.toml:9: `allowed_lateness`",
        ),
        (
            CLICKS,
            "2010-01-01T00:00:00Z",
            "2010-01-01",
            "sources/clickstream.toml:11: `earliest` is \"2010-01-01\"; expected a time such as",
        ),
        (
            CLICKS,
            "key = \"visitor_id\"",
            "key = \"visitorid\"",
            "sources/clickstream.toml:6: `key` names no column \"visitorid\"; expected one of event_id, event_time, visitor_id, session_id, kind, item_id, category, price_cents, quantity (help: did you mean `visitor_id`?)",
        ),
        (
            CLICKS,
            "key = \"visitor_id\"",
            "key = \"session_id\"",
            "sources/clickstream.toml:6: `key` must be a required column of type string; `session_id` is optional, of type string",
        ),
        (
            CLICKS,
            "event_time = \"event_time\"",
            "event_time = \"kind\"",
            "sources/clickstream.toml:8: `event_time` must be a required column of type timestamp; `kind` is of type string",
        ),
        (
            CLICKS,
            "item_id = \"string\"",
            "item_id = \"strin\"",
            "sources/clickstream.toml:19: unknown type \"strin\" of the column `item_id`; expected one of string, int64, float64, boolean, timestamp (help: did you mean `string`?)",
        ),
        (
            CLICKS,
            "item_id = \"string\"",
            "item_id = 5",
            "sources/clickstream.toml:19: the column `item_id` has no type",
        ),
        (
            CLICKS,
            "item_id = \"string\"",
            "itemId = \"string\"",
            "sources/clickstream.toml:19: the column \"itemId\" is not a name",
        ),
        (
            CLICKS,
            "quantity = {",
            "quantity = { nullable = true,",
            "sources/clickstream.toml:22: unknown key `nullable` in the column `quantity`; expected one of optional, type",
        ),
        (CLICKS, "[columns]", "[columns", "sources/clickstream.toml:13: not TOML: "),
        (
            CLICKS,
            "name = \"clickstream\"",
            "name = \"Click\"",
            "sources/clickstream.toml:3: name \"Click\" is not a name",
        ),
        (
            ACTIVITY,
            "source = \"clickstream\"",
            "source = \"clickstreams\"",
            "groups/user_activity.toml:6: unknown source \"clickstreams\"; expected one of catalog, clickstream (help: did you mean `clickstream`?)",
        ),
        (
            ACTIVITY,
            "key = \"visitor_id\"",
            "key = \"visitr_id\"",
            "groups/user_activity.toml:5: source `clickstream` has no column \"visitr_id\"",
        ),
        (
            ACTIVITY,
            "key = \"visitor_id\"",
            "key = \"category\"",
            "groups/user_activity.toml:5: `key` must be a required column of type string; `category` of `clickstream` is optional, of type string",
        ),
        (
            ACTIVITY,
            "key = \"visitor_id\"",
            "key = \"item_id\"",
            "groups/user_interest.toml:1: `key` is `visitor_id`, but the group `user_activity` of the same source and entity has `item_id`",
        ),
        (
            ATTRIBUTES,
            "entity = \"item\"",
            "entity = \"itm\"",
            "groups/item_attributes.toml:1: `entity` is `itm`, but its `key`, `item_id`, is that of the entity `item` in the group `item_popularity`; expected `item` (help: did you mean `item`?)",
        ),
        (
            POPULARITY,
            "entity = \"item\"",
            "entity = \"product\"",
            "groups/item_popularity.toml:1: `entity` is `product`, but its `key`, `item_id`, is that of the entity `item` in the group `item_attributes`; expected `item`",
        ),
        (
            ACTIVITY,
            "entity = \"visitor\"",
            "entity = \"items\"",
            "groups/user_activity.toml:1: `entity` is `items`; expected `item`, or another name (help: did you mean `item`?)",
        ),
        (
            ACTIVITY,
            "name = \"user_activity\"",
            "name = \"user_interest\"",
            "groups/user_interest.toml:1: the group `user_interest` is defined in groups/user_activity.toml already",
        ),
        (
            ACTIVITY,
            "name = \"user_activity\"",
            "name = \"request\"",
            "groups/user_activity.toml:3: a group cannot be called `request`",
        ),
        (
            ACTIVITY,
            "ttl = \"90d\"",
            "ttl = \"0d\"",
            "groups/user_activity.toml:7: `ttl` is \"0d\"; expected a duration of at most 36500d, not zero,",
        ),
        (
            ACTIVITY,
            "aggregate = \"sum\"",
            "aggregate = \"summ\"",
            "groups/user_activity.toml:28: unknown aggregate \"summ\"; expected one of count, sum, last, sequence, decayed_sum, interest_vector (help: did you mean `sum`?)",
        ),
        (
            ACTIVITY,
            "aggregate = \"sum\"\n",
            "",
            "groups/user_activity.toml:27: the feature `spend_30d` lacks `aggregate`; expected a string",
        ),
        (
            ACTIVITY,
            "value = \"price_cents * coalesce(quantity, 1) / 100.0\"",
            "value = \"price_sents / 100.0\"",
            "groups/user_activity.toml:29: `value` of `spend_30d`: unknown column `price_sents`; expected one of event_id, event_time, visitor_id, session_id, kind, item_id, category, price_cents, quantity (help: did you mean `price_cents`?)",
        ),
        (
            ACTIVITY,
            "coalesce(quantity, 1)",
            "coalesce(quantity, now())",
            "groups/user_activity.toml:29: `value` of `spend_30d`: the function `now` is not allowed: an expression reads no clock",
        ),
        (
            ACTIVITY,
            "price_cents * coalesce(quantity, 1) / 100.0",
            "category",
            "groups/user_activity.toml:29: `value` of `spend_30d`: `category` is of type Utf8; expected a number",
        ),
        (
            ACTIVITY,
            "kind = 'purchase'",
            "quantity",
            "groups/user_activity.toml:30: `where` of `spend_30d`: `quantity` is of type Int64; expected true or false",
        ),
        (
            ACTIVITY,
            "kind = 'purchase'",
            "kind = 'purchase",
            "groups/user_activity.toml:30: `where` of `spend_30d`: not an SQL expression: Unterminated string literal",
        ),
        (
            ACTIVITY,
            "by = \"category\"",
            "by = \"price_cents\"",
            "groups/user_activity.toml:37: `by` of `views_by_category`: `price_cents` is of type Int64; expected text (write CAST",
        ),
        (
            ACTIVITY,
            "by = \"category\"\n",
            "",
            "groups/user_activity.toml:38: `limit` of a count needs `by`",
        ),
        (
            ACTIVITY,
            "limit = 64",
            "limit = 0",
            "groups/user_activity.toml:39: `limit` is 0; expected an integer from 1 to 4096",
        ),
        (
            ACTIVITY,
            "limit = 64",
            "limit = 1000000",
            "groups/user_activity.toml:39: `limit` is 1000000; expected an integer from 1 to 4096",
        ),
        (
            ACTIVITY,
            "limit = 64\n",
            "",
            "groups/user_activity.toml:35: the feature `views_by_category` lacks `limit`; expected an integer from 1 to 4096",
        ),
        (
            ACTIVITY,
            "scale = 2",
            "scale = 10",
            "groups/user_activity.toml:31: `scale` is 10; expected an integer from 0 to 9",
        ),
        (
            ACTIVITY,
            "scale = 2",
            "scale = 2.0",
            "groups/user_activity.toml:31: `scale` of the feature `spend_30d` is of type float; expected an integer",
        ),
        (
            ACTIVITY,
            "scale = 2",
            "half_life = \"1h\"\nscale = 2",
            "groups/user_activity.toml:31: `half_life` does not belong to the aggregate `sum`; it takes where, value, scale, window, hop, default",
        ),
        (
            ACTIVITY,
            "scale = 2",
            "wher = \"true\"\nscale = 2",
            "groups/user_activity.toml:31: unknown key `wher` in the feature `spend_30d`",
        ),
        (
            ACTIVITY,
            "scale = 2",
            "scale = 2\nscale = 2",
            "groups/user_activity.toml:32: not TOML: duplicate key",
        ),
        (
            ACTIVITY,
            "[features.views_7d]",
            "[features.views_30m]",
            "groups/user_activity.toml:15: not TOML: duplicate key",
        ),
        (
            ACTIVITY,
            "hop = \"1m\"",
            "hop = \"7m\"",
            "groups/user_activity.toml:12: `window` is not a multiple of `hop`",
        ),
        (
            ACTIVITY,
            "hop = \"1m\"",
            "hop = \"1s\"",
            "groups/user_activity.toml:13: `window` has 1800 hops; expected at most 1024",
        ),
        (ACTIVITY, "hop = \"1m\"\n", "", "groups/user_activity.toml:12: `window` needs `hop`"),
        (ACTIVITY, "window = \"30m\"\n", "", "groups/user_activity.toml:12: `hop` needs `window`"),
        (
            ACTIVITY,
            "window = \"30m\"",
            "default = 0.5\nwindow = \"30m\"",
            "groups/user_activity.toml:12: `default` of `views_30m` is 0.5; expected an integer",
        ),
        (
            ACTIVITY,
            "[features.views_30m]",
            "[features.Views]",
            "groups/user_activity.toml:9: the feature \"Views\" is not a name",
        ),
        (
            INTEREST,
            "over = \"recent_items\"",
            "over = \"recent_item\"",
            "groups/user_interest.toml:27: `over` of `interest` is \"recent_item\"; expected a sequence of the same group: recent_items (help: did you mean `recent_items`?)",
        ),
        (
            INTEREST,
            "over = \"recent_items\"",
            "over = \"engagement\"",
            "groups/user_interest.toml:27: `over` of `interest` is \"engagement\"; expected a sequence",
        ),
        (
            INTEREST,
            "over = \"recent_items\"",
            "where = \"true\"\nover = \"recent_items\"",
            "groups/user_interest.toml:27: an interest vector has no `where`",
        ),
        (
            INTEREST,
            "limit = 50",
            "limit = 1001",
            "groups/user_interest.toml:13: `limit` is 1001; expected an integer from 1 to 1000",
        ),
        (
            INTEREST,
            "value = \"category\"",
            "value = \"category\"\ndefault = 1",
            "groups/user_interest.toml:18: `last_category` cannot have a default: only numbers can",
        ),
        (
            RANKER,
            "ln(1 + item_popularity.views_24h)",
            "ln(1 + item_popularty.views_24h)",
            "models/ranker.toml:48: the input `item_views_24h`: unknown column `item_popularty.views_24h`",
        ),
        (
            RANKER,
            "source.covisit.share",
            "source.covisits.share",
            "(help: did you mean `source.covisit.share`?)",
        ),
        (
            RANKER,
            "\"source.covisit.share\"",
            "\"item_attributes.category\"",
            "models/ranker.toml:8: the input `covisit_share`: `item_attributes.category` is of type Utf8; expected a number, or true or false",
        ),
        (
            RANKER,
            "name = \"covisit_rank\"",
            "name = \"covisit_share\"",
            "models/ranker.toml:11: the model has two inputs `covisit_share`",
        ),
        (
            RANKER,
            "\"sessions\", ",
            "\"sessions\", \"sessions\", ",
            "models/ranker.toml:4: `sources` names `sessions` twice",
        ),
        (
            RANKER,
            "\"sessions\", ",
            "7, ",
            "models/ranker.toml:4: `sources` has an element that is not a string",
        ),
        (
            RANKER,
            "[\"covisit\"",
            "[\"covisits\"",
            "models/ranker.toml:4: unknown candidate source \"covisits\"; expected one of covisit, sequential, sessions, interest, trending, recent (help: did you mean `covisit`?)",
        ),
        (
            ACTIVITY,
            "kind = 'purchase'",
            "kind = 5",
            "groups/user_activity.toml:30: `where` of `spend_30d`: `kind = 5` compares text with a number: write '5'",
        ),
        (
            RANKER,
            "\"source.covisit.share\"",
            "\"CASE WHEN item_attributes.category > 5 THEN 1 ELSE 0 END\"",
            "models/ranker.toml:8: the input `covisit_share`: `item_attributes.category > 5` compares text with a number: write '5'",
        ),
    ] {
        let found = mistakes(path, from, to);
        assert!(
            found.iter().any(|mistake| mistake.contains(expected)),
            "{path}: {from:?} → {to:?}\nexpected {expected}\nfound    {}",
            found.join("\n         ")
        );
    }
}

#[test]
fn a_state_that_no_store_would_take_is_refused() {
    let window = "window = \"7d\"\nhop = \"1d\"";
    let large = |limit: u32, hop: &str| {
        let from = format!("limit = 64\n{window}");
        let to = format!("limit = {limit}\nwindow = \"7d\"\nhop = \"{hop}\"");
        parse(&changed(ACTIVITY, &from, &to)).map_err(|mistakes| mistakes.to_string())
    };
    let found = large(4096, "10m").expect_err("1008 tiles of 4096 keys of 256 bytes");
    let [place, rest] = [&found[..found.find(" alone").unwrap()], &found[..]];
    assert_eq!(place, "groups/user_activity.toml:39: `views_by_category`");
    assert!(rest.contains(" may take 1047.4 MiB of a key's state"), "{found}");
    assert!(
        rest.ends_with("expected at most 8.0 MiB in all (help: lower `limit` or raise `hop`)"),
        "{found}"
    );
    assert!(large(4096, "7d").is_ok() && large(64, "1h").is_ok());

    // The sum counts, and the largest feature is named.
    let mut files = changed(INTEREST, "limit = 50", "limit = 1000");
    let interest = files.iter_mut().find(|file| file.path == INTEREST).expect("a demo file");
    for n in 0..10 {
        let more = "aggregate = \"sequence\"\nvalue = \"category\"\ntag = \"kind\"\nlimit = 999";
        interest.text += &format!("\n[features.more_{n}]\n{more}\n");
    }
    let found = parse(&files).expect_err("11 sequences of 0.8 MB").to_string();
    assert!(found.starts_with("groups/user_interest.toml:13: `recent_items` alone"), "{found}");
    assert!(found.ends_with("(help: lower `limit`)"), "{found}");
}

#[test]
fn all_mistakes_of_all_files_come_at_once_and_follow_up_mistakes_do_not() {
    let mut files = changed(CLICKS, "item_id = \"string\"", "item_id = \"strin\"");
    for file in &mut files {
        if file.path == INTEREST {
            file.text = file.text.replace("limit = 50", "limit = 0");
        }
        if file.path == RANKER {
            file.text = file
                .text
                .replace("request", "reqest")
                .replace("source.recent.rank", "source.recent.rnk");
        }
    }
    let found = parse(&files).expect_err("three files are wrong").0;
    let places: Vec<_> = found.iter().map(|m| format!("{}:{}", m.file, m.line)).collect();
    // Nothing is said of groups that cannot be judged, nor of the inputs that name them.
    assert_eq!(
        places,
        ["groups/user_interest.toml:13", "models/ranker.toml:44", "sources/clickstream.toml:19"]
    );
}

/// The inputs that use the source that was meant are not blamed for its name in `sources`.
#[test]
fn an_unknown_candidate_source_is_the_only_mistake() {
    let found = mistakes(RANKER, "[\"covisit\"", "[\"Covisit\"");
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_file_that_is_nothing_known_is_named() {
    let mut files = demo_files();
    files.push(File { path: "gruops/more.toml".into(), text: String::new() });
    files.push(File { path: "groups/notes.md".into(), text: String::new() });
    files.push(File { path: "groups/empty.toml".into(), text: String::new() });
    let found = parse(&files).expect_err("three files are wrong").to_string();
    assert!(found.contains("gruops/more.toml:1: not a definition: expected"), "{found}");
    assert!(found.contains("groups/notes.md:1: not a definition: expected"), "{found}");
    assert!(
        found.contains("groups/empty.toml:1: a group file lacks `group`; expected a table"),
        "{found}"
    );
}

#[test]
fn examples_are_checked_against_their_group() {
    let good = r#"
group = "user_activity"
[[examples]]
name = "one view"
key = "v"
as_of = "2026-01-01T00:00:00Z"
events = [{ event_id = "e", event_time = "2026-01-01T00:00:00Z", visitor_id = "v", kind = "view", item_id = "i" }]
expect = { views_30m = 1 }
"#;
    let with = |from: &str, to: &str| {
        let mut files = demo_files();
        let path = "groups/user_activity.examples.toml".to_owned();
        files.push(File { path, text: good.replace(from, to) });
        parse(&files)
    };
    assert_eq!(with("", "").expect("a good example").examples.len(), 1);
    for (from, to, expected) in [
        ("user_activity", "user_activty", "examples.toml:2: unknown group \"user_activty\""),
        ("views_30m", "views_3m", "examples.toml:8: `user_activity` has no feature `views_3m`"),
        ("as_of", "asof", "examples.toml:3: `examples` lacks `as_of`"),
        ("as_of", "asof", "examples.toml:6: unknown key `asof`"),
        (
            "event_time = \"2026-01-01T00:00:00Z\", ",
            "",
            "examples.toml:7: an event needs `append_time`",
        ),
        (
            "{ views_30m = 1 }",
            "{ views_30m = 2026-01-01 }",
            "examples.toml:8: `views_30m` is not a value",
        ),
        ("expect = { views_30m = 1 }", "", "examples.toml:3: `examples` lacks `expect`"),
        (
            "kind = ",
            "knd = ",
            "examples.toml:7: source `clickstream` has no column `knd`; expected",
        ),
    ] {
        let found = with(from, to).expect_err(to).to_string();
        assert!(found.contains(expected), "{from:?} → {to:?}: {found}");
    }
}
