//! The side that the merchant's code never sees: the book, the script, the buyer. Plain HTTP on
//! loopback, JSON.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::book::Buyer;
use crate::gateway::{App, Reply, Shared};
use crate::keys::SignType;
use crate::script::Rule;

#[derive(Deserialize)]
struct NewApp {
    app_id: String,
    /// Base64 of X.509, or PEM; one of RSA and one of SM2 at most.
    public_keys: Vec<String>,
    /// Base64 of 16 bytes.
    aes_key: Option<String>,
}

#[derive(Deserialize)]
struct Scan {
    qr_code: String,
    /// Queries until the buyer has typed the password; at once without it.
    waits: Option<u32>,
    #[serde(default = "pays")]
    pays: bool,
}

#[derive(Deserialize)]
struct Password {
    out_trade_no: String,
}

fn pays() -> bool {
    true
}

pub fn answer(shared: &Arc<Shared>, head: &Parts, body: &[u8]) -> Reply {
    let done = match (head.method.as_str(), head.uri.path()) {
        ("GET", "/books") => Ok(shared.books()),
        ("GET", "/keys") => keys(shared),
        ("POST", "/control/apps") => add_app(shared, body),
        ("POST", "/control/rules") => add_rules(shared, body),
        ("POST", "/control/scan") => scan(shared, body),
        ("POST", "/control/password") => password(shared, body),
        _ => {
            let text = "gateway.do, v3/…, books, keys, control/{apps,rules,scan,password}\n";
            return Reply::plain(StatusCode::NOT_FOUND, "text/plain", text);
        }
    };
    match done {
        Ok(value) => Reply::plain(StatusCode::OK, "application/json", format!("{value:#}\n")),
        Err(error) => {
            let text = format!("{error:#}\n");
            Reply::plain(StatusCode::BAD_REQUEST, "text/plain;charset=utf-8", text)
        }
    }
}

fn keys(shared: &Shared) -> Result<Value> {
    Ok(json!({
        "rsa": shared.keys.public(SignType::Rsa2)?,
        "sm2": shared.keys.public(SignType::Sm2)?,
    }))
}

fn add_app(shared: &Shared, body: &[u8]) -> Result<Value> {
    let asked: NewApp = serde_json::from_slice(body)?;
    let mut app = App::default();
    for key in &asked.public_keys {
        app.keys.add(key)?;
    }
    if let Some(key) = &asked.aes_key {
        let key = STANDARD.decode(key).context("aes_key is not base64")?;
        ensure!(key.len() == 16, "aes_key is not 16 bytes");
        app.aes = Some(key);
    }
    shared.add_app(&asked.app_id, app);
    Ok(json!({"app_id": asked.app_id}))
}

fn add_rules(shared: &Shared, body: &[u8]) -> Result<Value> {
    let rules: Vec<Rule> = serde_json::from_slice(body)?;
    let count = rules.len();
    shared.add_rules(rules);
    Ok(json!({"rules": count}))
}

fn scan(shared: &Arc<Shared>, body: &[u8]) -> Result<Value> {
    let asked: Scan = serde_json::from_slice(body)?;
    let buyer = match (asked.waits, asked.pays) {
        (None, true) => Buyer::Pays,
        (waits, paid) => Buyer::Waits {
            queries: waits.unwrap_or(0),
            paid,
        },
    };
    ensure!(
        shared.scan(&asked.qr_code, buyer),
        "the QR code is not good"
    );
    Ok(json!({"scanned": true}))
}

fn password(shared: &Arc<Shared>, body: &[u8]) -> Result<Value> {
    let asked: Password = serde_json::from_slice(body)?;
    let paid = shared.type_password(&asked.out_trade_no);
    ensure!(paid, "the trade does not wait for a password");
    Ok(json!({"paid": true}))
}
