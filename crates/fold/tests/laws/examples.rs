//! The golden examples beside the demo's definitions hold, and one that is wrong is found.

use definitions::Definitions;
use definitions::parse::{File, parse};
use fold::example::differences;

fn demo(change: impl Fn(&str) -> String) -> Definitions {
    macro_rules! files {
        ($($path:literal),* $(,)?) => {
            vec![$(File {
                path: $path.into(),
                text: change(include_str!(concat!("../../../../feature-definitions/", $path))),
            }),*]
        };
    }
    let files = files![
        "groups/item_attributes.toml",
        "groups/item_attributes.examples.toml",
        "groups/item_popularity.toml",
        "groups/item_popularity.examples.toml",
        "groups/user_activity.toml",
        "groups/user_activity.examples.toml",
        "groups/user_interest.toml",
        "groups/user_interest.examples.toml",
        "sources/catalog.toml",
        "sources/clickstream.toml",
    ];
    parse(&files).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

#[test]
fn the_demos_examples_hold() {
    let definitions = demo(str::to_owned);
    assert!(definitions.examples.len() >= 9);
    for example in &definitions.examples {
        let differences = differences(&definitions, example);
        let place = format!("{}:{}: {}", example.file, example.line, example.name);
        assert!(differences.is_empty(), "{place}\n{}", differences.join("\n"));
    }
}

#[test]
fn an_example_that_is_wrong_is_found() {
    for (from, to) in [
        ("views_30m = 2 #", "views_30m = 3 #"),
        ("spend_30d = 99.98", "spend_30d = 99.99"),
        ("{ hats = 1, shoes = 2 }", "{ shoes = 2 }"),
        ("last_category = \"hats\"", "last_category = \"shoes\""),
        ("tag = \"cart\" }", "tag = \"view\" }"),
        ("stock = 0 #", "stock = 5 #"),
        ("stock = { null = true }", "stock = 0"),
        ("item_id = \"boots\", name = \"Boots\" }", "item_id = \"\", name = \"Boots\" }"),
        // A definition that changed its meaning.
        ("window = \"30m\"", "window = \"1h\""),
        ("half_life = \"6h\"", "half_life = \"7h\""),
    ] {
        let definitions = demo(|text| text.replace(from, to));
        let found: Vec<String> =
            definitions.examples.iter().flat_map(|e| differences(&definitions, e)).collect();
        assert!(!found.is_empty(), "{from} → {to}");
    }
}
