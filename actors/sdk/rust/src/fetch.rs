//! HTTP requests that the actor makes. Where they may go is a matter of the link.
use crate::call::{self, DEFAULT_LINK};
use crate::error::{Error, Result};
use crate::json::Json;
use crate::msgpack::{Reader, Writer};

const CONTRACT: &str = "wasmcloud:httpclient";

/// A request on its way to be sent.
#[derive(Clone, Debug)]
pub struct Fetch<'a> {
    link: &'a str,
    method: &'a str,
    url: &'a str,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// What came back. A status such as 404 or 500 is an answer and no error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, Vec<String>)>,
    pub body: Vec<u8>,
}

/// A GET.
pub fn get(url: &str) -> Fetch<'_> {
    request("GET", url)
}

/// A POST.
pub fn post(url: &str) -> Fetch<'_> {
    request("POST", url)
}

/// A request with any method.
pub fn request<'a>(method: &'a str, url: &'a str) -> Fetch<'a> {
    Fetch { link: DEFAULT_LINK, method, url, headers: Vec::new(), body: Vec::new() }
}

impl<'a> Fetch<'a> {
    /// Over the link of this name.
    pub fn link(mut self, link: &'a str) -> Self {
        self.link = link;
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_string(), value.to_string()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn json<T: Json>(self, value: &T) -> Self {
        self.header("content-type", "application/json").body(value.to_json())
    }

    pub fn send(self) -> Result<Answer> {
        let message = Writer::new().map(4).field("method", self.method).field("url", self.url);
        let message = message.text("headers").map(self.headers.len());
        let message =
            self.headers.iter().fold(message, |message, (name, value)| message.text(name).array(1).text(value));
        let message = message.text("body").bytes(&self.body).done();
        let reply = call::provider(self.link, CONTRACT, "HttpClient.Request", &message)?;
        let mut answer = Answer::default();
        Reader::new(&reply).fields(|name, reader| {
            match name {
                "statusCode" => answer.status = reader.int()? as u16,
                "header" => {
                    for _ in 0..reader.map()? {
                        let name = reader.text()?.to_string();
                        answer.headers.push((name, reader.texts()?));
                    }
                }
                "body" => answer.body = reader.bytes()?.to_vec(),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(answer)
    }
}

impl Answer {
    /// The body as text; what is not UTF-8 becomes U+FFFD.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What does not fit is `malformed_message`: the other end sent it.
    pub fn json<T: Json>(&self) -> Result<T> {
        T::from_json(&self.text()).map_err(|error| Error::new("malformed_message", error.message))
    }
}
