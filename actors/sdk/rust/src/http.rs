//! HTTP requests to the actor, by method and path.
use crate::error::{Error, Result};
use crate::json::{write_text, Json};
use crate::msgpack::{Reader, Writer};
use std::str::FromStr;

pub(crate) const OPERATION: &str = "HttpServer.HandleRequest";

/// A request. Names of headers are in lower case, each with its values in order.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// Without its "?".
    pub query_string: String,
    pub headers: Vec<(String, Vec<String>)>,
    pub body: Vec<u8>,
    parameters: Vec<(&'static str, String)>,
}

impl Request {
    /// For tests; the host makes the others.
    pub fn new(method: &str, target: &str, body: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            method: method.to_string(),
            path: path.to_string(),
            query_string: query.to_string(),
            body: body.as_bytes().to_vec(),
            ..Self::default()
        }
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self> {
        let mut request = Self::default();
        Reader::new(payload).fields(|name, reader| {
            match name {
                "method" => request.method = reader.text()?.to_string(),
                "path" => request.path = reader.text()?.to_string(),
                "queryString" => request.query_string = reader.text()?.to_string(),
                "header" => {
                    for _ in 0..reader.map()? {
                        let name = reader.text()?.to_string();
                        request.headers.push((name, reader.texts()?));
                    }
                }
                "body" => request.body = reader.bytes()?.to_vec(),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(request)
    }

    /// The first value of a header; the name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, values) = self.headers.iter().find(|(found, _)| found == name)?;
        values.first().map(String::as_str)
    }

    /// What stands for `{name}` in the path, percent-decoded. Fails with `invalid` when it is no `T`.
    pub fn parameter<T: FromStr>(&self, name: &str) -> Result<T> {
        let found = self.parameters.iter().find(|(found, _)| *found == name);
        let (_, text) = found.ok_or_else(|| Error::new("internal", format!("the route has no {{{name}}}")))?;
        text.parse().map_err(|_| Error::invalid(format!("{name} is not right: {text}")))
    }

    /// A value of the query, percent-decoded. Fails with `invalid` when it is no `T`.
    pub fn query<T: FromStr>(&self, name: &str) -> Result<Option<T>> {
        for pair in self.query_string.split('&') {
            let (found, value) = pair.split_once('=').unwrap_or((pair, ""));
            if decoded(found, true) == name {
                let text = decoded(value, true);
                return text.parse().map(Some).map_err(|_| Error::invalid(format!("{name} is not right: {text}")));
            }
        }
        Ok(None)
    }

    /// The body as text. Fails with `invalid` when it is not UTF-8.
    pub fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.body).map_err(|_| Error::invalid("the body is not UTF-8"))
    }

    /// The body as a record. Fails with `invalid`, and names the field that is missing or of another kind.
    pub fn json<T: Json>(&self) -> Result<T> {
        T::from_json(self.text()?)
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }.header("content-type", content_type)
    }

    /// No body, and no content type.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body.into())
    }

    pub fn html(status: u16, body: impl Into<String>) -> Self {
        Self::new(status, "text/html; charset=utf-8", body.into())
    }

    pub fn json<T: Json>(status: u16, value: &T) -> Self {
        Self::new(status, "application/json", value.to_json())
    }

    /// {"error": why}
    pub fn error(status: u16, why: &str) -> Self {
        let mut body = String::from("{\"error\":");
        write_text(&mut body, why);
        body.push('}');
        Self::new(status, "application/json", body)
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_string(), value.to_string()));
        self
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in &self.headers {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let mut writer = Writer::new().map(3).text("statusCode").int(i64::from(self.status));
        writer = writer.text("header").map(names.len());
        for name in names {
            let values: Vec<&str> =
                self.headers.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect();
            writer = writer.text(name).array(values.len());
            for value in values {
                writer = writer.text(value);
            }
        }
        writer.text("body").bytes(&self.body).done()
    }
}

type Handler = Box<dyn Fn(&Request) -> Result<Response>>;

#[derive(Default)]
pub(crate) struct Routes {
    routes: Vec<(&'static str, &'static str, Handler)>,
}

impl Routes {
    pub fn add(&mut self, method: &'static str, pattern: &'static str, handler: Handler) {
        self.routes.push((method, pattern, handler));
    }

    /// A HEAD is served as a GET, whose body the server leaves out.
    pub fn answer(&self, request: &mut Request) -> Result<Response> {
        let wanted = if request.method == "HEAD" { "GET" } else { &request.method };
        let mut allowed: Vec<&str> = Vec::new();
        for (method, pattern, handler) in &self.routes {
            if let Some(parameters) = matched(pattern, &request.path) {
                if *method == wanted {
                    request.parameters = parameters;
                    return handler(request).or_else(|error| match error.status() {
                        Some(status) => Ok(Response::error(status, &error.message)),
                        None => Err(error),
                    });
                }
                allowed.push(method);
            }
        }
        if allowed.is_empty() {
            return Ok(Response::error(404, &format!("nothing is served at {}", request.path)));
        }
        let allowed = allowed.join(", ");
        Ok(Response::error(405, &format!("this path takes {allowed}")).header("allow", &allowed))
    }
}

/// The parameters of the path, if it fits the pattern.
fn matched(pattern: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
    let mut parameters = Vec::new();
    let mut left = path.strip_prefix('/').unwrap_or(path);
    let mut pieces = pattern.strip_prefix('/').unwrap_or(pattern).split('/').peekable();
    while let Some(piece) = pieces.next() {
        let name = piece.strip_prefix('{').and_then(|inside| inside.strip_suffix('}'));
        if let Some(rest) = name.and_then(|name| name.strip_suffix("...")) {
            parameters.push((rest, decoded(left, false)));
            return Some(parameters);
        }
        let (segment, after) = match left.split_once('/') {
            Some((segment, after)) => (segment, Some(after)),
            None => (left, None),
        };
        match name {
            Some(name) if !segment.is_empty() => parameters.push((name, decoded(segment, false))),
            None if segment == piece => {}
            _ => return None,
        }
        match after {
            Some(after) if pieces.peek().is_some() => left = after,
            None if pieces.peek().is_none() => {}
            _ => return None,
        }
    }
    Some(parameters)
}

/// Percent-decoded; what is then not UTF-8 becomes U+FFFD.
fn decoded(text: &str, plus_is_blank: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digit = |offset: usize| bytes.get(at + offset).and_then(|byte| char::from(*byte).to_digit(16));
        match (bytes[at], digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                at += 2;
            }
            (b'+', ..) if plus_is_blank => out.push(b' '),
            (byte, ..) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
