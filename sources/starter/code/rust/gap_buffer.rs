//! A gap buffer: the text structure behind many simple editors.
//!
//! The text lives in one allocation with a hole at the cursor. Typing fills
//! the hole; moving the cursor shifts bytes from one side of it to the other.
//! The two halves are each valid UTF-8, because the gap only ever rests on
//! character boundaries.

use std::fmt;
use std::ops::Range;

#[derive(Clone, Default)]
pub struct GapBuffer {
    bytes: Vec<u8>,
    gap: Range<usize>,
}

impl GapBuffer {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn len(&self) -> usize {
        self.bytes.len() - self.gap.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The cursor, as a byte offset into the text.
    pub fn cursor(&self) -> usize {
        self.gap.start
    }

    pub fn halves(&self) -> (&str, &str) {
        let utf8 = |b| std::str::from_utf8(b).expect("gap lies on a char boundary");
        (utf8(&self.bytes[..self.gap.start]), utf8(&self.bytes[self.gap.end..]))
    }

    pub fn chars(&self) -> impl Iterator<Item = char> + '_ {
        let (before, after) = self.halves();
        before.chars().chain(after.chars())
    }

    fn is_boundary(&self, offset: usize) -> bool {
        let (before, after) = self.halves();
        match offset.checked_sub(before.len()) {
            None => before.is_char_boundary(offset),
            Some(rest) => after.is_char_boundary(rest),
        }
    }

    /// Moves the cursor to `offset`, or reports `None` if that would split
    /// a character or lie past the end.
    pub fn seek(&mut self, offset: usize) -> Option<()> {
        if !self.is_boundary(offset) {
            return None;
        }
        let Range { start, end } = self.gap.clone();
        if offset < start {
            self.bytes.copy_within(offset..start, end - (start - offset));
        } else {
            self.bytes.copy_within(end..end + (offset - start), start);
        }
        self.gap = offset..offset + (end - start);
        Some(())
    }

    pub fn insert(&mut self, text: &str) {
        if self.gap.len() < text.len() {
            self.grow(text.len());
        }
        let end = self.gap.start + text.len();
        self.bytes[self.gap.start..end].copy_from_slice(text.as_bytes());
        self.gap.start = end;
    }

    /// Deletes the character before the cursor and returns it.
    pub fn backspace(&mut self) -> Option<char> {
        let c = self.halves().0.chars().next_back()?;
        self.gap.start -= c.len_utf8();
        Some(c)
    }

    pub fn delete(&mut self) -> Option<char> {
        let c = self.halves().1.chars().next()?;
        self.gap.end += c.len_utf8();
        Some(c)
    }

    fn grow(&mut self, need: usize) {
        let tail = self.bytes.len() - self.gap.end;
        let new_gap = need.max(self.len() / 2).max(32);
        let old_end = self.gap.end;
        self.bytes.resize(self.gap.start + new_gap + tail, 0);
        self.gap.end = self.gap.start + new_gap;
        self.bytes.copy_within(old_end..old_end + tail, self.gap.end);
    }
}

impl fmt::Display for GapBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = self.halves();
        f.write_str(before)?;
        f.write_str(after)
    }
}

impl From<&str> for GapBuffer {
    fn from(text: &str) -> Self {
        let mut buf = Self::new();
        buf.insert(text);
        buf
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_in_the_middle_keeps_both_halves() {
        let mut b = GapBuffer::from("für Elise");
        b.seek(4).unwrap();
        b.insert(" die liebe");
        assert_eq!(b.to_string(), "für die liebe Elise");
        assert_eq!(b.halves(), ("für die liebe", " Elise"));
    }

    #[test]
    fn seek_refuses_to_split_a_character() {
        let mut b = GapBuffer::from("naïve");
        assert_eq!(b.seek(3), None);
        assert_eq!(b.seek(7), None);
        assert_eq!(b.seek(6), Some(()));
    }

    #[test]
    fn erasing_works_on_either_side_of_the_cursor() {
        let mut b = GapBuffer::from("a€b");
        b.seek(4).unwrap();
        assert_eq!(b.delete(), Some('b'));
        assert_eq!(b.backspace(), Some('€'));
        assert_eq!(b.chars().collect::<String>(), "a");
        assert_eq!(b.delete(), None);
    }
}
