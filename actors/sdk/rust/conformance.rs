use nanolattice::http::{Request, Response};
use nanolattice::{keyvalue, Actor, Json, Result};
#[derive(Json)]
struct Person { name: String, age: u8 }
fn add(request: &Request) -> Result<Response> {
    let person: Person = request.json()?;
    keyvalue::default().set_json(&format!("people:{}", person.name), &person)?;
    Ok(Response::json(201, &person))
}
nanolattice::actor!(Actor::new().post("/people", add));
