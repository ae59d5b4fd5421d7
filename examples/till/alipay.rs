//! The way to Alipay and back: every request signed by Pintle before anything is sent, every answer
//! and notification verified by Pintle before anything is read. The till has no key.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use encoding_rs::Encoding;
use pintle::client::Client;
use pintle::service::pb::v1::{
    KeyRef, NotificationParameter, SignRequestRequest, VerifyNotificationRequest,
    VerifyResponseRequest,
};
use serde_json::Value;

use super::http;

/// What the shop's app is, and which keys of Pintle stand for both sides.
#[derive(Clone, Debug)]
pub struct App {
    /// `app_id`.
    pub app_id: String,
    /// The name of the app's signing key.
    pub app_key: String,
    /// The name of Alipay's public key.
    pub alipay_key: String,
    /// `sign_type`: RSA, RSA2 or SM2, as both keys have it.
    pub sign_type: String,
    /// `charset`: utf-8 or gbk.
    pub charset: String,
    /// Where requests go.
    pub gateway: String,
    /// How long an answer may take.
    pub patience: Duration,
}

/// Both ends: Pintle and Alipay.
#[derive(Clone)]
pub struct Alipay {
    app: App,
    pintle: Client,
    counts: Arc<Counts>,
}

/// Answers and notifications.
#[derive(Default)]
struct Counts {
    verified: AtomicU32,
    refused: AtomicU32,
}

/// A request that is signed and was not sent.
pub struct Signed {
    method: String,
    form: String,
}

/// Alipay's word: the content of an answer whose signature is right.
#[derive(Clone, Debug)]
pub struct Answer {
    content: Value,
}

/// Why there is no word of Alipay's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// No answer in time, or not whole: whatever was asked may have been done.
    NoAnswer,
    /// An answer that Alipay did not sign, or that is about something else.
    NotAlipay,
    /// Pintle does not answer: it cannot be known whose answer it is.
    NotVerified,
}

impl Alipay {
    /// Both ends.
    pub fn new(app: App, pintle: Client) -> Self {
        Self {
            app,
            pintle,
            counts: Arc::default(),
        }
    }

    /// Signs. Where this fails, nothing was sent, and giving up is safe.
    ///
    /// # Errors
    /// What Pintle says.
    pub async fn sign(
        &self,
        method: &str,
        content: &Value,
        notify_url: &str,
    ) -> Result<Signed, pintle::client::Error> {
        let time = jiff::tz::offset(8).to_datetime(jiff::Timestamp::now());
        let mut parameters: HashMap<String, String> = [
            ("app_id", self.app.app_id.clone()),
            ("method", method.to_owned()),
            ("format", "JSON".to_owned()),
            ("charset", self.app.charset.clone()),
            ("sign_type", self.app.sign_type.clone()),
            ("timestamp", time.strftime("%Y-%m-%d %H:%M:%S").to_string()),
            ("version", "1.0".to_owned()),
            ("biz_content", content.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        if !notify_url.is_empty() {
            parameters.insert("notify_url".to_owned(), notify_url.to_owned());
        }
        let asked = SignRequestRequest {
            key: key(&self.app.app_key),
            parameters: parameters.clone(),
            ..SignRequestRequest::default()
        };
        let sign = self.pintle.sign_request(asked).await?.sign;
        parameters.insert("sign".to_owned(), sign);
        let encoding = self.encoding();
        let fields: Vec<(&str, Vec<u8>)> = parameters
            .iter()
            .map(|(name, value)| (name.as_str(), encoding.encode(value).0.into_owned()))
            .collect();
        Ok(Signed {
            method: method.to_owned(),
            form: http::form(&fields),
        })
    }

    /// Sends, and has the answer verified.
    ///
    /// # Errors
    /// [`Silence`].
    pub async fn send(&self, signed: Signed) -> Result<Answer, Silence> {
        let posted = http::post(&self.app.gateway, signed.form, self.app.patience).await;
        let body = posted.ok_or(Silence::NoAnswer)?;
        let asked = VerifyResponseRequest {
            key: key(&self.app.alipay_key),
            body,
            method: signed.method,
            ..VerifyResponseRequest::default()
        };
        let answer = match self.pintle.verify_response(asked).await {
            Ok(answer) if answer.valid => {
                self.count(true);
                answer
            }
            // A body that is no answer of Alipay's is refused as a whole.
            Ok(_) => {
                self.count(false);
                return Err(Silence::NotAlipay);
            }
            Err(pintle::client::Error::Refused(refused))
                if refused.code == tonic::Code::InvalidArgument =>
            {
                self.count(false);
                return Err(Silence::NotAlipay);
            }
            Err(_) => return Err(Silence::NotVerified),
        };
        let (text, _, _) = self.encoding().decode(&answer.content);
        let content = serde_json::from_str(&text).map_err(|_| Silence::NotAlipay)?;
        Ok(Answer { content })
    }

    /// Answers and notifications of which Pintle said that they are Alipay's, and that they are not.
    pub fn counts(&self) -> (u32, u32) {
        let read = |count: &AtomicU32| count.load(Ordering::Relaxed);
        (read(&self.counts.verified), read(&self.counts.refused))
    }

    /// One more.
    pub(super) fn count(&self, verified: bool) {
        let count = if verified {
            &self.counts.verified
        } else {
            &self.counts.refused
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// `app_id`.
    pub fn app_id(&self) -> &str {
        &self.app.app_id
    }

    /// The parameters that Alipay has signed in a notification; nothing where it has not.
    pub async fn verified_notification(&self, form: &[u8]) -> Option<Vec<NotificationParameter>> {
        let asked = VerifyNotificationRequest {
            key: key(&self.app.alipay_key),
            form: form.to_vec(),
            ..VerifyNotificationRequest::default()
        };
        let answer = self.pintle.verify_notification(asked).await.ok();
        let valid = answer.filter(|answer| answer.valid);
        self.count(valid.is_some());
        Some(valid?.parameters)
    }

    fn encoding(&self) -> &'static Encoding {
        Encoding::for_label(self.app.charset.as_bytes()).unwrap_or(encoding_rs::UTF_8)
    }
}

impl Answer {
    /// `code`.
    pub fn code(&self) -> &str {
        self.text("code")
    }

    /// A field of text; empty where there is none.
    pub fn text(&self, name: &str) -> &str {
        self.content
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// An amount, in fen.
    pub fn fen(&self, name: &str) -> Option<u64> {
        fen(self.text(name))
    }

    /// Whether Huabei paid.
    pub fn by_huabei(&self) -> bool {
        let bills = self.content.get("fund_bill_list").and_then(Value::as_array);
        bills.is_some_and(|bills| {
            bills
                .iter()
                .any(|bill| bill.get("fund_channel").and_then(Value::as_str) == Some("PCREDIT"))
        })
    }
}

/// Yuan with two decimals.
pub fn yuan(fen: u64) -> String {
    format!("{}.{:02}", fen / 100, fen % 100)
}

/// Fen of yuan with two decimals, as Alipay writes it.
pub fn fen(yuan: &str) -> Option<u64> {
    let (whole, part) = yuan.split_once('.')?;
    let digits = whole.len() <= 12 && part.len() == 2;
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| !text.starts_with('+'));
    digits.then_some(())?;
    number(whole)?.checked_mul(100)?.checked_add(number(part)?)
}

fn key(name: &str) -> Option<KeyRef> {
    Some(KeyRef {
        name: name.to_owned(),
        ..KeyRef::default()
    })
}
