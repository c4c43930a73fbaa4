//! The time of day, from the host's clock. `std::time` has none in this target and panics.
use crate::call;
use crate::error::Result;

/// Milliseconds since 1970.
pub fn now_ms() -> Result<i64> {
    Ok((call::clock_ns()? / 1_000_000) as i64)
}
