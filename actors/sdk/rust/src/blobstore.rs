//! Objects in containers.
use crate::call::{self, DEFAULT_LINK};
use crate::error::{Error, Result};
use crate::msgpack::{Reader, Writer};

const CONTRACT: &str = "wasmcloud:blobstore";

/// One call's share of an object on its way to the store. Well below the limit of a payload.
const CHUNK_BYTES: usize = 256 * 1024;

/// A blob store, behind one link.
#[derive(Clone, Copy, Debug)]
pub struct Blobs<'a> {
    link: &'a str,
}

/// A container of it.
#[derive(Clone, Copy, Debug)]
pub struct Container<'a> {
    link: &'a str,
    id: &'a str,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blob {
    pub bytes: Vec<u8>,
    pub content_type: Option<String>,
}

/// What an object is, without its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    pub name: String,
    pub size: u64,
    pub content_type: Option<String>,
}

/// The store behind the link "default".
pub fn default() -> Blobs<'static> {
    open(DEFAULT_LINK)
}

/// The store behind the link of this name.
pub fn open(link: &str) -> Blobs<'_> {
    Blobs { link }
}

impl<'a> Blobs<'a> {
    /// Makes nothing and asks nothing.
    pub fn container(&self, id: &'a str) -> Container<'a> {
        Container { link: self.link, id }
    }
}

impl Container<'_> {
    fn ask(&self, operation: &str, payload: Writer) -> Result<Vec<u8>> {
        call::provider(self.link, CONTRACT, operation, &payload.done())
    }

    /// Fine when it is there.
    pub fn create(&self) -> Result<()> {
        self.ask("Blobstore.CreateContainer", Writer::new().text(self.id)).map(drop)
    }

    pub fn exists(&self) -> Result<bool> {
        Reader::new(&self.ask("Blobstore.ContainerExists", Writer::new().text(self.id))?).bool()
    }

    fn chunk(&self, writer: Writer, object: &str, bytes: &[u8], offset: usize, is_last: bool) -> Writer {
        let writer = writer.text("chunk").map(5).field("containerId", self.id).field("objectId", object);
        let writer = writer.text("bytes").bytes(bytes).text("offset").int(offset as i64);
        writer.text("isLast").bool(is_last)
    }

    /// The whole object, in as many calls as it takes.
    pub fn put(&self, object: &str, content_type: &str, bytes: &[u8]) -> Result<()> {
        let first = &bytes[..bytes.len().min(CHUNK_BYTES)];
        let message = self.chunk(Writer::new().map(2), object, first, 0, first.len() == bytes.len());
        let reply = self.ask("Blobstore.PutObject", message.field("contentType", content_type))?;
        let mut stream = None;
        Reader::new(&reply).fields(|name, reader| {
            if name != "streamId" {
                return Ok(false);
            }
            stream = Some(reader.text()?.to_string());
            Ok(true)
        })?;
        let mut offset = first.len();
        while offset < bytes.len() {
            let end = bytes.len().min(offset + CHUNK_BYTES);
            let message = Writer::new().map(if stream.is_some() { 3 } else { 2 });
            let mut message = self.chunk(message, object, &bytes[offset..end], offset, end == bytes.len());
            if let Some(stream) = &stream {
                message = message.field("streamId", stream);
            }
            self.ask("Blobstore.PutChunk", message.text("cancelAndRemove").bool(false))?;
            offset = end;
        }
        Ok(())
    }

    /// The whole object, in as many calls as it takes; none if it is not there.
    pub fn get(&self, object: &str) -> Result<Option<Blob>> {
        let found = match self.info(object)? {
            Some(found) => found,
            None => return Ok(None),
        };
        let mut blob = Blob { bytes: Vec::new(), content_type: found.content_type };
        while (blob.bytes.len() as u64) < found.size {
            let piece = self.range(object, blob.bytes.len() as u64, found.size)?;
            if piece.is_empty() {
                return Err(Error::new("conflict", format!("{object} was replaced while it was read")));
            }
            blob.bytes.extend_from_slice(&piece);
        }
        Ok(Some(blob))
    }

    /// Some bytes from `start` on.
    fn range(&self, object: &str, start: u64, size: u64) -> Result<Vec<u8>> {
        let end = size.min(start + CHUNK_BYTES as u64) - 1;
        let message = Writer::new().map(4).field("containerId", self.id).field("objectId", object);
        let message = message.text("rangeStart").int(start as i64).text("rangeEnd").int(end as i64);
        let reply = self.ask("Blobstore.GetObject", message)?;
        let (mut success, mut why, mut bytes) = (false, String::new(), Vec::new());
        Reader::new(&reply).fields(|name, reader| {
            match name {
                "success" => success = reader.bool()?,
                "error" => why = reader.text()?.to_string(),
                "initialChunk" => reader.fields(|name, reader| {
                    if name != "bytes" {
                        return Ok(false);
                    }
                    bytes = reader.bytes()?.to_vec();
                    Ok(true)
                })?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if success {
            Ok(bytes)
        } else {
            Err(Error::new("provider_error", why))
        }
    }

    /// None if it is not there.
    pub fn info(&self, object: &str) -> Result<Option<Info>> {
        let named = || Writer::new().map(2).field("containerId", self.id).field("objectId", object);
        if !Reader::new(&self.ask("Blobstore.ObjectExists", named())?).bool()? {
            return Ok(None);
        }
        read_info(&mut Reader::new(&self.ask("Blobstore.GetObjectInfo", named())?)).map(Some)
    }

    /// Whether it was there.
    pub fn delete(&self, object: &str) -> Result<bool> {
        let there = self.info(object)?.is_some();
        let message = Writer::new().map(2).field("containerId", self.id).text("objects").array(1).text(object);
        let reply = self.ask("Blobstore.RemoveObjects", message)?;
        let mut reader = Reader::new(&reply);
        let failures = reader.array()?;
        if failures > 0 {
            return Err(Error::new("provider_error", format!("{object} cannot be removed")));
        }
        Ok(there)
    }

    /// The objects whose names begin like this, in the order of their names.
    pub fn list(&self, start: &str) -> Result<Vec<Info>> {
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let message = Writer::new().map(if next.is_some() { 3 } else { 2 });
            let mut message = message.field("containerId", self.id).field("startWith", start);
            if let Some(next) = &next {
                message = message.field("continuation", next);
            }
            let reply = self.ask("Blobstore.ListObjects", message)?;
            next = None;
            Reader::new(&reply).fields(|name, reader| {
                match name {
                    "objects" => {
                        for _ in 0..reader.array()? {
                            found.push(read_info(reader)?);
                        }
                    }
                    "continuation" => next = Some(reader.text()?.to_string()),
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
            if next.is_none() {
                return Ok(found);
            }
        }
    }
}

fn read_info(reader: &mut Reader<'_>) -> Result<Info> {
    let mut info = Info::default();
    reader.fields(|name, reader| {
        match name {
            "objectId" => info.name = reader.text()?.to_string(),
            "contentLength" => info.size = reader.int()? as u64,
            "contentType" => info.content_type = Some(reader.text()?.to_string()),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(info)
}
