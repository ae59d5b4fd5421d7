//! Where the members of a JSON object stand in its raw bytes. Signatures are over those bytes, so
//! nothing here builds a value, and what a value says inside is looked at only to find its end.
//!
//! Text that is not UTF-8 is read as GB 18030, whose second bytes may be `\`, `{` and `}`.

/// One member of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member<'a> {
    /// What stands between the name's quotes, escapes and all.
    pub(super) name: &'a [u8],
    /// The value from its first byte to its last.
    pub(super) value: &'a [u8],
}

/// This is no object, or something follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The members of the one object that `text` is, in order.
pub(super) fn members(text: &[u8]) -> Result<Vec<Member<'_>>, Malformed> {
    let mut reader = Reader {
        text,
        at: 0,
        pairs: in_pairs(text),
    };
    let mut members = Vec::new();
    reader.space();
    reader.expect(b'{')?;
    reader.space();
    if !reader.take(b'}') {
        loop {
            reader.space();
            let name = reader.string()?;
            reader.space();
            reader.expect(b':')?;
            reader.space();
            let value = reader.value()?;
            let name = name.get(1..name.len() - 1).unwrap_or_default();
            members.push(Member { name, value });
            reader.space();
            if reader.take(b'}') {
                break;
            }
            reader.expect(b',')?;
        }
    }
    reader.space();
    if reader.at == text.len() {
        Ok(members)
    } else {
        Err(Malformed)
    }
}

/// What a string value says, where it is one; what is not UTF-8 in it comes out as U+FFFD.
pub(super) fn text_of(value: &[u8]) -> Option<String> {
    let inner = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let inner = String::from_utf8_lossy(inner);
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        match rest.next()? {
            'n' => text.push('\n'),
            'r' => text.push('\r'),
            't' => text.push('\t'),
            'b' => text.push('\u{8}'),
            'f' => text.push('\u{c}'),
            'u' => {
                let digits: String = rest.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok()?;
                text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            itself => text.push(itself),
        }
    }
    Some(text)
}

/// Whether a byte above ASCII takes the next one with it: in everything that is not UTF-8.
pub(super) fn in_pairs(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_err()
}

/// Whether `lead` and the byte after it are one character, or half of one, of GB 18030.
pub(super) fn is_pair(lead: u8, trail: Option<u8>) -> bool {
    (0x81..=0xFE).contains(&lead) && trail.is_some_and(|trail| trail >= 0x30)
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    pairs: bool,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn since(&self, start: usize) -> &'a [u8] {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// A string with its quotes.
    fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let start = self.at;
        self.expect(b'"')?;
        loop {
            let byte = self.peek().ok_or(Malformed)?;
            let next = self.text.get(self.at + 1).copied();
            self.at += 1;
            match byte {
                b'"' => return Ok(self.since(start)),
                b'\\' if next.is_some() => self.at += 1,
                b'\\' => return Err(Malformed),
                _ if self.pairs && is_pair(byte, next) => self.at += 1,
                _ => {}
            }
        }
    }

    fn value(&mut self) -> Result<&'a [u8], Malformed> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{') => self.nested(b'{', b'}'),
            Some(b'[') => self.nested(b'[', b']'),
            _ => {
                let start = self.at;
                while !matches!(
                    self.peek(),
                    None | Some(b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n' | b'"' | b':')
                ) {
                    self.at += 1;
                }
                if self.at == start {
                    return Err(Malformed);
                }
                Ok(self.since(start))
            }
        }
    }

    /// From one bracket to the one that closes it; the other kind is not looked at.
    fn nested(&mut self, open: u8, close: u8) -> Result<&'a [u8], Malformed> {
        let start = self.at;
        let mut depth = 0usize;
        loop {
            let byte = self.peek().ok_or(Malformed)?;
            if byte == b'"' {
                self.string()?;
                continue;
            }
            self.at += 1;
            if byte == open {
                depth += 1;
            } else if byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(self.since(start));
                }
            }
        }
    }
}
