//! The boundary to the host, which is another one for waPC modules, for components, and outside of WebAssembly.
use crate::error::Result;

/// The link of a capability that was not opened under another name.
pub const DEFAULT_LINK: &str = "default";

/// Asks a provider, over a link of that name. `payload` and the reply are messages of the contract, as MessagePack.
pub fn provider(link: &str, contract: &str, operation: &str, payload: &[u8]) -> Result<Vec<u8>> {
    boundary::host_call(link, contract, operation, payload)
}

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub use boundary::serve;
#[cfg(all(target_arch = "wasm32", feature = "component"))]
#[doc(hidden)]
pub use boundary::Outcome;
pub(crate) use boundary::{clock_ns, console};

#[cfg(all(target_arch = "wasm32", not(feature = "component")))]
#[path = "boundary/wapc.rs"]
mod boundary;
#[cfg(all(target_arch = "wasm32", feature = "component"))]
#[path = "boundary/component.rs"]
mod boundary;
#[cfg(not(target_arch = "wasm32"))]
#[path = "boundary/native.rs"]
mod boundary;
