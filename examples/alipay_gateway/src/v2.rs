//! `gateway.do`: parameters in the query and in a form, in the charset that they name; an answer
//! whose node is signed as it is written.

use std::sync::Arc;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use encoding_rs::Encoding;
use hyper::StatusCode;
use hyper::http::request::Parts;
use serde_json::{Map, Value, json};

use crate::book::{Answer, METHODS};
use crate::gateway::{App, Fate, Reply, Shared};
use crate::keys::SignType;
use crate::string_to_sign::{self, Pairs};
use crate::trade::Notify;
use crate::{encryption, form};

/// What is in the way of a request, as `sub_code` and `sub_msg`.
struct Refusal {
    sub_code: &'static str,
    sub_msg: String,
}

/// A request whose signature is right.
struct Admitted {
    app_id: String,
    app: App,
    method: String,
    content: Value,
    notify: Option<Notify>,
    encrypted: bool,
}

/// How an answer is dressed.
struct Dress {
    node: String,
    sign_type: SignType,
    encoding: &'static Encoding,
    aes: Option<Vec<u8>>,
    tricky: bool,
    certificate: bool,
}

pub fn answer(shared: &Arc<Shared>, head: &Parts, body: &[u8]) -> Result<Reply> {
    let mut pairs = form::decode(head.uri.query().unwrap_or_default().as_bytes());
    pairs.extend(form::decode(body));
    let text = |name: &str| parameter(&pairs, name);
    let mut dress = Dress {
        node: "error_response".to_owned(),
        sign_type: SignType::parse(&text("sign_type")).unwrap_or(SignType::Rsa2),
        encoding: encoding(&text("charset")).unwrap_or(encoding_rs::UTF_8),
        aes: None,
        tricky: shared.settings.tricky,
        certificate: !text("app_cert_sn").is_empty(),
    };
    let method = text("method");
    if METHODS.contains(&method.as_str()) {
        dress.node = format!("{}_response", method.replace('.', "_"));
    }
    let admitted = match admit(shared, &pairs) {
        Ok(admitted) => admitted,
        Err(refusal) => {
            let node = json!({
                "code": "40002", "msg": "Invalid Arguments",
                "sub_code": refusal.sub_code, "sub_msg": refusal.sub_msg,
            });
            return dressed(shared, &dress, &node, Fate::Answered);
        }
    };
    if admitted.encrypted {
        dress.aes = admitted.app.aes;
    }
    let (answer, fate) = shared.act(
        &admitted.app_id,
        &admitted.method,
        &admitted.content,
        admitted.notify,
    );
    dressed(shared, &dress, &Value::Object(node_of(answer)), fate)
}

/// Verifies, with the public key of the app and nothing else.
fn admit(shared: &Shared, pairs: &Pairs) -> Result<Admitted, Refusal> {
    let text = |name: &str| parameter(pairs, name);
    let refusal = |sub_code, sub_msg: &str| Refusal {
        sub_code,
        sub_msg: sub_msg.to_owned(),
    };
    let app_id = text("app_id");
    let app = shared
        .app(&app_id)
        .ok_or_else(|| refusal("isv.invalid-app-id", "无效的AppID参数"))?;
    let sign_type = SignType::parse(&text("sign_type"))
        .ok_or_else(|| refusal("isv.invalid-signature-type", "无效的签名类型"))?;
    let encoding = match text("charset").as_str() {
        "" => Some(encoding_rs::UTF_8),
        label => encoding(label),
    };
    let encoding = encoding.ok_or_else(|| refusal("isv.invalid-charset", "字符集错误"))?;
    let message = string_to_sign::of_request(pairs);
    let sign = STANDARD.decode(text("sign")).unwrap_or_default();
    if !app.keys.verify(sign_type, &message, &sign) {
        shared.count(|counts| counts.refused += 1);
        let (own, _, _) = encoding.decode(&message);
        let sub_msg = format!(
            "验签出错，建议检查签名字符串或签名私钥与应用公钥是否匹配，网关生成的验签字符串为：{}",
            html_escaped(&own)
        );
        return Err(refusal("isv.invalid-signature", &sub_msg));
    }
    shared.count(|counts| counts.verified += 1);
    let method = text("method");
    if !METHODS.contains(&method.as_str()) {
        return Err(refusal("isv.invalid-method", "不存在的方法名"));
    }
    let biz = pairs.iter().find(|(name, _)| name == b"biz_content");
    let mut biz = biz.map(|(_, value)| value.clone()).unwrap_or_default();
    let encrypted = text("encrypt_type") == "AES";
    if encrypted {
        let key = app.aes.as_deref().unwrap_or_default();
        biz = encryption::decrypt(key, &String::from_utf8_lossy(&biz))
            .map_err(|_| refusal("isv.decryption-error-unknown", "解密出错，未知异常"))?;
    }
    let (biz, _, broken) = encoding.decode(&biz);
    let content = serde_json::from_str(&biz).ok().filter(|_| !broken);
    let content =
        content.ok_or_else(|| refusal("isv.invalid-parameter", "biz_content is not JSON"))?;
    let url = text("notify_url");
    let notify = (!url.is_empty()).then(|| Notify {
        url,
        sign_type,
        charset: encoding.name().to_lowercase(),
    });
    Ok(Admitted {
        app_id,
        app,
        method,
        content,
        notify,
        encrypted,
    })
}

