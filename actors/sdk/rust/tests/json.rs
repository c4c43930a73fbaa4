//! JSON: what is read, what is refused and how that is told.
use nanolattice::json::{parse, Value};
use nanolattice::Json;
use std::collections::BTreeMap;

#[derive(Json, Debug, PartialEq)]
enum Size {
    #[json(name = "S")]
    Small,
    Large,
}

#[derive(Json, Debug, PartialEq)]
struct Item {
    price: f64,
    size: Size,
}

/// Fields of every kind, and names that need care.
#[derive(Json, Debug, PartialEq)]
pub(crate) struct Order {
    pub id: u64,
    pub(crate) r#type: String,
    #[json(name = "shipTo")]
    ship_to: Option<String>,
    #[json(default)]
    urgent: bool,
    items: Vec<Item>,
    notes: BTreeMap<String, Vec<i8>>,
}

fn order() -> Order {
    Order {
        id: u64::MAX,
        r#type: "a \"b\" \\ \u{1} \n é 😀".to_string(),
        ship_to: None,
        urgent: true,
        items: vec![Item { price: 1e300, size: Size::Small }, Item { price: -0.5, size: Size::Large }],
        notes: BTreeMap::from([("x".to_string(), vec![-128, 127]), ("".to_string(), vec![])]),
    }
}

fn why<T: Json + std::fmt::Debug>(text: &str) -> String {
    let error = T::from_json(text).expect_err(text);
    assert_eq!(error.code, "invalid");
    error.message
}

#[test]
fn a_record_comes_back_as_it_went() {
    let text = order().to_json();
    assert!(!text.contains("shipTo"), "{text}");
    assert_eq!(Order::from_json(&text), Ok(order()));
}

#[test]
fn names_and_defaults_are_as_the_attributes_say() {
    let read = Order::from_json(r#"{"id":1,"type":"t","shipTo":"here","items":[],"notes":{},"other":[1,{"a":null}]}"#);
    let read = read.expect("that is an order");
    assert_eq!((read.ship_to.as_deref(), read.urgent), (Some("here"), false));
}

#[test]
fn what_does_not_fit_names_the_field() {
    let with = |from: &str, to: &str| order().to_json().replacen(from, to, 1);
    assert_eq!(why::<Order>("{}"), "id is missing");
    assert_eq!(why::<Order>("[]"), "the body must be an object");
    assert_eq!(why::<Order>(&with("\"S\"", "\"M\"")), "items.0.size must be one of \"S\", \"Large\"");
    assert_eq!(why::<Order>(&with("-0.5", "null")), "items.1.price must be a number");
    assert_eq!(why::<Order>(&with("-0.5", "1e999")), "items.1.price must be a number");
    assert_eq!(why::<Order>(&with("127", "128")), "notes.x.1 must be a whole number from -128 to 127");
    assert_eq!(why::<Order>(&with("true", "1")), "urgent must be true or false");
    assert_eq!(why::<Order>(&with("18446744073709551615", "18446744073709551616")), {
        "id must be a whole number from 0 to 18446744073709551615"
    });
}

#[test]
fn only_json_is_json() {
    let refused = [
        "",
        " ",
        "{",
        "}",
        "[1,]",
        "[,1]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{a:1}",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "+1",
        "0x1",
        "nul",
        "truee",
        "\"",
        "\"\\x\"",
        "\"\n\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "1 2",
        "[1 2]",
        "NaN",
        "\u{feff}1",
        "\"\\u+123\"",
    ];
    for text in refused {
        assert!(parse(text).is_err(), "{text:?}");
    }
    for text in [
        "0",
        "-0",
        "1.5e+3",
        " [ ] ",
        "{ }",
        "\"\\ud83d\\ude00\\/\\b\\f\"",
        "[[],{},null,true,false]",
        "\t{\"a\" : 1}\r\n",
    ] {
        assert!(parse(text).is_ok(), "{text:?}");
    }
    assert_eq!(parse("\"\\ud83d\\ude00\\u00e9\""), Ok(Value::Text("😀é".to_string())));
}

#[test]
fn what_is_nested_too_deeply_is_refused() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(parse(&nested(64)).is_ok());
    assert!(parse(&nested(65)).is_err());
    assert!(parse(&"{\"a\":".repeat(100_000)).is_err());
}

#[test]
fn the_last_of_two_members_counts() {
    assert_eq!(parse(r#"{"a":1,"a":2}"#).expect("json").get("a"), Some(&Value::Number("2".to_string())));
}

/// Any text is read or refused, and what is read is written as something that reads the same.
#[test]
fn any_text_is_read_or_refused() {
    let pieces = [
        "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "d800", "0041", "1", "-", ".", "e5", "true", "null", " ", "a",
        "é", "\u{0}",
    ];
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut read = 0;
    for _ in 0..200_000 {
        let mut text = String::new();
        for _ in 0..state % 9 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text += pieces[(state >> 33) as usize % pieces.len()];
        }
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) >> 1;
        if let Ok(value) = parse(&text) {
            read += 1;
            assert_eq!(parse(&value.to_json()), Ok(value), "{text:?}");
        }
    }
    assert!(read > 1000, "{read}");
}
