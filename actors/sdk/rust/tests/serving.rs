//! Which handler gets what.
use nanolattice::http::{Request, Response};
use nanolattice::{testing, Actor, Error, Result};

fn say(text: &'static str) -> impl Fn(&Request) -> Result<Response> {
    move |request| {
        let name = request.parameter::<String>("name").or_else(|_| request.parameter("rest")).unwrap_or_default();
        Ok(Response::text(200, format!("{text}:{name}")))
    }
}

fn ask(actor: &Actor, method: &str, target: &str) -> (u16, String) {
    let reply = actor.answer_http(Request::new(method, target, "")).expect("an answer");
    (reply.status, String::from_utf8(reply.body).expect("text"))
}

#[test]
fn requests_go_by_method_and_path() {
    let actor = Actor::new()
        .get("/", say("root"))
        .get("/people/me", say("me"))
        .get("/people/{name}", say("person"))
        .delete("/people/{name}", say("gone"))
        .put("/files/{rest...}", say("file"));
    let cases = [
        ("GET", "/", 200, "root:"),
        ("HEAD", "/", 200, "root:"),
        ("GET", "/people/me", 200, "me:"),
        ("GET", "/people/Ada%2F%C3%A9", 200, "person:Ada/é"),
        ("GET", "/people/a+b", 200, "person:a+b"),
        ("DELETE", "/people/x", 200, "gone:x"),
        ("PUT", "/files/a/b", 200, "file:a/b"),
        ("PUT", "/files/", 200, "file:"),
        ("GET", "/people/%ff%", 200, "person:\u{fffd}%"),
    ];
    for (method, target, status, text) in cases {
        assert_eq!(ask(&actor, method, target), (status, text.to_string()), "{method} {target}");
    }
    for target in ["/people", "/people/", "/people/a/", "/people/a/b", "//", "/files", "people"] {
        assert_eq!(ask(&actor, "GET", target).0, 404, "{target}");
    }
    let refused = actor.answer_http(Request::new("PATCH", "/people/x", "")).expect("an answer");
    assert_eq!(refused.status, 405);
    assert!(refused.headers.contains(&("allow".to_string(), "GET, DELETE".to_string())));
}

#[test]
fn values_of_the_query_are_decoded_and_read() {
    let request = Request::new("GET", "/?a=1&b=x%3D%26y+z&c&a=2", "");
    assert_eq!(request.query::<u8>("a"), Ok(Some(1)));
    assert_eq!(request.query::<String>("b"), Ok(Some("x=&y z".to_string())));
    assert_eq!(request.query::<String>("c"), Ok(Some(String::new())));
    assert_eq!(request.query::<u8>("d"), Ok(None));
    assert_eq!(request.query::<u8>("b").map_err(|error| error.code.into_owned()), Err("invalid".to_string()));
}

#[test]
fn own_errors_are_answers_and_others_fail_the_call() {
    let actor = Actor::new().get("/{code}", |request| Err(Error::new(request.parameter::<String>("code")?, "why")));
    for (code, status) in
        [("invalid", 400), ("not_found", 404), ("conflict", 409), ("too_large", 413), ("timeout", 504)]
    {
        assert_eq!(ask(&actor, "GET", &format!("/{code}")), (status, r#"{"error":"why"}"#.to_string()));
    }
    let failed = actor.answer_http(Request::new("GET", "/not_linked", ""));
    assert_eq!(failed, Err(Error::new("not_linked", "why")));
}

#[test]
fn messages_and_ticks_go_to_the_first_that_fits() {
    let took = |name: &'static str| move |_: &nanolattice::messaging::Message| Err(Error::new("took", name));
    let actor =
        Actor::new().on_message("a.b", took("exact")).on_message("a.*", took("star")).on_message("c.>", took("rest"));
    let subject = |subject: &str| {
        let payload =
            nanolattice::msgpack::Writer::new().map(2).field("subject", subject).text("body").bytes(b"").done();
        actor.answer("MessageSubscriber.HandleMessage", &payload).expect_err("each handler fails").message
    };
    assert_eq!([subject("a.b"), subject("a.c"), subject("c.d.e")], ["exact", "star", "rest"]);
    for none in ["a", "a.b.c", "c", "d"] {
        assert!(subject(none).contains("no handler"), "{none}");
    }
    let timers = Actor::new()
        .on_timer("one", |_| Err(Error::new("took", "one")))
        .on_tick(|tick| Err(Error::new("took", tick.timer.clone())));
    let tick = |name: &str| {
        let payload = nanolattice::msgpack::Writer::new().map(1).field("timer", name).done();
        timers.answer("Cron.HandleTick", &payload).expect_err("each handler fails").message
    };
    assert_eq!([tick("one"), tick("two")], ["one", "two"]);
}

#[test]
fn operations_that_there_are_not_are_errors_and_health_is_answered() {
    let actor = Actor::new().on("Own.Op", |payload| Ok(payload.to_vec()));
    assert_eq!(actor.answer("Own.Op", b"x"), Ok(b"x".to_vec()));
    assert_eq!(actor.answer("Actor.HealthRequest", b""), Ok(b"\x81\xa7healthy\xc3".to_vec()));
    for operation in ["HttpServer.HandleRequest", "Cron.HandleTick", "No.Such"] {
        let error = actor.answer(operation, b"").expect_err(operation);
        assert_eq!((&*error.code, error.message.contains(operation)), ("operation_unknown", true));
    }
}

#[test]
fn without_a_host_a_call_says_so() {
    let error = nanolattice::keyvalue::default().get("k").expect_err("no host");
    assert!(error.message.contains("wasmcloud:keyvalue"), "{error}");
    let inner = testing::with_host(|_| Ok(vec![0xc3]), || nanolattice::keyvalue::open("other").contains("k"));
    assert_eq!(inner, Ok(true));
}
