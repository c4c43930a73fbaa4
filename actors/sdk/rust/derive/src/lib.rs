//! `#[derive(Json)]`: a struct with named fields as a JSON object, an enum of plain names as a JSON text.
//!
//! Types are not looked at: the code that is made calls `Json` of each field. So a page of token walking is enough, and
//! nothing has to be downloaded.
use proc_macro::{Delimiter, Group, TokenStream, TokenTree};
use std::iter::Peekable;

type Tokens = Peekable<proc_macro::token_stream::IntoIter>;

/// A field or a variant: its name in Rust, its name in JSON, and whether it may be missing.
struct Entry {
    name: String,
    json: String,
    default: bool,
}

/// `#[json(name = "...")]` names a field or a variant otherwise; `#[json(default)]` takes `Default` for a missing field.
#[proc_macro_derive(Json, attributes(json))]
pub fn derive_json(input: TokenStream) -> TokenStream {
    let code = match implementation(input) {
        Ok(code) => code,
        Err(why) => format!("::core::compile_error!({why:?});"),
    };
    code.parse().expect("what is written here is Rust")
}

fn implementation(input: TokenStream) -> Result<String, String> {
    let mut tokens = input.into_iter().peekable();
    let mut kind = String::new();
    let mut name = String::new();
    for token in tokens.by_ref() {
        match token {
            TokenTree::Ident(word) if kind.is_empty() => {
                let word = word.to_string();
                if word == "struct" || word == "enum" {
                    kind = word;
                }
            }
            TokenTree::Ident(word) => {
                name = word.to_string();
                break;
            }
            _ => {}
        }
    }
    match tokens.next() {
        Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace && kind == "struct" => {
            Ok(for_struct(&name, &fields(body)?))
        }
        Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace && kind == "enum" => {
            Ok(for_enum(&name, &variants(body)?))
        }
        _ => Err(format!("Json can be derived for a struct with named fields and no generics, and for an enum of plain names; {name} is neither")),
    }
}

fn fields(body: Group) -> Result<Vec<Entry>, String> {
    let mut tokens = body.stream().into_iter().peekable();
    let mut found = Vec::new();
    while let Some(entry) = entry(&mut tokens)? {
        skip_type(&mut tokens);
        found.push(entry);
    }
    Ok(found)
}

fn variants(body: Group) -> Result<Vec<Entry>, String> {
    let mut tokens = body.stream().into_iter().peekable();
    let mut found = Vec::new();
    while let Some(entry) = entry(&mut tokens)? {
        match tokens.next() {
            None => {}
            Some(TokenTree::Punct(mark)) if mark.as_char() == ',' => {}
            _ => return Err(format!("Json can be derived for enums of plain names; {} holds something", entry.name)),
        }
        found.push(entry);
    }
    Ok(found)
}

/// Attributes, visibility and name of the next field or variant.
fn entry(tokens: &mut Tokens) -> Result<Option<Entry>, String> {
    let (mut renamed, mut default) = (None, false);
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(mark) if mark.as_char() == '#' => {
                if let Some(TokenTree::Group(attribute)) = tokens.next() {
                    read_attribute(attribute, &mut renamed, &mut default)?;
                }
            }
            TokenTree::Ident(word) if word.to_string() == "pub" => {
                if matches!(tokens.peek(), Some(TokenTree::Group(_))) {
                    tokens.next();
                }
            }
            TokenTree::Ident(word) => {
                let name = word.to_string();
                let plain = name.strip_prefix("r#").unwrap_or(&name).to_string();
                return Ok(Some(Entry { json: renamed.unwrap_or(plain), name, default }));
            }
            _ => return Err("Json cannot be derived for this".to_string()),
        }
    }
    Ok(None)
}

fn read_attribute(attribute: Group, renamed: &mut Option<String>, default: &mut bool) -> Result<(), String> {
    let mut tokens = attribute.stream().into_iter();
    match (tokens.next(), tokens.next()) {
        (Some(TokenTree::Ident(word)), Some(TokenTree::Group(inside))) if word.to_string() == "json" => {
            let said = inside.stream().to_string();
            if said.trim() == "default" {
                *default = true;
            } else if let Some(literal) = said.strip_prefix("name").and_then(|rest| rest.trim().strip_prefix('=')) {
                *renamed = Some(literal.trim().trim_matches('"').to_string());
            } else {
                return Err(format!(
                    "#[json({said})] is not known; there are #[json(name = \"...\")] and #[json(default)]"
                ));
            }
            Ok(())
        }
        _ => Ok(()), // another's attribute, or a comment
    }
}

/// Up to the comma that ends the field: not one of those inside `<...>`.
fn skip_type(tokens: &mut Tokens) {
    let mut depth = 0;
    for token in tokens.by_ref() {
        if let TokenTree::Punct(mark) = token {
            match mark.as_char() {
                '<' => depth += 1,
                '>' => depth -= 1,
                ',' if depth == 0 => return,
                _ => {}
            }
        }
    }
}

fn for_struct(name: &str, fields: &[Entry]) -> String {
    let (mut write, mut read) = (String::new(), String::new());
    for field in fields {
        let Entry { name, json, default } = field;
        write += &format!("object.member({json:?}, &self.{name});");
        let function = if *default { "member_or_default" } else { "member" };
        read += &format!("{name}: ::nanolattice::json::{function}(object, {json:?})?,");
    }
    format!(
        "impl ::nanolattice::json::Json for {name} {{
            fn write(&self, out: &mut ::std::string::String) {{
                let mut object = ::nanolattice::json::ObjectWriter::new(out);
                {write}
                object.end();
            }}
            fn read(value: &::nanolattice::json::Value) -> ::core::result::Result<Self, ::nanolattice::json::Mistake> {{
                let object = value.object()?;
                ::core::result::Result::Ok(Self {{ {read} }})
            }}
        }}"
    )
}

fn for_enum(name: &str, variants: &[Entry]) -> String {
    let (mut write, mut read, mut all) = (String::new(), String::new(), Vec::new());
    for Entry { name, json, .. } in variants {
        write += &format!("Self::{name} => {json:?},");
        read += &format!("{json:?} => ::core::result::Result::Ok(Self::{name}),");
        all.push(format!("{json:?}"));
    }
    let wanted = format!("one of {}", all.join(", "));
    format!(
        "impl ::nanolattice::json::Json for {name} {{
            fn write(&self, out: &mut ::std::string::String) {{
                let text: &str = match self {{ {write} }};
                ::nanolattice::json::write_text(out, text);
            }}
            fn read(value: &::nanolattice::json::Value) -> ::core::result::Result<Self, ::nanolattice::json::Mistake> {{
                match value.text()? {{
                    {read}
                    _ => ::core::result::Result::Err(::nanolattice::json::Mistake::expected({wanted:?})),
                }}
            }}
        }}"
    )
}
