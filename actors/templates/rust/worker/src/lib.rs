//! Takes texts as jobs, counts their words, keeps and publishes the results.
use nanolattice::http::{Request, Response};
use nanolattice::messaging::Message;
use nanolattice::{blobstore, keyvalue, messaging, Actor, Error, Json, Result};

#[derive(Json)]
struct Accepted {
    id: String,
}

#[derive(Json)]
struct Job {
    id: String,
    words: u32,
}

fn work(job: &Message) -> Result<()> {
    let id = job.subject.trim_start_matches("jobs.");
    let words = job.text().split_whitespace().count().to_string();
    keyvalue::default().set(&format!("words:{id}"), &words)?;
    let results = blobstore::default().container("results");
    results.create()?;
    results.put(id, "text/plain", format!("{words} words").as_bytes())?;
    messaging::default().publish(&format!("done.{id}"), &words)
}

fn begin(request: &Request) -> Result<Response> {
    let id: String = request.parameter("id")?;
    messaging::default().publish(&format!("jobs.{id}"), request.text()?)?;
    Ok(Response::json(202, &Accepted { id }))
}

fn look(request: &Request) -> Result<Response> {
    let id: String = request.parameter("id")?;
    match keyvalue::default().get_json(&format!("words:{id}"))? {
        Some(words) => Ok(Response::json(200, &Job { id, words })),
        None => Err(Error::not_found(format!("no job {id} is done"))),
    }
}

nanolattice::actor!(Actor::new()
    .post("/jobs/{id}", begin)
    .get("/jobs/{id}", look)
    .on_message("jobs.*", work));
