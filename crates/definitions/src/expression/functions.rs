//! The functions that an expression may call; what is not here does not exist.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use datafusion::functions::{core, datetime, string, unicode};
use datafusion::logical_expr::ScalarUDF;

use super::lookup::MapLookup;
use super::math::{Function, MATH, Math};

static FUNCTIONS: LazyLock<BTreeMap<&'static str, Arc<ScalarUDF>>> = LazyLock::new(|| {
    let mut functions: BTreeMap<&'static str, Arc<ScalarUDF>> = BTreeMap::new();
    for (name, function) in MATH {
        functions.insert(name, Arc::new(ScalarUDF::from(Math::new(name, *function))));
    }
    functions.extend([
        ("btrim", string::btrim()),
        ("character_length", unicode::character_length()),
        ("coalesce", core::coalesce()),
        ("contains", string::contains()),
        ("date_part", datetime::date_part()),
        ("date_trunc", datetime::date_trunc()),
        ("ends_with", string::ends_with()),
        ("greatest", core::greatest()),
        ("ifnull", core::nvl()),
        ("least", core::least()),
        ("left", unicode::left()),
        ("length", unicode::character_length()),
        ("lower", string::lower()),
        ("ltrim", string::ltrim()),
        ("nullif", core::nullif()),
        ("nvl", core::nvl()),
        ("octet_length", string::octet_length()),
        ("replace", string::replace()),
        ("right", unicode::right()),
        ("rtrim", string::rtrim()),
        ("split_part", string::split_part()),
        ("starts_with", string::starts_with()),
        ("strpos", unicode::strpos()),
        ("substr", unicode::substr()),
        ("substring", unicode::substr()),
        ("trim", string::btrim()),
        ("upper", string::upper()),
    ]);
    functions
});

static MAP_LOOKUP: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::from(MapLookup::new())));
static CANONICAL: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::from(Math::new("canonical", Function::Canonical))));

/// The function of this name, if an expression may call it.
#[must_use]
pub fn by_name(name: &str) -> Option<Arc<ScalarUDF>> {
    FUNCTIONS.get(name).cloned()
}

/// Names that SQL may call, sorted.
#[must_use]
pub fn names() -> Vec<&'static str> {
    FUNCTIONS.keys().copied().collect()
}

pub(super) fn map_lookup() -> Arc<ScalarUDF> {
    Arc::clone(&MAP_LOOKUP)
}

pub(super) fn canonical() -> Arc<ScalarUDF> {
    Arc::clone(&CANONICAL)
}

/// Why a function that DataFusion or another database knows is not on the list.
pub(super) fn why_refused(name: &str) -> Option<&'static str> {
    Some(match name {
        "now" | "current_date" | "current_time" | "current_timestamp" | "today" | "localtime"
        | "localtimestamp" => {
            "an expression reads no clock: use a column of the source, or `request.*` in a model"
        }
        "random" | "rand" | "uuid" | "gen_random_uuid" => {
            "an expression must give the same value whenever it is computed"
        }
        "sum" | "count" | "avg" | "mean" | "min" | "max" | "stddev" | "var" | "median"
        | "first_value" | "last_value" | "array_agg" | "row_number" | "rank" | "lag" | "lead" => {
            "an expression sees one row: aggregate with a feature's `aggregate` and `value`"
        }
        "to_timestamp" | "to_date" | "to_char" | "to_local_time" | "from_unixtime" => {
            "time zones and formats are not allowed: declare the column as `timestamp`"
        }
        "log" => "its base is read differently by databases: use ln, log2 or log10",
        _ => return None,
    })
}
