//! JSON in and out of typed records, with errors that name the field.
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// Lists and objects inside each other. Deeper ones have no use in a request and cost stack.
const DEPTH_MAX: usize = 64;

/// Any JSON.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    /// As it is written. What reads fractions is 20 KB, which actors without them are spared.
    Number(String),
    Text(String),
    List(Vec<Value>),
    /// In the order of the text. Of a name that is there twice the last counts.
    Object(Vec<(String, Value)>),
}

/// What is wrong and where: `items.2.price`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub at: String,
    pub what: String,
}

/// What can be written as JSON and read from it. `#[derive(Json)]` makes it for structs and enums.
pub trait Json: Sized {
    fn write(&self, out: &mut String);
    fn read(value: &Value) -> Result<Self, Mistake>;

    /// What a member that is not there is read as. Only `Option` has something.
    fn missing() -> Option<Self> {
        None
    }

    /// Whether an object is written without this member. Only `None` is left out.
    fn is_left_out(&self) -> bool {
        false
    }

    fn to_json(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    /// Fails with `invalid` and a message that names the field.
    fn from_json(text: &str) -> Result<Self> {
        Ok(Self::read(&parse(text)?)?)
    }
}

impl Mistake {
    pub fn expected(what: &str) -> Self {
        Self { at: String::new(), what: format!("must be {what}") }
    }

    fn inside(mut self, name: &str) -> Self {
        if !self.at.is_empty() {
            self.at.insert(0, '.');
        }
        self.at.insert_str(0, name);
        self
    }
}

impl From<Mistake> for Error {
    fn from(mistake: Mistake) -> Self {
        let Mistake { at, what } = mistake;
        Error::invalid(if at.is_empty() { format!("the body {what}") } else { format!("{at} {what}") })
    }
}

impl Value {
    pub fn object(&self) -> Result<&[(String, Value)], Mistake> {
        match self {
            Value::Object(members) => Ok(members),
            _ => Err(Mistake::expected("an object")),
        }
    }

    pub fn text(&self) -> Result<&str, Mistake> {
        match self {
            Value::Text(text) => Ok(text),
            _ => Err(Mistake::expected("a text")),
        }
    }

    /// A member of an object, if it is one and has it.
    pub fn get(&self, name: &str) -> Option<&Value> {
        find(self.object().ok()?, name)
    }
}

fn find<'a>(object: &'a [(String, Value)], name: &str) -> Option<&'a Value> {
    object.iter().rev().find(|(found, _)| found == name).map(|(_, value)| value)
}

/// One member of an object. What `#[derive(Json)]` calls.
pub fn member<T: Json>(object: &[(String, Value)], name: &str) -> Result<T, Mistake> {
    match find(object, name) {
        Some(value) => T::read(value).map_err(|mistake| mistake.inside(name)),
        None => T::missing().ok_or_else(|| Mistake { at: name.to_string(), what: "is missing".to_string() }),
    }
}

/// The same for a field with `#[json(default)]`.
pub fn member_or_default<T: Json + Default>(object: &[(String, Value)], name: &str) -> Result<T, Mistake> {
    find(object, name).map_or_else(|| Ok(T::default()), |_| member(object, name))
}

/// Writes the members of an object.
pub struct ObjectWriter<'a> {
    out: &'a mut String,
    separator: char,
}

impl<'a> ObjectWriter<'a> {
    pub fn new(out: &'a mut String) -> Self {
        Self { out, separator: '{' }
    }

    pub fn member<T: Json>(&mut self, name: &str, value: &T) {
        if value.is_left_out() {
            return;
        }
        self.out.push(self.separator);
        self.separator = ',';
        write_text(self.out, name);
        self.out.push(':');
        value.write(self.out);
    }

    pub fn end(self) {
        if self.separator == '{' {
            self.out.push('{');
        }
        self.out.push('}');
    }
}

/// A JSON text with its quotes.
pub fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\x1f' => {
                out.push_str("\\u00");
                for half in [character as u32 >> 4, character as u32 & 15] {
                    out.extend(char::from_digit(half, 16));
                }
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

/// Exactly one JSON value. Fails with `invalid` and the byte at which it is none.
pub fn parse(text: &str) -> Result<Value> {
    let mut parser = Parser { text, at: 0 };
    match parser.value(0) {
        Some(value) if parser.token().is_none() => Ok(value),
        _ => Err(Error::invalid(format!("the body is not JSON, at byte {}", parser.at))),
    }
}

