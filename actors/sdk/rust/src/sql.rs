//! SQL statements with bound parameters.
use crate::call::{self, DEFAULT_LINK};
use crate::cbor;
use crate::error::{Error, Result};
use crate::json;
use crate::msgpack::{Reader, Writer};

const CONTRACT: &str = "wasmcloud:sqldb";

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Value>>,
}

/// A database, behind one link.
#[derive(Clone, Copy, Debug)]
pub struct Database<'a> {
    link: &'a str,
}

/// The database behind the link "default".
pub fn default() -> Database<'static> {
    open(DEFAULT_LINK)
}

/// The database behind the link of this name.
pub fn open(link: &str) -> Database<'_> {
    Database { link }
}

impl Database<'_> {
    fn ask(&self, operation: &str, statement: &str, parameters: &[Value]) -> Result<Vec<u8>> {
        let message = Writer::new().map(2).field("sql", statement).text("parameters").array(parameters.len());
        let message = parameters.iter().fold(message, |message, value| message.bytes(&cbor::encode(value)));
        call::provider(self.link, CONTRACT, operation, &message.done())
    }

    /// How many rows were inserted, changed or deleted.
    pub fn execute(&self, statement: &str, parameters: &[Value]) -> Result<u64> {
        let reply = self.ask("SqlDb.Execute", statement, parameters)?;
        let (mut affected, mut failure) = (0, None);
        Reader::new(&reply).fields(|name, reader| {
            match name {
                "rowsAffected" => affected = reader.int()? as u64,
                "error" => failure = Some(read_error(reader)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        failure.map_or(Ok(affected), Err)
    }

    pub fn query(&self, statement: &str, parameters: &[Value]) -> Result<Rows> {
        let reply = self.ask("SqlDb.Query", statement, parameters)?;
        let (mut found, mut failure) = (Rows::default(), None);
        Reader::new(&reply).fields(|name, reader| {
            match name {
                "columns" => {
                    for _ in 0..reader.array()? {
                        found.columns.push(read_column(reader)?);
                    }
                }
                "rows" => {
                    let rows = reader.bytes()?;
                    if !rows.is_empty() {
                        found.rows = cbor::rows(rows)?;
                    }
                }
                "error" => failure = Some(read_error(reader)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        failure.map_or(Ok(found), Err)
    }
}

fn read_column(reader: &mut Reader<'_>) -> Result<String> {
    let mut column = String::new();
    reader.fields(|name, reader| {
        if name != "name" {
            return Ok(false);
        }
        column = reader.text()?.to_string();
        Ok(true)
    })?;
    Ok(column)
}

/// `sql`, with the contract's own code in front of what the database says: `db: no such table`.
fn read_error(reader: &mut Reader<'_>) -> Result<Error> {
    let (mut code, mut message) = (String::new(), String::new());
    reader.fields(|name, reader| {
        match name {
            "code" => code = reader.text()?.to_string(),
            "message" => message = reader.text()?.to_string(),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(Error::new("sql", format!("{code}: {message}")))
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_string())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Integer(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value::Float(number)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Value::Bool(yes)
    }
}

impl json::Json for Value {
    /// Bytes are written as a list of numbers.
    fn write(&self, out: &mut String) {
        match self {
            Value::Null => out.push_str("null"),
            Value::Bool(yes) => yes.write(out),
            Value::Integer(number) => number.write(out),
            Value::Float(number) => number.write(out),
            Value::Text(text) => text.write(out),
            Value::Bytes(bytes) => bytes.write(out),
        }
    }

    fn read(value: &json::Value) -> Result<Self, json::Mistake> {
        match value {
            json::Value::Null => Ok(Value::Null),
            json::Value::Bool(yes) => Ok(Value::Bool(*yes)),
            json::Value::Number(number) => match number.parse() {
                Ok(number) => Ok(Value::Integer(number)),
                Err(_) => json::Json::read(value).map(Value::Float),
            },
            json::Value::Text(text) => Ok(Value::Text(text.clone())),
            _ => Err(json::Mistake::expected("a text, a number, true, false or null")),
        }
    }
}
