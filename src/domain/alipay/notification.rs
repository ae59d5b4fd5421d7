//! What Alipay signs of an asynchronous notification, and of the query that brings a buyer back:
//! the form's parameters, percent-decoded once to bytes, sorted by name and joined, unescaped.
//!
//! Which parameters is told differently in different places: `sign_type` is left out of payment
//! notifications (V1) and signed in those of the application gateway (V2); empty values are left
//! out by Java's SDK and kept by others, and the documentation says both; `alipay_cert_sn` is left
//! out by some. So there are several readings, and a verifier says which one matched.

use crate::domain::alipay::charset::Charset;
use crate::limits::{ALIPAY_NAME_BYTES_MAX, ALIPAY_PARAMETERS_MAX};

/// A form, decoded once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Sorted by name, each name once.
    parameters: Vec<Parameter>,
}

/// One parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name: printable ASCII without `&` and `=`.
    pub name: String,
    /// Its value, in whatever charset it came.
    pub value: Vec<u8>,
}

/// Which parameters are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// `sign_type` is signed (V2).
    pub sign_type: bool,
    /// Parameters without a value are signed.
    pub empty_values: bool,
    /// `alipay_cert_sn` is signed, as every other parameter is.
    pub cert_sn: bool,
}

/// Why a form cannot be read.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum FormError {
    /// More parameters than a notification may have.
    #[error("more than {ALIPAY_PARAMETERS_MAX} parameters")]
    TooMany,
    /// A name that is empty, too long, or not printable ASCII without `&` and `=`.
    #[error("a parameter's name is not 1 to {ALIPAY_NAME_BYTES_MAX} printable characters")]
    Name,
    /// The same name twice.
    #[error("a parameter is given twice")]
    Twice,
}

impl Reading {
    /// Every reading, the usual ones first.
    pub const ALL: [Self; 8] = [
        Self::new(false, false, true),
        Self::new(false, true, true),
        Self::new(true, false, true),
        Self::new(true, true, true),
        Self::new(false, false, false),
        Self::new(false, true, false),
        Self::new(true, false, false),
        Self::new(true, true, false),
    ];

    const fn new(sign_type: bool, empty_values: bool, cert_sn: bool) -> Self {
        Self {
            sign_type,
            empty_values,
            cert_sn,
        }
    }

    /// Whether a parameter is signed.
    #[must_use]
    pub fn has(self, parameter: &Parameter) -> bool {
        let named = match parameter.name.as_str() {
            "sign" => false,
            "sign_type" => self.sign_type,
            "alipay_cert_sn" => self.cert_sn,
            _ => true,
        };
        named && (self.empty_values || !parameter.value.is_empty())
    }
}

impl Notification {
    /// Reads a form: `application/x-www-form-urlencoded`, as raw as it came. A `%` without two
    /// hexadecimal digits stands for itself; the signature will tell.
    ///
    /// # Errors
    /// [`FormError`].
    pub fn parse(form: &[u8]) -> Result<Self, FormError> {
        Self::parse_with(form, decoded)
    }

    /// Reads a form whose values decode so.
    pub(super) fn parse_with(
        form: &[u8],
        value_of: impl Fn(&[u8]) -> Vec<u8>,
    ) -> Result<Self, FormError> {
        let mut parameters = Vec::new();
        for pair in form.split(|byte| *byte == b'&') {
            if pair.is_empty() {
                continue;
            }
            if parameters.len() == ALIPAY_PARAMETERS_MAX {
                return Err(FormError::TooMany);
            }
            let at = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = match at {
                Some(at) => (
                    pair.get(..at).unwrap_or_default(),
                    pair.get(at + 1..).unwrap_or_default(),
                ),
                None => (pair, [].as_slice()),
            };
            let name = decoded(name);
            let in_name = |byte: &u8| byte.is_ascii_graphic() && *byte != b'&' && *byte != b'=';
            if name.is_empty() || name.len() > ALIPAY_NAME_BYTES_MAX || !name.iter().all(in_name) {
                return Err(FormError::Name);
            }
            parameters.push(Parameter {
                name: String::from_utf8(name).map_err(|_| FormError::Name)?,
                value: value_of(value),
            });
        }
        parameters.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        if parameters
            .windows(2)
            .any(|pair| pair[0].name == pair[1].name)
        {
            return Err(FormError::Twice);
        }
        Ok(Self { parameters })
    }

