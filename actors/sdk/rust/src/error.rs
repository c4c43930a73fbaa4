//! What fails: a code that others act upon, and a message for people.
use std::borrow::Cow;
use std::fmt;

/// The result of everything that asks the host.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One failure. Its text is `code: message`, as the host writes its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Short and stable: `not_found`, `invalid`, or one of the host's such as `not_linked`.
    pub code: Cow<'static, str>,
    pub message: String,
}

impl Error {
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }

    /// What was asked for is not right: 400.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new("invalid", message)
    }

    /// There is no such thing: 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new("not_found", message)
    }

    /// Somebody else was first: 409.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new("conflict", message)
    }

    /// Bytes that are not the message they should be.
    pub fn malformed(what: &str) -> Self {
        Self::new("malformed_message", format!("{what} cannot be read"))
    }

    /// An error as the host gives it: `code: message`. A text without a code is a `provider_error`.
    pub fn from_host(text: &str) -> Self {
        match text.split_once(": ") {
            Some((code, message)) if is_code(code) => Self::new(code.to_string(), message),
            _ => Self::new("provider_error", text),
        }
    }

    /// The status of the HTTP answer that an actor's own error becomes. Others, the host's among them, fail the call: the
    /// host knows whether to try again, and what a visitor may read.
    pub fn status(&self) -> Option<u16> {
        Some(match &*self.code {
            "invalid" => 400,
            "unauthorized" => 401,
            "forbidden" => 403,
            "not_found" => 404,
            "conflict" => 409,
            "too_large" => 413,
            "unavailable" => 503,
            "timeout" => 504,
            _ => return None,
        })
    }
}

fn is_code(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code)?;
        f.write_str(": ")?;
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
