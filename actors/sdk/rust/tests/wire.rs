//! The bytes between host and actor: written as the contracts say, and nothing that comes breaks the reader.
use nanolattice::http::{Request, Response};
use nanolattice::msgpack::{Reader, Writer};
use nanolattice::{blobstore, keyvalue, messaging, sql, testing, Actor, Error};

fn ok() -> Actor {
    Actor::new()
        .get("/{rest...}", |request| Ok(Response::text(200, format!("{} {:?}", request.path, request.headers))))
        .on_message(">", |message| message.reply(&message.body))
        .on_tick(|tick| keyvalue::default().increment(&tick.timer, tick.missed as i32).map(drop))
}

struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

fn request() -> Vec<u8> {
    let message = Writer::new().map(6).field("method", "GET").field("path", "/a").field("queryString", "b=c");
    let message = message.text("header").map(1).text("accept").array(2).text("x").text("y");
    message.text("body").bytes(&[0, 255]).text("more").map(1).text("deep").array(2).nil().bool(true).done()
}

#[test]
fn numbers_and_sizes_come_back() {
    for number in [0, 1, -1, 127, 128, -32, -33, i64::from(u32::MAX), i64::MAX, i64::MIN] {
        assert_eq!(Reader::new(&Writer::new().int(number).done()).int(), Ok(number));
    }
    for size in [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536] {
        let text = "x".repeat(size);
        assert_eq!(Reader::new(&Writer::new().text(&text).done()).text(), Ok(text.as_str()));
        assert_eq!(Reader::new(&Writer::new().bytes(text.as_bytes()).done()).bytes(), Ok(text.as_bytes()));
        let list = (0..size).fold(Writer::new().array(size), |list, _| list.text("a"));
        assert_eq!(Reader::new(&list.done()).texts().map(|texts| texts.len()), Ok(size));
    }
    for (bytes, number) in [
        (vec![0xcc, 200], 200),
        (vec![0xd0, 0x80], -128),
        (vec![0xd1, 0xff, 0], -256),
        (vec![0xcf, 0, 0, 0, 0, 0, 0, 0, 9], 9),
    ] {
        assert_eq!(Reader::new(&bytes).int(), Ok(number));
    }
    assert!(Reader::new(&[0xcf, 255, 0, 0, 0, 0, 0, 0, 0]).int().is_err());
}

#[test]
fn every_kind_of_value_is_passed_over() {
    let kinds: [&[u8]; 16] = [
        b"\xc0",
        b"\xca\0\0\0\0",
        b"\xcb\0\0\0\0\0\0\0\0",
        b"\xc7\x01\x05x",
        b"\xc8\0\x01\x05x",
        b"\xc9\0\0\0\x01\x05x",
        b"\xd4\x01x",
        b"\xd6\x01xxxx",
        b"\xd8\x01xxxxxxxxxxxxxxxx",
        b"\xdc\0\x02\x01\x02",
        b"\xde\0\x01\xa1a\x01",
        b"\xdf\0\0\0\x01\xa1a\x90",
        b"\xdd\0\0\0\x01\xc2",
        b"\xda\0\x01a",
        b"\xc4\x01a",
        b"\xd3\0\0\0\0\0\0\0\0",
    ];
    for kind in kinds {
        let data = [kind, b"\x2a"].concat();
        let mut reader = Reader::new(&data);
        assert_eq!(reader.skip().and_then(|()| reader.int()), Ok(42), "{kind:?}");
    }
}

#[test]
fn sizes_that_lie_are_found_before_room_is_made() {
    for lie in [
        b"\xdd\xff\xff\xff\xff\x01".as_slice(),
        b"\xdf\xff\xff\xff\xff\x01",
        b"\xc6\xff\xff\xff\xff\x01",
        b"\xdb\x7f\xff\xff\xff",
    ] {
        assert!(Reader::new(lie).texts().is_err());
        assert!(Reader::new(lie).skip().is_err());
        assert!(Reader::new(lie).bytes().is_err());
    }
}

