//! Canonical tag-length-value: one byte of tag in strictly ascending order, two of length, big
//! endian. One value has one encoding, so that what is authenticated is what is meant.

/// A writer; fields must be put in ascending order of tag.
#[derive(Default)]
pub(in crate::keys) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(in crate::keys) fn after(prefix: &[u8]) -> Self {
        Self {
            bytes: prefix.to_vec(),
        }
    }

    /// Puts one field. A value longer than the form can say is cut, which the decoder's round trip
    /// then refuses; every value here is bounded far below.
    pub(in crate::keys) fn put(&mut self, tag: u8, value: &[u8]) {
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        self.bytes.push(tag);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(&value[..usize::from(length)]);
    }

    pub(in crate::keys) fn put_some(&mut self, tag: u8, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.put(tag, value);
        }
    }

    pub(in crate::keys) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// A reader that takes fields by tag, in order; what it is not asked for it refuses.
pub(in crate::keys) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(in crate::keys) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The field `tag` if it is the next one.
    pub(in crate::keys) fn take_if(&mut self, tag: u8) -> Result<Option<&'a [u8]>, Malformed> {
        match self.rest {
            [next, high, low, rest @ ..] if *next == tag => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                let (value, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
                self.rest = rest;
                Ok(Some(value))
            }
            _ => Ok(None),
        }
    }

    /// The field `tag`, which must be the next one.
    pub(in crate::keys) fn take(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        self.take_if(tag)?.ok_or(Malformed)
    }

    /// Nothing may be left: an unknown, repeated or misplaced tag is.
    pub(in crate::keys) fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }
}

/// The bytes are not the one encoding of any value this build knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::keys) struct Malformed;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_in_order_and_anything_else_is_malformed() {
        let mut writer = Writer::default();
        writer.put(1, b"a");
        writer.put_some(2, None);
        writer.put(3, b"");
        let bytes = writer.finish();
        assert_eq!(bytes, [1, 0, 1, b'a', 3, 0, 0]);
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.take(1), Ok(&b"a"[..]));
        assert_eq!(reader.take_if(2), Ok(None));
        assert_eq!(reader.take(2), Err(Malformed));
        assert_eq!(reader.take(3), Ok(&b""[..]));
        assert_eq!(reader.end(), Ok(()));
        assert_eq!(Reader::new(&[1, 0, 2, 0]).take(1), Err(Malformed));
        assert_eq!(Reader::new(&[1, 0]).take(1), Err(Malformed));
        assert_eq!(Reader::new(&[9]).end(), Err(Malformed));
    }
}
