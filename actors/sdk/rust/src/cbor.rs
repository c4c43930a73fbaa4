//! CBOR, as far as parameters and rows of SQL use it.
use crate::error::{Error, Result};
use crate::sql::Value;

/// Arrays inside each other. A row is one, and what databases put into it is flat.
const DEPTH_MAX: usize = 16;

pub(crate) fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        Value::Null => out.push(0xf6),
        Value::Bool(yes) => out.push(0xf4 + u8::from(*yes)),
        Value::Integer(number) if *number < 0 => head(&mut out, 1, !*number as u64),
        Value::Integer(number) => head(&mut out, 0, *number as u64),
        Value::Float(number) => {
            out.push(0xfb);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Text(text) => {
            head(&mut out, 3, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
        Value::Bytes(bytes) => {
            head(&mut out, 2, bytes.len() as u64);
            out.extend_from_slice(bytes);
        }
    }
    out
}

fn head(out: &mut Vec<u8>, major: u8, number: u64) {
    let major = major << 5;
    if number < 24 {
        out.push(major | number as u8);
    } else if number <= 0xff {
        out.extend_from_slice(&[major | 24, number as u8]);
    } else if number <= 0xffff_ffff {
        out.push(major | 26);
        out.extend_from_slice(&(number as u32).to_be_bytes());
    } else {
        out.push(major | 27);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

/// An array of arrays of plain values.
pub(crate) fn rows(data: &[u8]) -> Result<Vec<Vec<Value>>> {
    let mut reader = Reader { left: data };
    let count = reader.array()?;
    let mut rows = Vec::with_capacity(count);
    for _ in 0..count {
        let width = reader.array()?;
        let mut row = Vec::with_capacity(width);
        for _ in 0..width {
            row.push(reader.value(0)?);
        }
        rows.push(row);
    }
    Ok(rows)
}

struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    fn malformed<T>() -> Result<T> {
        Err(Error::malformed("a row of the result"))
    }

    fn take(&mut self, size: usize) -> Result<&'a [u8]> {
        if size > self.left.len() {
            return Self::malformed();
        }
        let (taken, left) = self.left.split_at(size);
        self.left = left;
        Ok(taken)
    }

    /// Major type, the five bits below it, and the number they lead to.
    fn head(&mut self) -> Result<(u8, u8, u64)> {
        let first = self.take(1)?[0];
        let (major, short) = (first >> 5, first & 31);
        let number = match short {
            0..=23 => u64::from(short),
            24..=27 => self.take(1 << (short - 24))?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)),
            _ => return Self::malformed(),
        };
        Ok((major, short, number))
    }

    fn size(&self, number: u64) -> Result<usize> {
        if number > self.left.len() as u64 {
            return Self::malformed();
        }
        Ok(number as usize)
    }

    fn array(&mut self) -> Result<usize> {
        match self.head()? {
            (4, _, count) => self.size(count),
            _ => Self::malformed(),
        }
    }

    /// A tag is left off: what it marks has a plain form of its own. Arrays and maps have none here.
    fn value(&mut self, depth: usize) -> Result<Value> {
        let (major, short, number) = self.head()?;
        match (major, short) {
            (0, _) => Ok(i64::try_from(number).map_or(Value::Float(number as f64), Value::Integer)),
            (1, _) => Ok(i64::try_from(number).map_or(Value::Float(-1.0 - number as f64), |n| Value::Integer(!n))),
            (2, _) => {
                let size = self.size(number)?;
                Ok(Value::Bytes(self.take(size)?.to_vec()))
            }
            (3, _) => {
                let size = self.size(number)?;
                match std::str::from_utf8(self.take(size)?) {
                    Ok(text) => Ok(Value::Text(text.to_string())),
                    Err(_) => Self::malformed(),
                }
            }
            (6, _) if depth < DEPTH_MAX => self.value(depth + 1),
            (7, 20) => Ok(Value::Bool(false)),
            (7, 21) => Ok(Value::Bool(true)),
            (7, 22 | 23) => Ok(Value::Null),
            (7, 25) => Ok(Value::Float(half(number as u16))),
            (7, 26) => Ok(Value::Float(f64::from(f32::from_bits(number as u32)))),
            (7, 27) => Ok(Value::Float(f64::from_bits(number))),
            _ => Self::malformed(),
        }
    }
}

/// A float of 16 bits.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (bits >> 10 & 31, f64::from(bits & 1023));
    let size = match exponent {
        0 => fraction / 16_777_216.0,
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * (f64::from(exponent) - 15.0).exp2(),
    };
    if bits & 0x8000 == 0 {
        size
    } else {
        -size
    }
}