    /// The parameters, sorted by name.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The value of a parameter that is not empty.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        let found = self
            .parameters
            .iter()
            .find(|parameter| parameter.name == name);
        found
            .map(|parameter| parameter.value.as_slice())
            .filter(|value| !value.is_empty())
    }

    /// What a value says, in the charset that the form names, utf-8 where it names none; none where
    /// it is not of that charset.
    #[must_use]
    pub fn text(&self, value: &[u8]) -> Option<String> {
        let charset = match self.value("charset") {
            Some(label) => Charset::parse(std::str::from_utf8(label).ok()?)?,
            None => Charset::Utf8,
        };
        charset.decode(value)
    }

    /// The string that was signed, by one reading.
    #[must_use]
    pub fn string_to_sign(&self, reading: Reading) -> Vec<u8> {
        joined(self.parameters.iter().filter(|it| reading.has(it)))
    }

    /// Every string that may have been signed, each once, the usual ones first.
    #[must_use]
    pub fn strings_to_sign(&self) -> Vec<(Reading, Vec<u8>)> {
        let mut strings: Vec<(Reading, Vec<u8>)> = Vec::new();
        for reading in Reading::ALL {
            let string = self.string_to_sign(reading);
            if !strings.iter().any(|(_, known)| *known == string) {
                strings.push((reading, string));
            }
        }
        strings
    }

    /// Whether the string that was signed reads as other parameters too: a value has an `&` and
    /// then a `=`. Alipay's rule escapes nothing, so the signature does not say where a value ends.
    #[must_use]
    pub fn is_ambiguous(&self, reading: Reading) -> bool {
        let mut signed = self.parameters.iter().filter(|it| reading.has(it));
        signed.any(|parameter| {
            let mut parts = parameter.value.split(|byte| *byte == b'&').skip(1);
            parts.any(|part| part.contains(&b'='))
        })
    }

    /// The same parameters without one of them.
    pub(super) fn without(&self, name: &str) -> Self {
        let kept = self.parameters.iter().filter(|it| it.name != name);
        Self {
            parameters: kept.cloned().collect(),
        }
    }

    /// The same parameters with other values; none where nothing changes. `sign` stays.
    pub(super) fn mapped(&self, map: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Option<Self> {
        let mut changed = self.clone();
        let mut any = false;
        for parameter in &mut changed.parameters {
            if parameter.name != "sign"
                && let Some(value) = map(&parameter.value)
            {
                any |= parameter.value != value;
                parameter.value = value;
            }
        }
        any.then_some(changed)
    }
}

/// `name=value`, joined with `&`.
fn joined<'a>(parameters: impl Iterator<Item = &'a Parameter>) -> Vec<u8> {
    let mut string = Vec::new();
    for Parameter { name, value } in parameters {
        if !string.is_empty() {
            string.push(b'&');
        }
        string.extend_from_slice(name.as_bytes());
        string.push(b'=');
        string.extend_from_slice(value);
    }
    string
}

/// Percent-decoded once; `+` is a space.
fn decoded(text: &[u8]) -> Vec<u8> {
    percent_decoded(text, true)
}

/// Percent-decoded once, with `+` as a space or as itself.
pub(super) fn percent_decoded(text: &[u8], plus_is_space: bool) -> Vec<u8> {
    let digit = |at: usize| {
        let byte = text.get(at).copied()?;
        char::from(byte)
            .to_digit(16)
            .and_then(|it| u8::try_from(it).ok())
    };
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        match (byte, digit(at), digit(at + 1)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(high << 4 | low);
                at += 2;
            }
            (b'+', ..) if plus_is_space => decoded.push(b' '),
            _ => decoded.push(byte),
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(form: &str) -> Vec<String> {
        let notification = Notification::parse(form.as_bytes()).unwrap();
        let strings = notification.strings_to_sign().into_iter();
        strings
            .map(|(_, string)| String::from_utf8(string).unwrap())
            .collect()
    }

    #[test]
    fn a_value_is_decoded_once_to_bytes() {
        let notification = Notification::parse(b"b=%BB%A8+%2B%25&a=%zz%4&sign=s").unwrap();
        assert_eq!(notification.value("b"), Some(b"\xBB\xA8 +%".as_slice()));
        assert_eq!(notification.value("a"), Some(b"%zz%4".as_slice()));
        assert_eq!(notification.value("c"), None);
    }

    #[test]
    fn sign_is_never_signed_and_sign_type_empty_values_and_the_certificate_are_both_ways() {
        assert_eq!(strings("b=2&a=1&sign=s"), ["a=1&b=2"]);
        assert_eq!(
            strings("a=1&sign_type=RSA2&sign=s"),
            ["a=1", "a=1&sign_type=RSA2"]
        );
        assert_eq!(strings("a=1&e=&sign=s"), ["a=1", "a=1&e="]);
        let form = "a=1&alipay_cert_sn=5c&e=&sign_type=RSA2&sign=s";
        assert_eq!(
            strings(form),
            [
                "a=1&alipay_cert_sn=5c",
                "a=1&alipay_cert_sn=5c&e=",
                "a=1&alipay_cert_sn=5c&sign_type=RSA2",
                "a=1&alipay_cert_sn=5c&e=&sign_type=RSA2",
                "a=1",
                "a=1&e=",
                "a=1&sign_type=RSA2",
                "a=1&e=&sign_type=RSA2",
            ]
        );
    }

    #[test]
    fn names_that_are_no_names_or_there_twice_are_refused() {
        for form in ["=1", "a%26b=1", "a%3Db=1", "a+b=1", "%E8=1"] {
            assert_eq!(
                Notification::parse(form.as_bytes()),
                Err(FormError::Name),
                "{form}"
            );
        }
        assert_eq!(Notification::parse(b"a=1&%61=2"), Err(FormError::Twice));
        let many: Vec<String> = (0..=ALIPAY_PARAMETERS_MAX)
            .map(|n| format!("p{n}="))
            .collect();
        assert_eq!(
            Notification::parse(many.join("&").as_bytes()),
            Err(FormError::TooMany)
        );
        assert_eq!(Notification::parse(b"&&a&").unwrap().parameters().len(), 1);
    }

    #[test]
    fn a_value_that_holds_a_parameter_is_ambiguous() {
        let is = |form: &[u8]| {
            let [first, ..] = Reading::ALL;
            Notification::parse(form).unwrap().is_ambiguous(first)
        };
        assert!(is(b"subject=x%26total_amount%3D9&total_amount=1"));
        assert!(!is(b"subject=x+%26+y&note=a%3Db&sign=%26a%3Db"));
    }
}
