//! MessagePack, as far as the contracts use it. For contracts that this crate has no module for.
use crate::error::{Error, Result};

/// Writes one message.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub fn new() -> Self {
        Self::default()
    }

    /// A map of `count` pairs follows.
    pub fn map(mut self, count: usize) -> Self {
        self.head(count, 0x80, 15, [0xde, 0xde, 0xdf]);
        self
    }

    /// `count` values follow.
    pub fn array(mut self, count: usize) -> Self {
        self.head(count, 0x90, 15, [0xdc, 0xdc, 0xdd]);
        self
    }

    pub fn text(mut self, text: &str) -> Self {
        self.head(text.len(), 0xa0, 31, [0xd9, 0xda, 0xdb]);
        self.bytes.extend_from_slice(text.as_bytes());
        self
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        match bytes.len() {
            size @ 0..=0xff => self.bytes.extend_from_slice(&[0xc4, size as u8]),
            size => self.sized(size, [0xc5, 0xc6]),
        }
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub fn int(mut self, number: i64) -> Self {
        match number {
            -32..=0x7f => self.bytes.push(number as u8),
            _ => {
                self.bytes.push(0xd3);
                self.bytes.extend_from_slice(&number.to_be_bytes());
            }
        }
        self
    }

    pub fn bool(mut self, yes: bool) -> Self {
        self.bytes.push(0xc2 + u8::from(yes));
        self
    }

    pub fn nil(mut self) -> Self {
        self.bytes.push(0xc0);
        self
    }

    /// A text under a name.
    pub fn field(self, name: &str, value: &str) -> Self {
        self.text(name).text(value)
    }

    pub fn done(self) -> Vec<u8> {
        self.bytes
    }

    /// `small` up to `most`; else one byte (texts only), two or four.
    fn head(&mut self, count: usize, small: u8, most: usize, marks: [u8; 3]) {
        if count <= most {
            self.bytes.push(small | count as u8);
        } else if count <= 0xff && marks[0] != marks[1] {
            self.bytes.extend_from_slice(&[marks[0], count as u8]);
        } else {
            self.sized(count, [marks[1], marks[2]]);
        }
    }

    fn sized(&mut self, count: usize, marks: [u8; 2]) {
        if count <= 0xffff {
            self.bytes.push(marks[0]);
            self.bytes.extend_from_slice(&(count as u16).to_be_bytes());
        } else {
            self.bytes.push(marks[1]);
            self.bytes.extend_from_slice(&(count as u32).to_be_bytes());
        }
    }
}

