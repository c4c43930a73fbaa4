//! Other actors, by key or alias.
use crate::call;
use crate::error::{Error, Result};
use crate::json::Json;

/// The other actor takes and gives what it likes.
pub fn call(actor: &str, operation: &str, payload: &[u8]) -> Result<Vec<u8>> {
    call::provider("", actor, operation, payload)
}

/// With JSON both ways.
pub fn call_json<Q: Json, A: Json>(actor: &str, operation: &str, question: &Q) -> Result<A> {
    let answer = call(actor, operation, question.to_json().as_bytes())?;
    let text = std::str::from_utf8(&answer).map_err(|_| Error::malformed("the answer"))?;
    A::from_json(text).map_err(|error| Error::new("malformed_message", error.message))
}
