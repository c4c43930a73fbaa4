//! Values, counters, lists and sets under keys.
use crate::call::{self, DEFAULT_LINK};
use crate::error::{Error, Result};
use crate::json::Json;
use crate::msgpack::{Reader, Writer};

const CONTRACT: &str = "wasmcloud:keyvalue";

/// A store, behind one link.
#[derive(Clone, Copy, Debug)]
pub struct Store<'a> {
    link: &'a str,
}

/// The store behind the link "default".
pub fn default() -> Store<'static> {
    open(DEFAULT_LINK)
}

/// The store behind the link of this name.
pub fn open(link: &str) -> Store<'_> {
    Store { link }
}

impl Store<'_> {
    fn ask(&self, operation: &str, payload: Writer) -> Result<Vec<u8>> {
        call::provider(self.link, CONTRACT, operation, &payload.done())
    }

    fn ask_text(&self, operation: &str, text: &str) -> Result<Vec<u8>> {
        self.ask(operation, Writer::new().text(text))
    }

    /// A value in a list or set: `field` is what the contract calls the name of it.
    fn ask_value(&self, operation: &str, field: &str, name: &str, value: &str) -> Result<Vec<u8>> {
        self.ask(operation, Writer::new().map(2).field(field, name).field("value", value))
    }

    fn ask_texts(&self, operation: &str, texts: &[&str]) -> Result<Vec<String>> {
        let list = texts.iter().fold(Writer::new().array(texts.len()), |list, text| list.text(text));
        Reader::new(&self.ask(operation, list)?).texts()
    }

    pub fn get(&self, key: &str) -> Result<Option<String>> {
        let reply = self.ask_text("KeyValue.Get", key)?;
        let (mut value, mut exists) = (String::new(), false);
        Reader::new(&reply).fields(|name, reader| {
            match name {
                "value" => value = reader.text()?.to_string(),
                "exists" => exists = reader.bool()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(if exists { Some(value) } else { None })
    }

    pub fn set(&self, key: &str, value: &str) -> Result<()> {
        self.set_for(key, value, 0)
    }

    /// Gone after this many seconds; 0 means never.
    pub fn set_for(&self, key: &str, value: &str, seconds: u32) -> Result<()> {
        let message = Writer::new().map(3).field("key", key).field("value", value);
        self.ask("KeyValue.Set", message.text("expires").int(i64::from(seconds))).map(drop)
    }

    /// A record that was stored as JSON. One that is there and cannot be read is `malformed_message`, not `invalid`:
    /// whoever asks now did nothing wrong.
    pub fn get_json<T: Json>(&self, key: &str) -> Result<Option<T>> {
        match self.get(key)? {
            None => Ok(None),
            Some(text) => T::from_json(&text).map(Some).map_err(|error| {
                Error::new("malformed_message", format!("what is stored under {key}: {}", error.message))
            }),
        }
    }

    pub fn set_json<T: Json>(&self, key: &str, value: &T) -> Result<()> {
        self.set(key, &value.to_json())
    }

    /// Whether it was there.
    pub fn delete(&self, key: &str) -> Result<bool> {
        Reader::new(&self.ask_text("KeyValue.Del", key)?).bool()
    }

    pub fn contains(&self, key: &str) -> Result<bool> {
        Reader::new(&self.ask_text("KeyValue.Contains", key)?).bool()
    }

    /// Atomic; the new value. A key that is not there counts from 0.
    pub fn increment(&self, key: &str, by: i32) -> Result<i32> {
        let message = Writer::new().map(2).field("key", key).text("value").int(i64::from(by));
        Ok(Reader::new(&self.ask("KeyValue.Increment", message)?).int()? as i32)
    }

    /// At the end; the new length.
    pub fn list_add(&self, list: &str, value: &str) -> Result<u32> {
        Ok(Reader::new(&self.ask_value("KeyValue.ListAdd", "listName", list, value)?).int()? as u32)
    }

    /// Whether it was there.
    pub fn list_remove(&self, list: &str, value: &str) -> Result<bool> {
        Reader::new(&self.ask_value("KeyValue.ListDel", "listName", list, value)?).bool()
    }

    /// Both ends are included; -1 is the last.
    pub fn list_range(&self, list: &str, start: i32, stop: i32) -> Result<Vec<String>> {
        let message = Writer::new().map(3).field("listName", list).text("start").int(i64::from(start));
        Reader::new(&self.ask("KeyValue.ListRange", message.text("stop").int(i64::from(stop)))?).texts()
    }

    pub fn list_clear(&self, list: &str) -> Result<bool> {
        Reader::new(&self.ask_text("KeyValue.ListClear", list)?).bool()
    }

    /// False when it was there already.
    pub fn set_add(&self, set: &str, value: &str) -> Result<bool> {
        Ok(Reader::new(&self.ask_value("KeyValue.SetAdd", "setName", set, value)?).int()? > 0)
    }

    /// Whether it was there.
    pub fn set_remove(&self, set: &str, value: &str) -> Result<bool> {
        Ok(Reader::new(&self.ask_value("KeyValue.SetDel", "setName", set, value)?).int()? > 0)
    }

    pub fn set_members(&self, set: &str) -> Result<Vec<String>> {
        Reader::new(&self.ask_text("KeyValue.SetQuery", set)?).texts()
    }

    pub fn set_union(&self, sets: &[&str]) -> Result<Vec<String>> {
        self.ask_texts("KeyValue.SetUnion", sets)
    }

    pub fn set_intersection(&self, sets: &[&str]) -> Result<Vec<String>> {
        self.ask_texts("KeyValue.SetIntersection", sets)
    }

    pub fn set_clear(&self, set: &str) -> Result<bool> {
        Reader::new(&self.ask_text("KeyValue.SetClear", set)?).bool()
    }
}
