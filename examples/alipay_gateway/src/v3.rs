//! The v3 protocol: JSON bodies, the signature in `authorization`, the answer's in its headers.
//! RSA2 and utf-8 only, as every SDK has it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use serde_json::{Value, json};

use crate::book::{Answer, METHODS};
use crate::encryption;
use crate::gateway::{App, Fate, Reply, Shared};
use crate::keys::SignType;
use crate::string_to_sign;
use crate::trade::Notify;

const SCHEME: &str = "ALIPAY-SHA256withRSA ";

pub fn answer(shared: &Arc<Shared>, head: &Parts, body: &[u8]) -> Result<Reply> {
    let method = head.uri.path().trim_start_matches("/v3/").replace('/', ".");
    let Some((app_id, app)) = verified(shared, head, body) else {
        shared.count(|counts| counts.refused += 1);
        let error = json!({"code": "invalid-signature", "message": "验签失败"});
        return dressed(
            shared,
            StatusCode::UNAUTHORIZED,
            &error,
            None,
            Fate::Answered,
        );
    };
    shared.count(|counts| counts.verified += 1);
    if !METHODS.contains(&method.as_str()) {
        let error = json!({"code": "not-found", "message": "no such method"});
        return dressed(shared, StatusCode::NOT_FOUND, &error, None, Fate::Answered);
    }
    let key = header(head, "alipay-encrypt-type").and(app.aes);
    let clear = match &key {
        Some(key) => encryption::decrypt(key, &String::from_utf8_lossy(body))?,
        None => body.to_vec(),
    };
    let content: Value = serde_json::from_slice(&clear).unwrap_or_default();
    let url = content.get("notify_url").and_then(Value::as_str);
    let notify = url.map(|url| Notify {
        url: url.to_owned(),
        sign_type: SignType::Rsa2,
        charset: "utf-8".to_owned(),
    });
    let (answer, fate) = shared.act(&app_id, &method, &content, notify);
    let (status, node) = match answer {
        Answer::Done(told) => (StatusCode::OK, Value::Object(told)),
        Answer::Waiting(told) => (StatusCode::ACCEPTED, Value::Object(told)),
        Answer::Unknown => (
            StatusCode::INTERNAL_SERVER_ERROR,
            json!({"code": "SYSTEM_ERROR", "message": "系统异常"}),
        ),
        Answer::Failed(code, message) => (
            StatusCode::BAD_REQUEST,
            json!({"code": code.trim_start_matches("ACQ."), "message": message}),
        ),
        Answer::FailedAs(code) => (
            StatusCode::BAD_REQUEST,
            json!({"code": code.trim_start_matches("ACQ."), "message": "业务处理失败"}),
        ),
    };
    dressed(shared, status, &node, key.as_deref(), fate)
}

/// The app whose signature it is.
fn verified(shared: &Shared, head: &Parts, body: &[u8]) -> Option<(String, App)> {
    let authorization = header(head, "authorization")?.strip_prefix(SCHEME)?;
    let (auth, sign) = authorization.split_once(",sign=")?;
    let app_id = auth
        .split(',')
        .find_map(|part| part.strip_prefix("app_id="))?;
    let app = shared.app(app_id)?;
    let path = head.uri.path_and_query()?.as_str();
    let token = header(head, "alipay-app-auth-token");
    let message = string_to_sign::of_v3_request(auth, head.method.as_str(), path, body, token);
    let sign = STANDARD.decode(sign).ok()?;
    let valid = app.keys.verify(SignType::Rsa2, &message, &sign);
    valid.then(|| (app_id.to_owned(), app))
}

fn header<'a>(head: &'a Parts, name: &str) -> Option<&'a str> {
    head.headers.get(name)?.to_str().ok()
}

fn dressed(
    shared: &Shared,
    status: StatusCode,
    node: &Value,
    aes: Option<&[u8]>,
    fate: Fate,
) -> Result<Reply> {
    let mut body = node.to_string();
    if let Some(key) = aes {
        body = encryption::encrypt(key, body.as_bytes())?;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let (timestamp, nonce) = (
        now.as_millis().to_string(),
        format!("{:032x}", now.as_nanos()),
    );
    let message = string_to_sign::of_v3_answer(&timestamp, &nonce, body.as_bytes());
    let sign = shared.sign(SignType::Rsa2, &message, fate == Fate::Forged)?;
    let mut reply = Reply::plain(status, "application/json;charset=utf-8", body);
    for (name, value) in [
        ("alipay-timestamp", timestamp),
        ("alipay-nonce", nonce),
        ("alipay-signature", sign),
    ] {
        let value = HeaderValue::from_str(&value)?;
        reply.response.headers_mut().insert(name, value);
    }
    reply.fate = fate;
    Ok(reply)
}