/// The node: the codes, then what the method says.
fn node_of(answer: Answer) -> Map<String, Value> {
    let (code, msg, told) = match answer {
        Answer::Done(told) => ("10000", "Success", told),
        Answer::Waiting(told) => ("10003", " order success pay inprocess", told),
        Answer::Unknown => {
            let told = sub("aop.ACQ.SYSTEM_ERROR", "系统异常");
            ("20000", "Service Currently Unavailable", told)
        }
        Answer::Failed(sub_code, sub_msg) => ("40004", "Business Failed", sub(sub_code, sub_msg)),
        Answer::FailedAs(sub_code) => ("40004", "Business Failed", sub(&sub_code, "业务处理失败")),
    };
    let mut node = Map::new();
    node.insert("code".to_owned(), json!(code));
    node.insert("msg".to_owned(), json!(msg));
    node.extend(told);
    node
}

fn sub(code: &str, msg: &str) -> Map<String, Value> {
    [("sub_code", code), ("sub_msg", msg)]
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .into_iter()
        .collect()
}

fn dressed(shared: &Shared, dress: &Dress, node: &Value, fate: Fate) -> Result<Reply> {
    let mut node = node.clone();
    if let (true, Value::Object(fields)) = (dress.tricky, &mut node) {
        fields.insert(
            "body".to_owned(),
            json!(r#"}","sign":"x",{" \ } and "sign":"#),
        );
    }
    // Slashes stand in strings only; Alipay escapes them.
    let plain = node.to_string();
    let written = plain.replace('/', "\\/");
    let (mut bytes, _, _) = dress.encoding.encode(&written);
    if let Some(key) = &dress.aes {
        bytes = format!("\"{}\"", encryption::encrypt(key, &bytes)?)
            .into_bytes()
            .into();
    }
    let signed = match (fate, &dress.aes) {
        (Fate::SignedUnescaped, None) => dress.encoding.encode(&plain).0,
        _ => bytes.clone(),
    };
    let sign = shared.sign(dress.sign_type, &signed, fate == Fate::Forged)?;
    let mut body = format!("{{\"{}\":", dress.node).into_bytes();
    body.extend_from_slice(&bytes);
    if dress.certificate {
        body.extend_from_slice(b",\"alipay_cert_sn\":\"00000000000000000000000000000000\"");
    }
    body.extend_from_slice(format!(",\"sign\":\"{sign}\"}}").as_bytes());
    let kind = match dress.encoding.name() {
        "UTF-8" => "text/html;charset=utf-8",
        _ => "text/html;charset=GBK",
    };
    let mut reply = Reply::plain(StatusCode::OK, kind, body);
    reply.fate = fate;
    Ok(reply)
}

/// The last value of a parameter, as text; names and protocol values are ASCII.
fn parameter(pairs: &Pairs, name: &str) -> String {
    let found = pairs.iter().rev().find(|(own, _)| own == name.as_bytes());
    found
        .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        .unwrap_or_default()
}

fn encoding(label: &str) -> Option<&'static Encoding> {
    let known = ["utf-8", "utf8", "gbk", "gb2312", "gb18030"];
    let label = label.to_lowercase();
    let label = label.strip_suffix(".0").unwrap_or(&label);
    known
        .contains(&label)
        .then(|| Encoding::for_label(label.as_bytes()))?
}

fn html_escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
