//! What a browser or a phone carries to Alipay: the signed parameters as a query string (page pay
//! by GET, app pay) or as a form (page pay by POST). The string-to-sign is that of any request;
//! this is only its wire form, as Java's `URLEncoder` writes it: a space becomes `+`, and the bytes
//! are those of the request's own charset.

use crate::domain::alipay::charset::Charset;
use crate::domain::alipay::{AlipayError, sorted};
use crate::limits::GATEWAY_URL_BYTES_MAX;

/// Where a browser sends the request: an http or https URL without a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayUrl<'a>(&'a str);

/// Not such a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an http or https URL without query and fragment")]
pub struct UrlMalformed;

/// A form that a browser posts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// Where to: the URL with every parameter but `biz_content`.
    pub action: String,
    /// The form in HTML, which posts itself when it is loaded.
    pub html: String,
}

impl<'a> GatewayUrl<'a> {
    /// Checks a URL. What may not stand in one as it is, or would end an attribute, is refused.
    pub fn parse(url: &'a str) -> Result<Self, UrlMalformed> {
        let host = url
            .strip_prefix("https://")
            .or_else(|| url.strip_prefix("http://"))
            .ok_or(UrlMalformed)?;
        let plain = host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/[]@!$()*+,;=%".contains(&byte));
        if !plain || host.is_empty() || host.starts_with('/') || url.len() > GATEWAY_URL_BYTES_MAX {
            return Err(UrlMalformed);
        }
        Ok(Self(url))
    }
}

/// The signed parameters as one query string, `sign` among them: what an app hands to Alipay's SDK.
pub fn query<'a>(
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    sign: &'a str,
) -> Result<String, AlipayError> {
    Ok(encoded(&Signed::of(parameters, sign)?, |_| true))
}

/// The URL that a browser is sent to.
pub fn url<'a>(
    gateway: GatewayUrl<'_>,
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    sign: &'a str,
) -> Result<String, AlipayError> {
    Ok(format!("{}?{}", gateway.0, query(parameters, sign)?))
}

/// The form that a browser posts: `biz_content` within, everything else in the URL.
pub fn form<'a>(
    gateway: GatewayUrl<'_>,
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    sign: &'a str,
) -> Result<Form, AlipayError> {
    let signed = Signed::of(parameters, sign)?;
    let within = |(name, _): &&(&str, &str)| *name == BIZ_CONTENT;
    if signed
        .pairs
        .iter()
        .filter(within)
        .any(|(_, value)| value.contains(CHANGED))
    {
        return Err(AlipayError::LineBreakInForm);
    }
    let query = encoded(&signed, |name| name != BIZ_CONTENT);
    let action = format!("{}?{query}", gateway.0);
    let hidden = signed.pairs.iter().filter(within).map(|(name, value)| {
        let value = escaped(value);
        format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">\n")
    });
    let html = format!(
        "<form id=\"{FORM}\" method=\"post\" accept-charset=\"{}\" action=\"{}\">\n{}\
         <input type=\"submit\" value=\"Pay\" style=\"display:none\">\n</form>\n\
         <script>document.getElementById(\"{FORM}\").submit();</script>\n",
        signed.charset.label(),
        escaped(&action),
        hidden.collect::<String>(),
    );
    Ok(Form { action, html })
}

/// What is sent: the parameters that were signed, and their signature in its place among them.
struct Signed<'a> {
    pairs: Vec<(&'a str, &'a str)>,
    charset: Charset,
}

impl<'a> Signed<'a> {
    fn of(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
        sign: &'a str,
    ) -> Result<Self, AlipayError> {
        let mut pairs = sorted(parameters)?;
        pairs.retain(|(name, value)| *name != SIGN && !value.is_empty());
        let place = pairs.partition_point(|(name, _)| *name < SIGN);
        pairs.insert(place, (SIGN, sign));
        let named = pairs.iter().find(|(name, _)| *name == "charset");
        let charset = match named {
            Some((_, label)) => Charset::parse(label).ok_or(AlipayError::CharsetUnknown)?,
            None => Charset::Utf8,
        };
        // Found out here, so that what is written from now on cannot fail.
        for (name, value) in &pairs {
            charset
                .encode(value, &mut Vec::new())
                .map_err(|_| AlipayError::Unmappable {
                    parameter: (*name).to_owned(),
                    charset: charset.label(),
                })?;
        }
        Ok(Self { pairs, charset })
    }
}

fn encoded(signed: &Signed<'_>, wanted: impl Fn(&str) -> bool) -> String {
    let mut query = String::new();
    for (name, value) in signed.pairs.iter().filter(|(name, _)| wanted(name)) {
        if !query.is_empty() {
            query.push('&');
        }
        percent_encode(name.as_bytes(), &mut query);
        query.push('=');
        let mut bytes = Vec::new();
        if signed.charset.encode(value, &mut bytes).is_ok() {
            percent_encode(&bytes, &mut query);
        }
    }
    query
}

/// application/x-www-form-urlencoded, upper-case hexadecimal.
fn percent_encode(bytes: &[u8], text: &mut String) {
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => {
                text.push(char::from(*byte));
            }
            b' ' => text.push('+'),
            byte => {
                text.push('%');
                text.push(char::from(HEX[usize::from(byte >> 4)]));
                text.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
}

/// Text within a quoted attribute of HTML.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            other => escaped.push(other),
        }
    }
    escaped
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";
/// What a browser posts as something else (HTML, 4.10.21.4, and its tokenizer): the signature would
/// not fit.
const CHANGED: [char; 3] = ['\r', '\n', '\0'];
const SIGN: &str = "sign";
const BIZ_CONTENT: &str = "biz_content";
const FORM: &str = "alipay_page_pay";