#[test]
fn a_request_is_read_whatever_else_it_has() {
    let reply = ok().answer("HttpServer.HandleRequest", &request()).expect("an answer");
    let text = String::from_utf8_lossy(&reply).into_owned();
    assert!(text.contains(r#"/a [("accept", ["x", "y"])]"#), "{text}");
}

/// Requests, messages and ticks with bytes changed, cut or added: an answer or an error, and no panic.
#[test]
fn broken_messages_are_errors() {
    let actor = ok();
    let mut numbers = Numbers(7);
    let tick = Writer::new().map(2).field("timer", "t").text("missed").int(3).done();
    let message = Writer::new().map(3).field("subject", "a.b").field("replyTo", "c").text("body").bytes(b"x").done();
    let samples = [
        ("HttpServer.HandleRequest", request()),
        ("MessageSubscriber.HandleMessage", message),
        ("Cron.HandleTick", tick),
    ];
    for (operation, good) in samples {
        for _ in 0..30_000 {
            let mut bytes = good.clone();
            for _ in 0..1 + numbers.below(3) {
                let at = numbers.below(bytes.len());
                match numbers.below(3) {
                    0 => bytes[at] = numbers.below(256) as u8,
                    1 => bytes.truncate(at + 1),
                    _ => bytes.insert(at, numbers.below(256) as u8),
                }
            }
            let answered = testing::with_host(|_| Ok(vec![0]), || actor.answer(operation, &bytes));
            assert!(answered.is_ok() || !answered.unwrap_err().message.is_empty());
        }
    }
}

/// The same for what a provider answers.
#[test]
fn broken_replies_are_errors() {
    let mut numbers = Numbers(11);
    for _ in 0..30_000 {
        let size = numbers.below(24);
        let bytes: Vec<u8> = (0..size)
            .map(|_| [0x81, 0x82, 0x9f, 0xa1, b'a', 0xc4, 3, 0xf9, 0xfb, 0x1b, 0xc3, 0xc0][numbers.below(12)])
            .collect();
        let rows = Writer::new().map(1).text("rows").bytes(&bytes).done();
        let _ = testing::with_host(move |_| Ok(rows.clone()), || sql::default().query("select", &[]));
        let _ = testing::with_host(
            move |_| Ok(bytes.clone()),
            || {
                let store = keyvalue::default();
                let _ = (store.get("k"), store.increment("k", 1), store.list_range("l", 0, -1), store.contains("k"));
                let _ = messaging::default().request("s", "b", 1);
                let _ = sql::default().execute("x", &[]);
                blobstore::default().container("c").get("o").map(drop)
            },
        );
    }
}

#[test]
fn rows_are_read_from_cbor() {
    // [[1, -2, "é", h'ff', 1.5, null, true, 1.0 as 16 bits, 0("t")]]
    let cbor = b"\x81\x89\x01\x21\x62\xc3\xa9\x41\xff\xfb\x3f\xf8\0\0\0\0\0\0\xf6\xf5\xf9\x3c\0\xc0\x61t";
    let reply = Writer::new().map(2).text("numRows").int(1).text("rows").bytes(cbor).done();
    let asked = |asked: &testing::Asked| {
        let mut reader = Reader::new(&asked.payload);
        assert_eq!(
            (reader.map(), reader.text(), reader.text(), reader.text()),
            (Ok(2), Ok("sql"), Ok("select ?"), Ok("parameters"))
        );
        assert_eq!(
            (reader.array(), reader.bytes(), reader.bytes()),
            (Ok(2), Ok(b"\x62\xc3\xa9".as_slice()), Ok(b"\x3a\0\0\x01\x2b".as_slice()))
        );
    };
    let host = move |call: &testing::Asked| {
        asked(call);
        Ok(reply.clone())
    };
    let found = testing::with_host(host, || sql::default().query("select ?", &["é".into(), (-300i64).into()]));
    use sql::Value::*;
    let row = vec![
        Integer(1),
        Integer(-2),
        Text("é".to_string()),
        Bytes(vec![255]),
        Float(1.5),
        Null,
        Bool(true),
        Float(1.0),
        Text("t".to_string()),
    ];
    assert_eq!(found.map(|found| found.rows), Ok(vec![row]));
}

#[test]
fn failures_of_statements_and_of_hosts_keep_their_words() {
    let failed = Writer::new()
        .map(2)
        .text("rowsAffected")
        .int(0)
        .text("error")
        .map(2)
        .field("code", "db")
        .field("message", "no table")
        .done();
    let error = testing::with_host(move |_| Ok(failed.clone()), || sql::default().execute("x", &[]));
    assert_eq!(error, Err(Error::new("sql", "db: no table")));
    assert_eq!(Error::from_host("not_linked: no link: x"), Error::new("not_linked", "no link: x"));
    assert_eq!(Error::from_host("Some text: here"), Error::new("provider_error", "Some text: here"));
}

#[test]
fn a_large_object_goes_in_pieces() {
    let sizes = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let seen = sizes.clone();
    let host = move |asked: &testing::Asked| {
        seen.borrow_mut().push((asked.operation.clone(), asked.payload.len()));
        Ok(Writer::new().map(1).field("streamId", "s").done())
    };
    let put = || blobstore::open("files").container("box").put("big", "text/plain", &[7; 600 * 1024]);
    assert_eq!(testing::with_host(host, put), Ok(()));
    let names: Vec<String> = sizes.borrow().iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names, ["Blobstore.PutObject", "Blobstore.PutChunk", "Blobstore.PutChunk"]);
    assert!(sizes.borrow().iter().all(|(_, size)| *size < 300 * 1024));
}

#[test]
fn a_request_for_a_test_is_answered_without_a_host() {
    let actor = Actor::new().get("/a/{b}", |request| Ok(Response::text(200, request.parameter::<String>("b")?)));
    let body = |target: &str| {
        actor.answer_http(Request::new("GET", target, "")).map(|reply| String::from_utf8(reply.body).unwrap())
    };
    assert_eq!(body("/a/x%20y?q=1"), Ok("x y".to_string()));
}
