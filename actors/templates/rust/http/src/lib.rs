//! Takes people as JSON, checks and keeps them.
use nanolattice::http::{Request, Response};
use nanolattice::{keyvalue, Actor, Error, Json, Result};

#[derive(Json)]
struct About {
    actor: String,
}

#[derive(Json)]
struct Person {
    name: String,
    age: u32,
}

fn about(_request: &Request) -> Result<Response> {
    Ok(Response::json(
        200,
        &About {
            actor: "{{name}}".to_string(),
        },
    ))
}

fn add(request: &Request) -> Result<Response> {
    let person: Person = request.json()?;
    keyvalue::default().set_json(&format!("people:{}", person.name), &person)?;
    Ok(Response::json(201, &person))
}

fn find(request: &Request) -> Result<Response> {
    let name: String = request.parameter("name")?;
    match keyvalue::default().get_json::<Person>(&format!("people:{name}"))? {
        Some(person) => Ok(Response::json(200, &person)),
        None => Err(Error::not_found(format!("{name} is not known"))),
    }
}

nanolattice::actor!(Actor::new()
    .get("/", about)
    .post("/people", add)
    .get("/people/{name}", find));