/// Where a value cannot be, `at` stays there and `None` is returned.
struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// What was passed over. Not by an index: the message of a panic about one is 5 KB of code.
    fn since(&self, start: usize) -> Option<&str> {
        self.text.get(start..self.at)
    }

    /// The next byte that is no blank. It is not taken.
    fn token(&mut self) -> Option<u8> {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.peek()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        if self.token()? != byte {
            return None;
        }
        self.at += 1;
        Some(())
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        match self.token()? {
            b'{' if depth < DEPTH_MAX => self.object(depth + 1),
            b'[' if depth < DEPTH_MAX => self.list(depth + 1),
            b'"' => self.string().map(Value::Text),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'n' => self.word("null", Value::Null),
            _ => None,
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Option<Value> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return None;
        }
        self.at += word.len();
        Some(value)
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        let mut members = Vec::new();
        self.expect(b'{')?;
        while self.token()? != b'}' || !members.is_empty() {
            if self.token()? != b'"' {
                return None;
            }
            let name = self.string()?;
            self.expect(b':')?;
            members.push((name, self.value(depth)?));
            if self.token()? == b'}' {
                break;
            }
            self.expect(b',')?;
        }
        self.expect(b'}')?;
        Some(Value::Object(members))
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        let mut items = Vec::new();
        self.expect(b'[')?;
        while self.token()? != b']' || !items.is_empty() {
            items.push(self.value(depth)?);
            if self.token()? == b']' {
                break;
            }
            self.expect(b',')?;
        }
        self.expect(b']')?;
        Some(Value::List(items))
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Option<Value> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let leading_zero = self.peek() == Some(b'0');
        let digits = self.digits();
        if digits == 0 || leading_zero && digits > 1 {
            return None;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return None;
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return None;
            }
        }
        Some(Value::Number(self.since(start)?.to_string()))
    }

    fn string(&mut self) -> Option<String> {
        let mut out = String::new();
        self.at += 1; // the quote
        loop {
            let start = self.at;
            while !matches!(self.peek()?, b'"' | b'\\' | 0..=0x1f) {
                self.at += 1;
            }
            out.push_str(self.since(start)?);
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(out);
                }
                b'\\' => out.push(self.escape()?),
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let kind = *self.text.as_bytes().get(self.at + 1)?;
        let plain = match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return None,
        };
        self.at += 2;
        Some(plain)
    }

    /// `\uXXXX`, or two of them for a character beyond 16 bits. Half of such a pair is refused.
    fn unicode(&mut self) -> Option<char> {
        let first = self.unit()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first);
        }
        if self.peek() != Some(b'\\') {
            return None;
        }
        let second = self.unit()?;
        if !(0xdc00..0xe000).contains(&second) {
            return None;
        }
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
    }

    fn unit(&mut self) -> Option<u32> {
        let digits = self.text.as_bytes().get(self.at + 2..self.at + 6)?;
        if self.text.as_bytes()[self.at + 1] != b'u' {
            return None;
        }
        let unit = digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))?;
        self.at += 6;
        Some(unit)
    }
}

impl Json for Value {
    fn write(&self, out: &mut String) {
        match self {
            Value::Null => out.push_str("null"),
            Value::Bool(yes) => yes.write(out),
            Value::Number(number) => out.push_str(number),
            Value::Text(text) => write_text(out, text),
            Value::List(items) => items.write(out),
            Value::Object(members) => {
                let mut object = ObjectWriter::new(out);
                for (name, value) in members {
                    object.member(name, value);
                }
                object.end();
            }
        }
    }

    fn read(value: &Value) -> Result<Self, Mistake> {
        Ok(value.clone())
    }
}

impl Json for bool {
    fn write(&self, out: &mut String) {
        out.push_str(if *self { "true" } else { "false" });
    }

    fn read(value: &Value) -> Result<Self, Mistake> {
        match value {
            Value::Bool(yes) => Ok(*yes),
            _ => Err(Mistake::expected("true or false")),
        }
    }
}

impl Json for String {
    fn write(&self, out: &mut String) {
        write_text(out, self);
    }

    fn read(value: &Value) -> Result<Self, Mistake> {
        value.text().map(str::to_string)
    }
}

impl Json for f64 {
    /// What has no JSON, as infinity, is written as null.
    fn write(&self, out: &mut String) {
        if self.is_finite() {
            out.push_str(&format!("{self:?}")); // very large and very small ones with an exponent
        } else {
            out.push_str("null");
        }
    }

    fn read(value: &Value) -> Result<Self, Mistake> {
        let number = match value {
            Value::Number(number) => number.parse().ok().filter(|number: &f64| number.is_finite()),
            _ => None,
        };
        number.ok_or_else(|| Mistake::expected("a number"))
    }
}

macro_rules! whole_numbers {
    ($($type:ty),*) => {$(
        impl Json for $type {
            fn write(&self, out: &mut String) {
                out.push_str(&self.to_string());
            }

            fn read(value: &Value) -> Result<Self, Mistake> {
                let number = match value {
                    Value::Number(number) => number.parse().ok(),
                    _ => None,
                };
                number.ok_or_else(|| {
                    Mistake::expected(&format!("a whole number from {} to {}", <$type>::MIN, <$type>::MAX))
                })
            }
        }
    )*};
}
whole_numbers!(i8, i16, i32, i64, u8, u16, u32, u64);

impl<T: Json> Json for Option<T> {
    fn write(&self, out: &mut String) {
        match self {
            Some(value) => value.write(out),
            None => out.push_str("null"),
        }
    }

    fn read(value: &Value) -> Result<Self, Mistake> {
        match value {
            Value::Null => Ok(None),
            _ => T::read(value).map(Some),
        }
    }

    fn missing() -> Option<Self> {
        Some(None)
    }

    fn is_left_out(&self) -> bool {
        self.is_none()
    }
}

impl<T: Json> Json for Vec<T> {
    fn write(&self, out: &mut String) {
        out.push('[');
        for (index, item) in self.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            item.write(out);
        }
        out.push(']');
    }

    fn read(value: &Value) -> Result<Self, Mistake> {
        let items = match value {
            Value::List(items) => items,
            _ => return Err(Mistake::expected("a list")),
        };
        let read = |(index, item)| T::read(item).map_err(|mistake: Mistake| mistake.inside(&format!("{index}")));
        items.iter().enumerate().map(read).collect()
    }
}

impl<T: Json> Json for BTreeMap<String, T> {
    fn write(&self, out: &mut String) {
        let mut object = ObjectWriter::new(out);
        for (name, value) in self {
            object.member(name, value);
        }
        object.end();
    }

    fn read(value: &Value) -> Result<Self, Mistake> {
        let read = |(name, value): &(String, Value)| match T::read(value) {
            Ok(value) => Ok((name.clone(), value)),
            Err(mistake) => Err(mistake.inside(name)),
        };
        value.object()?.iter().map(read).collect()
    }
}
