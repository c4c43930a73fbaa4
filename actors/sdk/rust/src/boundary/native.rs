//! Outside of WebAssembly the other end is whatever a test puts there.
use crate::error::Result;
use crate::testing;

pub fn host_call(binding: &str, namespace: &str, operation: &str, payload: &[u8]) -> Result<Vec<u8>> {
    testing::asked(binding, namespace, operation, payload)
}

pub fn console(text: &str) {
    eprintln!("{text}");
}

pub fn clock_ns() -> Result<u64> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Ok(now.map_or(0, |since| since.as_nanos() as u64))
}

/// What a test calls, for `actor!`.
#[doc(hidden)]
#[macro_export]
macro_rules! nanolattice_export {
    () => {
        /// Gives the actor to a test.
        #[allow(dead_code)]
        pub fn with_actor<R>(run: impl FnOnce(&$crate::Actor) -> R) -> R {
            NANOLATTICE_ACTOR.with(run)
        }
    };
}
