//! Calls at set times. [`Actor::on_timer`](crate::Actor::on_timer) and `on_tick` take them; a link of the timers says
//! when.
use crate::error::Result;
use crate::msgpack::Reader;

pub(crate) const OPERATION: &str = "Cron.HandleTick";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tick {
    /// The name of the link.
    pub timer: String,
    /// When the tick was due and when it was sent, in milliseconds since 1970.
    pub scheduled_ms: i64,
    pub now_ms: i64,
    /// Ticks before this one that were due and not sent.
    pub missed: i64,
}

impl Tick {
    pub(crate) fn decode(payload: &[u8]) -> Result<Self> {
        let mut tick = Self::default();
        Reader::new(payload).fields(|name, reader| {
            match name {
                "timer" => tick.timer = reader.text()?.to_string(),
                "scheduledMs" => tick.scheduled_ms = reader.int()?,
                "nowMs" => tick.now_ms = reader.int()?,
                "missed" => tick.missed = reader.int()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(tick)
    }
}
