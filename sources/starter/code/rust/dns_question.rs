//! Zero-copy reader for DNS message headers and question sections.
//!
//! Names may be compressed: a pair of bytes whose two top bits are set is a
//! pointer to an earlier offset. Every pointer must aim strictly backwards,
//! which rules out loops without counting hops.

use std::fmt;

#[derive(Debug, PartialEq, Eq)]
pub enum Error {
    Truncated { at: usize },
    ForwardPointer { at: usize, to: usize },
    ReservedLabelType(u8),
    NameTooLong,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Truncated { at } => write!(f, "message ends early at byte {at}"),
            Error::ForwardPointer { at, to } => {
                write!(f, "name at byte {at} points forwards to {to}")
            }
            Error::ReservedLabelType(b) => write!(f, "reserved label type {b:#04x}"),
            Error::NameTooLong => f.write_str("name exceeds 255 bytes"),
        }
    }
}

impl std::error::Error for Error {}

type Result<T> = std::result::Result<T, Error>;

#[derive(Clone, Copy)]
struct Cursor<'m> {
    message: &'m [u8],
    pos: usize,
}

impl<'m> Cursor<'m> {
    fn take(&mut self, n: usize) -> Result<&'m [u8]> {
        let end = self.pos.checked_add(n).filter(|&e| e <= self.message.len());
        let end = end.ok_or(Error::Truncated { at: self.message.len() })?;
        let out = &self.message[self.pos..end];
        self.pos = end;
        Ok(out)
    }

    fn u8(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16> {
        let b = self.take(2)?;
        Ok(u16::from_be_bytes([b[0], b[1]]))
    }

    /// Reads a name, leaving the cursor after its in-place part.
    fn name(&mut self) -> Result<Name<'m>> {
        let mut labels = Vec::new();
        let mut wire_len = 1;
        let mut walk = *self;
        let mut resume = None;
        let mut floor = self.pos;
        loop {
            match walk.u8()? {
                0 => break,
                n @ 1..=63 => {
                    wire_len += usize::from(n) + 1;
                    if wire_len > 255 {
                        return Err(Error::NameTooLong);
                    }
                    labels.push(walk.take(usize::from(n))?);
                }
                hi @ 0xc0..=0xff => {
                    let to = usize::from(hi & 0x3f) << 8 | usize::from(walk.u8()?);
                    if to >= floor {
                        return Err(Error::ForwardPointer { at: self.pos, to });
                    }
                    resume.get_or_insert(walk.pos);
                    floor = to;
                    walk.pos = to;
                }
                other => return Err(Error::ReservedLabelType(other)),
            }
        }
        self.pos = resume.unwrap_or(walk.pos);
        Ok(Name { labels })
    }
}

#[derive(Debug, Clone)]
pub struct Name<'m> {
    labels: Vec<&'m [u8]>,
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.labels.is_empty() {
            return f.write_str(".");
        }
        for label in &self.labels {
            write!(f, "{}.", label.escape_ascii())?;
        }
        Ok(())
    }
}

#[derive(Debug)]
pub struct Question<'m> {
    pub name: Name<'m>,
    pub qtype: u16,
    pub class: u16,
}

/// Parses the fixed header and returns its id with all questions.
pub fn questions(message: &[u8]) -> Result<(u16, Vec<Question<'_>>)> {
    let mut c = Cursor { message, pos: 0 };
    let id = c.u16()?;
    let _flags = c.u16()?;
    let count = c.u16()?;
    c.take(6)?; // answer, authority and additional counts
    let list = (0..count)
        .map(|_| Ok(Question { name: c.name()?, qtype: c.u16()?, class: c.u16()? }))
        .collect::<Result<_>>()?;
    Ok((id, list))
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut packet = vec![0x1f, 0x07, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0];
    packet.extend_from_slice(b"\x04mail\x07example\x03org\0\0\x0f\0\x01");
    packet.extend_from_slice(b"\x03www\xc0\x11\0\x1c\0\x01"); // 0x11 = "example.org"

    let (id, list) = questions(&packet)?;
    for q in &list {
        println!("{id:#06x} {} type {} class {}", q.name, q.qtype, q.class);
    }
    assert_eq!(list[1].name.to_string(), "www.example.org.");
    assert_eq!(questions(&packet[..30]).unwrap_err(), Error::Truncated { at: 30 });
    Ok(())
}
