//! Random numbers, fit for keys and tokens.
use crate::call::{self, DEFAULT_LINK};
use crate::error::Result;
use crate::msgpack::{Reader, Writer};

const CONTRACT: &str = "wasmcloud:builtin:numbergen";

/// Any number of 32 bits.
pub fn number() -> Result<u32> {
    Ok(Reader::new(&call::provider(DEFAULT_LINK, CONTRACT, "NumberGen.Random32", &[])?).int()? as u32)
}

/// Both ends are included.
pub fn between(min: u32, max: u32) -> Result<u32> {
    let message = Writer::new().map(2).text("min").int(i64::from(min)).text("max").int(i64::from(max)).done();
    Ok(Reader::new(&call::provider(DEFAULT_LINK, CONTRACT, "NumberGen.RandomInRange", &message)?).int()? as u32)
}

/// A UUID of version 4, in lower case.
pub fn guid() -> Result<String> {
    let reply = call::provider(DEFAULT_LINK, CONTRACT, "NumberGen.GenerateGuid", &[])?;
    Ok(Reader::new(&reply).text()?.to_string())
}
