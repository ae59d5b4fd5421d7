//! What is signed under Alipay's v3 protocol: HTTP requests and responses, line by line, as npm's
//! and Java's SDKs do it. UTF-8 and RSA2 only.
//!
//! Nothing is escaped in these lines, so what goes between them may have no line break, and what
//! goes into the authorization header no comma.

use crate::limits::{ALIPAY_NAME_BYTES_MAX, ALIPAY_TARGET_BYTES_MAX};

/// A request, as it will be sent.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`, `POST` …
    pub method: &'a str,
    /// The path, and the query exactly as it stands on the wire.
    pub target: &'a str,
    /// The body as it is sent: encrypted, where it is. Of a multipart body the `data` part's JSON.
    pub body: &'a [u8],
    /// The application.
    pub app_id: &'a str,
    /// The serial number of the application's certificate, in certificate mode.
    pub app_cert_sn: Option<&'a str>,
    /// The token of a merchant on whose behalf the application calls.
    pub app_auth_token: Option<&'a str>,
    /// Never the same twice.
    pub nonce: &'a str,
    /// Milliseconds since 1970.
    pub timestamp_ms: u64,
}

/// A field that cannot be signed as it is.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{field} cannot be signed as it is")]
pub struct Malformed {
    /// The field.
    pub field: &'static str,
}

impl Request<'_> {
    /// The string that is signed.
    ///
    /// # Errors
    /// [`Malformed`] where a field would change what the lines mean.
    pub fn string_to_sign(&self) -> Result<Vec<u8>, Malformed> {
        let check = |field, holds: bool| holds.then_some(()).ok_or(Malformed { field });
        let is_word = |text: &str| {
            let in_word = |byte: u8| byte.is_ascii_graphic() && byte != b',' && byte != b'=';
            (1..=ALIPAY_NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(in_word)
        };
        let method = self.method.bytes().all(|byte| byte.is_ascii_uppercase());
        let is_method = (1..=16).contains(&self.method.len()) && method;
        let is_target = self.target.starts_with('/')
            && self.target.len() <= ALIPAY_TARGET_BYTES_MAX
            && self.target.bytes().all(|byte| byte.is_ascii_graphic());
        check("method", is_method)?;
        check("target", is_target)?;
        check("app_id", is_word(self.app_id))?;
        check("app_cert_sn", self.app_cert_sn.is_none_or(is_word))?;
        check("nonce", is_word(self.nonce))?;
        // Commas and equals signs change nothing on a line of its own.
        let is_line = |text: &str| {
            (1..=ALIPAY_NAME_BYTES_MAX).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        check("app_auth_token", self.app_auth_token.is_none_or(is_line))?;
        let mut string = self.authorization().into_bytes();
        for line in [self.method.as_bytes(), self.target.as_bytes(), self.body] {
            string.push(b'\n');
            string.extend_from_slice(line);
        }
        if let Some(token) = self.app_auth_token {
            string.push(b'\n');
            string.extend_from_slice(token.as_bytes());
        }
        string.push(b'\n');
        Ok(string)
    }

    /// The value of the `authorization` header, with the signature in base64.
    #[must_use]
    pub fn header(&self, sign: &str) -> String {
        format!("{SCHEME} {},sign={sign}", self.authorization())
    }

    fn authorization(&self) -> String {
        let (app_id, nonce, timestamp) = (self.app_id, self.nonce, self.timestamp_ms);
        let app_cert_sn = self
            .app_cert_sn
            .map(|serial| format!(",app_cert_sn={serial}"))
            .unwrap_or_default();
        format!("app_id={app_id}{app_cert_sn},nonce={nonce},timestamp={timestamp}")
    }
}

/// The string that Alipay signs of a response: `alipay-timestamp`, `alipay-nonce` and the body as
/// raw as it came. The two headers have no line break, or they would be no headers.
#[must_use]
pub fn response_string(timestamp: &str, nonce: &str, body: &[u8]) -> Vec<u8> {
    [timestamp.as_bytes(), nonce.as_bytes(), body, b""].join(&b'\n')
}

/// A nonce of the usual form: a random UUID (RFC 9562, 5.4).
#[must_use]
pub fn nonce(mut random: [u8; 16]) -> String {
    random[6] = random[6] & 0x0F | 0x40;
    random[8] = random[8] & 0x3F | 0x80;
    let mut text = String::with_capacity(36);
    for (at, byte) in random.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

const SCHEME: &str = "ALIPAY-SHA256withRSA";

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: Request<'static> = Request {
        method: "POST",
        target: "/v3/alipay/trade/pay?a=%E4+1",
        body: b"{\n}",
        app_id: "2021",
        app_cert_sn: None,
        app_auth_token: None,
        nonce: "n",
        timestamp_ms: 7,
    };

    #[test]
    fn each_part_has_its_line() {
        let text = |request: Request| String::from_utf8(request.string_to_sign().unwrap()).unwrap();
        let lines = "app_id=2021,nonce=n,timestamp=7\nPOST\n/v3/alipay/trade/pay?a=%E4+1\n{\n}\n";
        assert_eq!(text(REQUEST), lines);
        let request = Request {
            app_auth_token: Some("t"),
            app_cert_sn: Some("5c"),
            body: b"",
            ..REQUEST
        };
        let lines = "app_id=2021,app_cert_sn=5c,nonce=n,timestamp=7\nPOST\n/v3/alipay/trade/pay?a=%E4+1\n\nt\n";
        assert_eq!(text(request), lines);
        let header = "ALIPAY-SHA256withRSA app_id=2021,nonce=n,timestamp=7,sign=AA==";
        assert_eq!(REQUEST.header("AA=="), header);
        assert_eq!(response_string("7", "n", b"{}"), b"7\nn\n{}\n");
    }

    #[test]
    fn what_would_change_the_lines_is_refused_by_its_name() {
        let refused = |field: &'static str, request: Request| {
            assert_eq!(
                request.string_to_sign(),
                Err(Malformed { field }),
                "{request:?}"
            );
        };
        for method in ["", "post", "GET\n", "ABCDEFGHIJKLMNOPQ"] {
            refused("method", Request { method, ..REQUEST });
        }
        for target in ["", "v3", "/a b", "/a\nb", "/\u{82b1}"] {
            refused("target", Request { target, ..REQUEST });
        }
        for word in ["", "a,b", "a=b", "a\nb", "a b"] {
            refused(
                "app_id",
                Request {
                    app_id: word,
                    ..REQUEST
                },
            );
            refused(
                "nonce",
                Request {
                    nonce: word,
                    ..REQUEST
                },
            );
            let app_cert_sn = Some(word);
            refused(
                "app_cert_sn",
                Request {
                    app_cert_sn,
                    ..REQUEST
                },
            );
        }
        for word in ["", "a\nb", "a b"] {
            let app_auth_token = Some(word);
            refused(
                "app_auth_token",
                Request {
                    app_auth_token,
                    ..REQUEST
                },
            );
        }
    }

    #[test]
    fn a_nonce_is_a_random_uuid() {
        assert_eq!(nonce([0xFF; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(nonce([0; 16]), "00000000-0000-4000-8000-000000000000");
    }
}
