//! What every SDK can do, for tests/sdk/test_conformance.py. actors/sdk/README.md says what each route does.
use nanolattice::http::{Request, Response};
use nanolattice::json::Value;
use nanolattice::keyvalue::Store;
use nanolattice::messaging::Message;
use nanolattice::timers::Tick;
use nanolattice::{actors, blobstore, fetch, keyvalue, log, messaging, random, sql, time, Actor, Error, Json, Result};

// ---- requests, records

#[derive(Json)]
struct Greeting {
    hello: String,
}

fn hello(request: &Request) -> Result<Response> {
    let hello = request.query("name")?.unwrap_or_else(|| "world".to_string());
    Ok(Response::json(200, &Greeting { hello }))
}

fn echo(request: &Request) -> Result<Response> {
    let said = request.header("x-echo").unwrap_or_default();
    Ok(Response::new(202, "text/plain; charset=utf-8", request.body.clone()).header("x-echo", said))
}

#[derive(Json)]
struct Person {
    name: String,
    age: u32,
}

fn add_person(request: &Request) -> Result<Response> {
    let person: Person = request.json()?;
    keyvalue::default().set_json(&format!("people:{}", person.name), &person)?;
    Ok(Response::json(201, &person))
}

fn get_person(request: &Request) -> Result<Response> {
    let name: String = request.parameter("name")?;
    match keyvalue::default().get_json::<Person>(&format!("people:{name}"))? {
        Some(person) => Ok(Response::json(200, &person)),
        None => Err(Error::not_found("there is no such person")),
    }
}

#[derive(Json)]
struct Everything {
    text: String,
    whole: i64,
    number: f64,
    truth: bool,
    list: Vec<String>,
    maybe: Option<String>,
    any: Option<Value>,
}

fn everything(request: &Request) -> Result<Response> {
    Ok(Response::json(200, &request.json::<Everything>()?))
}

fn fail(request: &Request) -> Result<Response> {
    let code: String = request.query("code")?.unwrap_or_default();
    Err(Error::new(code, "as you wish"))
}

// ---- key-value

#[derive(Json)]
struct KeyValue {
    key: String,
    value: Option<String>,
    by: Option<i32>,
}

impl KeyValue {
    fn value(&self) -> Result<&str> {
        self.value.as_deref().ok_or_else(|| Error::invalid("value is missing"))
    }
}

fn value(value: impl Json) -> Value {
    object("value", value)
}

/// An object with one member, which is null where an optional value is not there.
fn object(name: &str, value: impl Json) -> Value {
    Value::Object(vec![(name.to_string(), nanolattice::json::parse(&value.to_json()).unwrap_or(Value::Null))])
}

fn empty() -> Value {
    Value::Object(Vec::new())
}

fn key_value(request: &Request) -> Result<Response> {
    let op: String = request.parameter("op")?;
    let asked: KeyValue = request.json()?;
    let (store, key) = (keyvalue::default(), asked.key.as_str());
    let answer = match op.as_str() {
        "get" => value(store.get(key)?),
        "set" => {
            store.set(key, asked.value()?)?;
            empty()
        }
        "delete" => value(store.delete(key)?),
        "contains" => value(store.contains(key)?),
        "increment" => value(store.increment(key, asked.by.unwrap_or(1))?),
        "list-add" => value(store.list_add(key, asked.value()?)?),
        "list-range" => value(store.list_range(key, 0, -1)?),
        "list-remove" => value(store.list_remove(key, asked.value()?)?),
        "set-add" => value(i32::from(store.set_add(key, asked.value()?)?)),
        "set-remove" => value(i32::from(store.set_remove(key, asked.value()?)?)),
        "set-members" => value(store.set_members(key)?),
        _ => return Err(Error::not_found("there is no such operation")),
    };
    Ok(Response::json(200, &answer))
}

#[derive(Json)]
struct Via {
    link: String,
    key: String,
    value: String,
}

fn get_via(request: &Request) -> Result<Response> {
    let link: String = request.query("link")?.unwrap_or_default();
    let key: String = request.query("key")?.unwrap_or_default();
    let store: Store = keyvalue::open(&link);
    Ok(Response::json(200, &value(store.get(&key)?)))
}

fn set_via(request: &Request) -> Result<Response> {
    let asked: Via = request.json()?;
    keyvalue::open(&asked.link).set(&asked.key, &asked.value)?;
    Ok(Response::json(200, &empty()))
}

// ---- messages, timers, actors

#[derive(Json)]
struct Told {
    subject: String,
    body: String,
}

fn publish(request: &Request) -> Result<Response> {
    let told: Told = request.json()?;
    messaging::default().publish(&told.subject, &told.body)?;
    Ok(Response::json(200, &empty()))
}

fn ask(request: &Request) -> Result<Response> {
    let told: Told = request.json()?;
    let reply = messaging::default().request(&told.subject, &told.body, 2000)?;
    Ok(Response::json(200, &object("body", reply.text())))
}

fn reversed(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().rev().copied().collect()
}

