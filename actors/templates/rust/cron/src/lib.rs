//! Counts the ticks of a timer, and says how many there were.
use nanolattice::http::{Request, Response};
use nanolattice::timers::Tick;
use nanolattice::{keyvalue, Actor, Json, Result};

#[derive(Json)]
struct Ticks {
    ticks: i64,
    last: i64,
}

fn tick(tick: &Tick) -> Result<()> {
    keyvalue::default().increment("ticks", 1)?;
    keyvalue::default().set("last", &tick.scheduled_ms.to_string())
}

fn answer(_request: &Request) -> Result<Response> {
    let store = keyvalue::default();
    let ticks = store.get_json("ticks")?.unwrap_or(0);
    let last = store.get_json("last")?.unwrap_or(0);
    Ok(Response::json(200, &Ticks { ticks, last }))
}

nanolattice::actor!(Actor::new().get("/", answer).on_tick(tick));