/// Reads one message. Every function takes the next value, and fails when it is another kind.
pub struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(message: &'a [u8]) -> Self {
        Self { left: message }
    }

    fn take(&mut self, size: usize) -> Result<&'a [u8]> {
        if size > self.left.len() {
            return Err(Error::malformed("a message"));
        }
        let (taken, left) = self.left.split_at(size);
        self.left = left;
        Ok(taken)
    }

    fn number(&mut self, size: usize) -> Result<u64> {
        Ok(self.take(size)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn mark(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    /// A count of things of which each has at least one byte: a larger one is a lie, found before room is made for it.
    fn count(&mut self, size: usize) -> Result<usize> {
        let count = self.number(size)?;
        if count > self.left.len() as u64 {
            return Err(Error::malformed("a message"));
        }
        Ok(count as usize)
    }

    /// How many pairs follow.
    pub fn map(&mut self) -> Result<usize> {
        match self.mark()? {
            mark @ 0x80..=0x8f => Ok(usize::from(mark & 0x0f)),
            0xde => self.count(2),
            0xdf => self.count(4),
            _ => Err(Error::malformed("a map of a message")),
        }
    }

    /// How many values follow.
    pub fn array(&mut self) -> Result<usize> {
        match self.mark()? {
            mark @ 0x90..=0x9f => Ok(usize::from(mark & 0x0f)),
            0xdc => self.count(2),
            0xdd => self.count(4),
            _ => Err(Error::malformed("an array of a message")),
        }
    }

    pub fn text(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Error::malformed("a text that is not UTF-8"))
    }

    /// Bytes, also of a text.
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let size = match self.mark()? {
            mark @ 0xa0..=0xbf => usize::from(mark & 0x1f),
            0xc4 | 0xd9 => self.count(1)?,
            0xc5 | 0xda => self.count(2)?,
            0xc6 | 0xdb => self.count(4)?,
            _ => return Err(Error::malformed("a text of a message")),
        };
        self.take(size)
    }

    pub fn int(&mut self) -> Result<i64> {
        match self.mark()? {
            mark @ 0x00..=0x7f => Ok(i64::from(mark)),
            mark @ 0xe0..=0xff => Ok(i64::from(mark as i8)),
            0xcc => Ok(self.number(1)? as i64),
            0xcd => Ok(self.number(2)? as i64),
            0xce => Ok(self.number(4)? as i64),
            0xcf => i64::try_from(self.number(8)?).map_err(|_| Error::malformed("a number")),
            0xd0 => Ok(i64::from(self.number(1)? as i8)),
            0xd1 => Ok(i64::from(self.number(2)? as i16)),
            0xd2 => Ok(i64::from(self.number(4)? as i32)),
            0xd3 => Ok(self.number(8)? as i64),
            _ => Err(Error::malformed("a number of a message")),
        }
    }

    pub fn bool(&mut self) -> Result<bool> {
        match self.mark()? {
            0xc2 => Ok(false),
            0xc3 => Ok(true),
            _ => Err(Error::malformed("a yes or no of a message")),
        }
    }

    pub fn texts(&mut self) -> Result<Vec<String>> {
        let count = self.array()?;
        let mut texts = Vec::with_capacity(count);
        for _ in 0..count {
            texts.push(self.text()?.to_string());
        }
        Ok(texts)
    }

    /// True when the next value is nil, which is taken.
    pub fn nil(&mut self) -> bool {
        let is_nil = self.left.first() == Some(&0xc0);
        if is_nil {
            self.left = &self.left[1..];
        }
        is_nil
    }

    /// Passes over one value with all that is in it.
    pub fn skip(&mut self) -> Result<()> {
        let mut values: u64 = 1;
        while values > 0 {
            values -= 1;
            match self.mark()? {
                0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => {}
                mark @ 0x80..=0x8f => values += 2 * u64::from(mark & 0x0f),
                mark @ 0x90..=0x9f => values += u64::from(mark & 0x0f),
                mark @ 0xa0..=0xbf => drop(self.take(usize::from(mark & 0x1f))?),
                mark @ 0xc4..=0xc6 => self.skip_sized(mark - 0xc4, 0)?,
                mark @ 0xc7..=0xc9 => self.skip_sized(mark - 0xc7, 1)?,
                mark @ 0xd9..=0xdb => self.skip_sized(mark - 0xd9, 0)?,
                0xcc | 0xd0 => drop(self.take(1)?),
                0xcd | 0xd1 => drop(self.take(2)?),
                0xca | 0xce | 0xd2 => drop(self.take(4)?),
                0xcb | 0xcf | 0xd3 => drop(self.take(8)?),
                mark @ 0xd4..=0xd8 => drop(self.take(1 + (1 << (mark - 0xd4)))?),
                0xdc => values += self.count(2)? as u64,
                0xdd => values += self.count(4)? as u64,
                0xde => values += 2 * self.count(2)? as u64,
                0xdf => values += 2 * self.count(4)? as u64,
                _ => return Err(Error::malformed("a message")),
            }
        }
        Ok(())
    }

    fn skip_sized(&mut self, power: u8, more: usize) -> Result<()> {
        let size = self.count(1 << power)?;
        self.take(size + more).map(drop)
    }

    /// The fields of a struct: `take` reads the value of those it knows and says so. Nil counts as not there.
    pub fn fields(&mut self, mut take: impl FnMut(&str, &mut Self) -> Result<bool>) -> Result<()> {
        for _ in 0..self.map()? {
            let name = self.text()?;
            if !self.nil() && !take(name, self)? {
                self.skip()?;
            }
        }
        Ok(())
    }
}
