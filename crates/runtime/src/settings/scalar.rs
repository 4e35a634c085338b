//! A value of the text layers, typed after the default it replaces.

use toml::Value;

/// What a setting takes, for a person.
pub(crate) fn expected(template: &Value) -> &'static str {
    match template {
        Value::String(_) => "text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a comma-separated list",
        Value::Table(_) => "a section",
    }
}

/// `text` as a value of the template's type; underscores may group digits.
pub(crate) fn parse(text: &str, template: &Value) -> Option<Value> {
    let digits = || text.replace('_', "");
    match template {
        Value::String(_) => Some(Value::String(text.to_owned())),
        Value::Integer(_) => digits().parse().ok().map(Value::Integer),
        Value::Float(_) => digits().parse().ok().filter(|x: &f64| x.is_finite()).map(Value::Float),
        Value::Boolean(_) => text.parse().ok().map(Value::Boolean),
        Value::Datetime(_) => text.parse().ok().map(Value::Datetime),
        Value::Array(items) => {
            let item = items.first().cloned().unwrap_or_else(|| Value::String(String::new()));
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            parts.map(|part| parse(part, &item)).collect::<Option<Vec<_>>>().map(Value::Array)
        }
        Value::Table(_) => None,
    }
}

/// A file's value as one of the template's type: a whole number will do where a number is expected.
pub(crate) fn fit(value: Value, template: &Value) -> Option<Value> {
    match (value, template) {
        (Value::Integer(whole), Value::Float(_)) => Some(Value::Float(whole as f64)),
        (value, template) if value.same_type(template) => Some(value),
        _ => None,
    }
}
