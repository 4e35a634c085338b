//! `#[derive(Documented)]`: what a struct's fields say in their documentation, as a constant.
//!
//! A crate of its own because the compiler wants derives in one. `twofold settings` prints what it gives,
//! so the list of settings cannot differ from the code: a field without documentation does not compile.
//! It reads tokens and nothing else; for structs with named fields and without generics.

use proc_macro::{Delimiter, Spacing, TokenStream, TokenTree};

/// Gives the struct a constant `FIELDS`: each field's name with the lines of its documentation, in the
/// order of the struct.
#[proc_macro_derive(Documented)]
pub fn documented(input: TokenStream) -> TokenStream {
    let code = match expand(input) {
        Ok(code) => code,
        Err(message) => format!("::core::compile_error!({message:?});"),
    };
    code.parse().expect("what was put together is Rust")
}

fn expand(input: TokenStream) -> Result<String, String> {
    let mut tokens = input.into_iter();
    let mut visibility = String::new();
    let name = loop {
        match tokens.next() {
            Some(TokenTree::Ident(word)) if word.to_string() == "struct" => {
                break tokens.next().map(|name| name.to_string()).unwrap_or_default();
            }
            // Attributes of the struct itself.
            Some(TokenTree::Punct(_)) => drop(tokens.next()),
            Some(token) => visibility.push_str(&token.to_string()),
            None => return Err("Documented: expected a struct".to_owned()),
        }
    };
    match tokens.next() {
        Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace => {
            let fields = fields(body.stream())?;
            Ok(format!(
                "impl {name} {{ \
                     /// Fields in their order, each with the lines of its documentation. \n\
                     {visibility} const FIELDS: &'static [(&'static str, &'static [&'static str])] = \
                     &[{fields}]; \
                 }}"
            ))
        }
        _ => Err(format!("Documented: {name} must have named fields and no generics")),
    }
}

/// `("name", &["a line", …]), …`.
fn fields(body: TokenStream) -> Result<String, String> {
    let mut tokens = body.into_iter();
    let (mut list, mut lines, mut last_word) = (String::new(), Vec::new(), String::new());
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(mark) if mark.as_char() == '#' => {
                if let Some(TokenTree::Group(attribute)) = tokens.next() {
                    lines.extend(doc(attribute.stream()));
                }
            }
            // Not the half of a path's `::`: those stand in types only, which are skipped.
            TokenTree::Punct(mark) if mark.as_char() == ':' && mark.spacing() == Spacing::Alone => {
                if lines.is_empty() {
                    return Err(format!("Documented: the field `{last_word}` says nothing"));
                }
                list.push_str(&format!("({last_word:?}, &[{}]),", lines.join(",")));
                lines.clear();
                skip_type(&mut tokens);
            }
            TokenTree::Ident(word) => last_word = word.to_string(),
            _ => {}
        }
    }
    Ok(list)
}

/// The literal of `doc = "…"`.
fn doc(attribute: TokenStream) -> Option<String> {
    let mut tokens = attribute.into_iter();
    let is_doc = tokens.next().is_some_and(|word| word.to_string() == "doc");
    let literal = tokens.nth(1);
    literal.filter(|_| is_doc).map(|literal| literal.to_string())
}

/// To the comma that ends a field, which is none of a type's own.
fn skip_type(tokens: &mut impl Iterator<Item = TokenTree>) {
    let mut depth = 0_u32;
    for token in tokens {
        let TokenTree::Punct(mark) = token else { continue };
        match mark.as_char() {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => return,
            _ => {}
        }
    }
}
