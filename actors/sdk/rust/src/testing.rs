//! Tests that run natively, by `cargo test`: what the actor asks the host is answered by a function.
//!
//! ```
//! use nanolattice::{keyvalue, msgpack::Writer, testing};
//!
//! let host = |asked: &testing::Asked| match asked.operation.as_str() {
//!     "KeyValue.Increment" => Ok(Writer::new().int(7).done()),
//!     _ => Err(nanolattice::Error::new("not_linked", "only counting here")),
//! };
//! assert_eq!(testing::with_host(host, || keyvalue::default().increment("hits", 1)), Ok(7));
//! ```
use crate::error::{Error, Result};
use std::cell::RefCell;

/// One call to the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The link; empty for a call to an actor.
    pub link: String,
    /// A contract or an actor.
    pub target: String,
    pub operation: String,
    pub payload: Vec<u8>,
}

type Host = Box<dyn FnMut(&Asked) -> Result<Vec<u8>>>;

thread_local! {
    static HOST: RefCell<Option<Host>> = RefCell::new(None);
}

/// Runs something with a host of the test's own.
pub fn with_host<R>(host: impl FnMut(&Asked) -> Result<Vec<u8>> + 'static, run: impl FnOnce() -> R) -> R {
    let before = HOST.with(|cell| cell.replace(Some(Box::new(host))));
    let result = run();
    HOST.with(|cell| cell.replace(before));
    result
}

pub(crate) fn asked(link: &str, target: &str, operation: &str, payload: &[u8]) -> Result<Vec<u8>> {
    let asked = Asked {
        link: link.to_string(),
        target: target.to_string(),
        operation: operation.to_string(),
        payload: payload.to_vec(),
    };
    HOST.with(|cell| match cell.borrow_mut().as_mut() {
        Some(host) => host(&asked),
        None => Err(Error::new("not_linked", format!("{target} was asked for {operation}, and the test has no host"))),
    })
}
