//! Messages on subjects: publish, ask for a reply, take what arrives.
use crate::call::{self, DEFAULT_LINK};
use crate::error::Result;
use crate::msgpack::{Reader, Writer};

const CONTRACT: &str = "wasmcloud:messaging";
pub(crate) const OPERATION: &str = "MessageSubscriber.HandleMessage";

#[derive(Clone, Debug, Default)]
pub struct Message {
    pub subject: String,
    /// Where a reply is awaited, if somebody waits.
    pub reply_to: Option<String>,
    pub body: Vec<u8>,
}

impl Message {
    pub(crate) fn decode(payload: &[u8]) -> Result<Self> {
        let mut message = Self::default();
        Reader::new(payload).fields(|name, reader| {
            match name {
                "subject" => message.subject = reader.text()?.to_string(),
                "replyTo" => message.reply_to = Some(reader.text()?.to_string()).filter(|to| !to.is_empty()),
                "body" => message.body = reader.bytes()?.to_vec(),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(message)
    }

    /// The body as text; what is not UTF-8 becomes U+FFFD.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Publishes to whoever waits for a reply, over the link "default". Does nothing if nobody does.
    pub fn reply(&self, body: impl AsRef<[u8]>) -> Result<()> {
        self.reply_to.as_ref().map_or(Ok(()), |subject| default().publish(subject, body))
    }
}

/// A broker, behind one link.
#[derive(Clone, Copy, Debug)]
pub struct Broker<'a> {
    link: &'a str,
}

/// The broker behind the link "default".
pub fn default() -> Broker<'static> {
    open(DEFAULT_LINK)
}

/// The broker behind the link of this name.
pub fn open(link: &str) -> Broker<'_> {
    Broker { link }
}

impl Broker<'_> {
    pub fn publish(&self, subject: &str, body: impl AsRef<[u8]>) -> Result<()> {
        let message = Writer::new().map(2).field("subject", subject).text("body").bytes(body.as_ref());
        call::provider(self.link, CONTRACT, "Messaging.Publish", &message.done()).map(drop)
    }

    /// Publishes and waits for the first reply.
    pub fn request(&self, subject: &str, body: impl AsRef<[u8]>, timeout_ms: u32) -> Result<Message> {
        let message = Writer::new().map(3).field("subject", subject).text("body").bytes(body.as_ref());
        let message = message.text("timeoutMs").int(i64::from(timeout_ms)).done();
        Message::decode(&call::provider(self.link, CONTRACT, "Messaging.Request", &message)?)
    }
}

/// Whether a subject fits a pattern.
pub(crate) fn fits(pattern: &str, subject: &str) -> bool {
    let mut words = subject.split('.');
    for piece in pattern.split('.') {
        match (piece, words.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (piece, Some(word)) if piece == word => {}
            _ => return false,
        }
    }
    words.next().is_none()
}