fn hear(message: &Message) -> Result<()> {
    if message.reply_to.is_some() {
        return message.reply(reversed(&message.body));
    }
    keyvalue::default().set(&format!("message:{}", message.subject), &message.text())
}

fn tick(tick: &Tick) -> Result<()> {
    keyvalue::default().increment(&format!("tick:{}", tick.timer), 1).map(drop)
}

#[derive(Json)]
struct Call {
    actor: String,
    operation: String,
    body: String,
}

fn call(request: &Request) -> Result<Response> {
    let asked: Call = request.json()?;
    let reply = actors::call(&asked.actor, &asked.operation, asked.body.as_bytes())?;
    Ok(Response::json(200, &object("body", String::from_utf8_lossy(&reply).into_owned())))
}

// ---- blobs, SQL, HTTP

#[derive(Json)]
struct BlobAsked {
    container: String,
    #[json(default)]
    name: String,
    #[json(default)]
    text: String,
}

fn blobs(request: &Request) -> Result<Response> {
    let op: String = request.parameter("op")?;
    let asked: BlobAsked = request.json()?;
    let container = blobstore::default().container(&asked.container);
    let answer = match op.as_str() {
        "put" => {
            container.create()?;
            container.put(&asked.name, "text/plain", asked.text.as_bytes())?;
            empty()
        }
        "get" => {
            let blob = container.get(&asked.name)?.ok_or_else(|| Error::not_found("there is no such object"))?;
            object("text", String::from_utf8_lossy(&blob.bytes).into_owned())
        }
        "delete" => {
            container.delete(&asked.name)?;
            empty()
        }
        "list" => object("names", container.list("")?.into_iter().map(|info| info.name).collect::<Vec<String>>()),
        _ => return Err(Error::not_found("there is no such operation")),
    };
    Ok(Response::json(200, &answer))
}

#[derive(Json)]
struct Statement {
    statement: String,
    text: Option<String>,
    #[json(default)]
    whole: i64,
    #[json(default)]
    number: f64,
}

impl Statement {
    fn parameters(&self) -> Vec<sql::Value> {
        match &self.text {
            Some(text) => vec![text.as_str().into(), self.whole.into(), self.number.into()],
            None => Vec::new(),
        }
    }
}

fn execute(request: &Request) -> Result<Response> {
    let asked: Statement = request.json()?;
    let affected = sql::default().execute(&asked.statement, &asked.parameters())?;
    Ok(Response::json(200, &object("affected", affected)))
}

#[derive(Json)]
struct Found {
    columns: Vec<String>,
    rows: Vec<Vec<sql::Value>>,
}

fn query(request: &Request) -> Result<Response> {
    let asked: Statement = request.json()?;
    let sql::Rows { columns, rows } = sql::default().query(&asked.statement, &asked.parameters())?;
    Ok(Response::json(200, &Found { columns, rows }))
}

#[derive(Json)]
struct Page {
    url: String,
}

#[derive(Json)]
struct Fetched {
    status: u16,
    body: String,
}

fn fetch_page(request: &Request) -> Result<Response> {
    let page: Page = request.json()?;
    let answer = fetch::get(&page.url).send()?;
    Ok(Response::json(200, &Fetched { status: answer.status, body: answer.text() }))
}

// ---- time, random numbers, log

fn now(_request: &Request) -> Result<Response> {
    Ok(Response::json(200, &object("now", time::now_ms()?)))
}

#[derive(Json)]
struct Random {
    random: u32,
    guid: String,
}

fn random_numbers(_request: &Request) -> Result<Response> {
    Ok(Response::json(200, &Random { random: random::number()?, guid: random::guid()? }))
}

#[derive(Json)]
enum Level {
    #[json(name = "debug")]
    Debug,
    #[json(name = "info")]
    Info,
    #[json(name = "warn")]
    Warn,
    #[json(name = "error")]
    Error,
}

#[derive(Json)]
struct Line {
    level: Level,
    message: String,
}

fn write_log(request: &Request) -> Result<Response> {
    let line: Line = request.json()?;
    match line.level {
        Level::Debug => log::debug(&line.message),
        Level::Info => log::info(&line.message),
        Level::Warn => log::warn(&line.message),
        Level::Error => log::error(&line.message),
    }
    Ok(Response::json(200, &empty()))
}

nanolattice::actor!(Actor::new()
    .get("/hello", hello)
    .post("/echo", echo)
    .post("/people", add_person)
    .get("/people/{name}", get_person)
    .post("/everything", everything)
    .get("/fail", fail)
    .post("/kv/{op}", key_value)
    .get("/via", get_via)
    .post("/via", set_via)
    .post("/publish", publish)
    .post("/request", ask)
    .post("/call", call)
    .post("/blobs/{op}", blobs)
    .post("/sql/execute", execute)
    .post("/sql/query", query)
    .post("/fetch", fetch_page)
    .get("/now", now)
    .get("/random", random_numbers)
    .post("/log", write_log)
    .on_message("in.>", hear)
    .on_tick(tick)
    .on("Conformance.Reverse", |payload| Ok(reversed(payload))));
