//! What the shop sells.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Settings;

/// A category: its name, its items' nouns, its lowest and highest price in cents.
pub(crate) const CATEGORIES: [(&str, [&str; 5], u32, u32); 8] = [
    (
        "Running",
        ["Trail Shoe", "Road Shoe", "Wind Jacket", "Shorts", "Running Belt"],
        1_900,
        17_900,
    ),
    ("Camping", ["Tent", "Sleeping Bag", "Stove", "Headlamp", "Camp Chair"], 1_500, 39_900),
    ("Cycling", ["Helmet", "Gravel Tyre", "Bib Shorts", "Bike Light", "Saddle"], 1_200, 22_900),
    ("Coffee", ["Hand Grinder", "Pour-over Kettle", "Espresso Cup", "Beans", "Scale"], 900, 24_900),
    (
        "Kitchen",
        ["Chef's Knife", "Cast-iron Pan", "Cutting Board", "Stand Mixer", "Stockpot"],
        1_900,
        44_900,
    ),
    (
        "Audio",
        ["Headphones", "Turntable", "Bookshelf Speaker", "Earbuds", "Soundbar"],
        2_900,
        59_900,
    ),
    ("Garden", ["Secateurs", "Raised Bed", "Watering Can", "Seed Set", "Fire Bowl"], 600, 29_900),
    ("Desk", ["Keyboard", "Monitor Arm", "Desk Lamp", "Notebook", "Office Chair"], 700, 49_900),
];

const BRANDS: [&str; 12] = [
    "Alder", "Brisk", "Corvus", "Dune", "Ember", "Fjord", "Grove", "Haven", "Iris", "Juniper",
    "Kite", "Lumen",
];
const LINES: [&str; 10] =
    ["Classic", "Pro", "Lite", "One", "Mk II", "Studio", "Terra", "Nova", "Summit", "Daily"];

/// One item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) category: &'static str,
    pub(crate) price_cents: u32,
    /// Pieces in stock; one item in twenty-five has none.
    pub(crate) stock: u32,
}

/// All items, category by category, each in the order of its styles.
pub(crate) fn catalogue(settings: &Settings) -> Vec<Item> {
    let mut random = ChaCha8Rng::seed_from_u64(settings.seed);
    let mut items = Vec::with_capacity(CATEGORIES.len() * settings.items_per_category);
    for (number, (category, nouns, low, high)) in (0..).zip(CATEGORIES) {
        for style in 0..settings.items_per_category {
            // Neighbours on the line of styles are the same kind of thing.
            let noun = nouns[style * nouns.len() / settings.items_per_category];
            let brand = BRANDS[(style + number) % BRANDS.len()];
            let line = LINES[(style * 7 + number) % LINES.len()];
            let share: f64 = random.random_range(0.0..1.0);
            let price = f64::from(low) + f64::from(high - low) * share * share;
            items.push(Item {
                id: format!("{}-{style:03}", category.to_lowercase()),
                name: format!("{brand} {line} {noun}"),
                category,
                price_cents: (price as u32).div_ceil(100) * 100 - 1,
                stock: if random.random_bool(0.04) { 0 } else { random.random_range(1..200) },
            });
        }
    }
    items
}
