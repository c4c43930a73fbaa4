//! Actors in Rust. An actor is a list of handlers:
//!
//! ```
//! use nanolattice::http::{Request, Response};
//! use nanolattice::{keyvalue, Actor, Json, Result};
//!
//! #[derive(Json)]
//! struct Person {
//!     name: String,
//!     age: u8,
//! }
//!
//! fn add(request: &Request) -> Result<Response> {
//!     let person: Person = request.json()?;
//!     keyvalue::default().set_json(&format!("people:{}", person.name), &person)?;
//!     Ok(Response::json(201, &person))
//! }
//!
//! nanolattice::actor!(Actor::new().post("/people", add));
//! # fn main() {}
//! ```
//!
//! Nothing may be kept from call to call: keep state in a capability. What a handler lets through with `?` becomes an
//! HTTP answer by its code, or fails the call where it was no HTTP request.
//!
//! Capabilities go over the link "default"; `keyvalue::open("cache")` goes over the link of that name.
pub mod actors;
pub mod blobstore;
pub mod call;
mod cbor;
mod error;
pub mod fetch;
pub mod http;
pub mod json;
pub mod keyvalue;
pub mod log;
pub mod messaging;
pub mod msgpack;
pub mod random;
mod serving;
pub mod sql;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod time;
pub mod timers;

extern crate self as nanolattice; // the derive writes `::nanolattice`, also in this crate's tests

pub use error::{Error, Result};
pub use json::Json;
pub use nanolattice_derive::Json;
pub use serving::{set_panic_hook, Actor};

/// Makes the module's exports of an expression that gives the [`Actor`]. It is evaluated once for each instance.
#[macro_export]
macro_rules! actor {
    ($actor:expr) => {
        ::std::thread_local! {
            static NANOLATTICE_ACTOR: $crate::Actor = {
                $crate::set_panic_hook();
                $actor
            };
        }

        $crate::nanolattice_export!();
    };
}
