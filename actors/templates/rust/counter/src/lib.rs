//! Counts the requests to each path.
use nanolattice::http::{Request, Response};
use nanolattice::{keyvalue, Actor, Json, Result};

#[derive(Json)]
struct Count {
    count: i32,
}

fn count(request: &Request) -> Result<Response> {
    let count = keyvalue::default().increment(&format!("count:{}", request.path), 1)?;
    Ok(Response::json(200, &Count { count }))
}

nanolattice::actor!(Actor::new().get("/{path...}", count));
