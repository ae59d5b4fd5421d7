//! Notifications: a form, POSTed to the merchant's address until it says `success`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use encoding_rs::Encoding;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::form;
use crate::gateway::Shared;
use crate::money::Fen;
use crate::script::Effect;
use crate::string_to_sign::{self, Pairs};
use crate::trade::Trade;

/// How long a merchant may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends one until it is acknowledged or nobody asks any more.
pub async fn until_acknowledged(shared: Arc<Shared>, trade: Trade) {
    let mut intervals = shared.settings.notify_intervals.clone().into_iter();
    loop {
        let acknowledged = match shared.notify_effect(&trade.out_trade_no) {
            Some(Effect::Silent { .. } | Effect::Fail { .. } | Effect::Unknown { .. }) => false,
            Some(Effect::Lost) => {
                let _ = send(&shared, &trade, false).await;
                false
            }
            Some(Effect::Late { ms }) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                delivered(&shared, &trade).await
            }
            Some(Effect::Forged) => {
                let _ = send(&shared, &trade, true).await;
                false
            }
            Some(Effect::Duplicate) => {
                delivered(&shared, &trade).await && delivered(&shared, &trade).await
            }
            _ => delivered(&shared, &trade).await,
        };
        if acknowledged {
            shared.count(|counts| counts.acknowledged += 1);
            return;
        }
        let Some(wait) = intervals.next() else {
            return;
        };
        tokio::time::sleep(wait).await;
    }
}

async fn delivered(shared: &Shared, trade: &Trade) -> bool {
    let answer = send(shared, trade, false).await;
    answer.is_ok_and(|text| text.trim() == "success")
}

/// Sends one; answers what the merchant said.
pub async fn send(shared: &Shared, trade: &Trade, forged: bool) -> Result<String> {
    let notify = trade.notify.as_ref().context("no address")?;
    let body = signed(shared, trade, forged)?;
    tokio::time::timeout(PATIENCE, post(&notify.url, body)).await?
}

/// The form. Its values are those of the trade, in the charset of the request.
fn signed(shared: &Shared, trade: &Trade, forged: bool) -> Result<String> {
    let notify = trade.notify.as_ref().context("no address")?;
    let now = jiff::tz::offset(8).to_datetime(jiff::Timestamp::now());
    let now = now.strftime("%Y-%m-%d %H:%M:%S").to_string();
    let status = trade.status.label().unwrap_or("WAIT_BUYER_PAY");
    let mut fields = vec![
        ("app_id", trade.app_id.clone()),
        ("auth_app_id", trade.app_id.clone()),
        ("buyer_pay_amount", trade.total.to_string()),
        ("charset", notify.charset.clone()),
        ("fund_bill_list", fund_bills(trade)),
        ("gmt_create", now.clone()),
        (
            "notify_id",
            format!("{}-{status}-{}", trade.trade_no, trade.refunds.len()),
        ),
        ("notify_time", now),
        ("notify_type", "trade_status_sync".to_owned()),
        ("out_trade_no", trade.out_trade_no.clone()),
        ("receipt_amount", trade.total.to_string()),
        ("seller_id", "2088000000000001".to_owned()),
        ("sign_type", notify.sign_type.label().to_owned()),
        ("subject", trade.subject.clone()),
        ("total_amount", trade.total.to_string()),
        ("trade_no", trade.trade_no.clone()),
        ("trade_status", status.to_owned()),
        ("version", "1.0".to_owned()),
    ];
    if trade.refunded() > Fen(0) {
        fields.push(("refund_fee", trade.refunded().to_string()));
    }
    let encoding = Encoding::for_label(notify.charset.as_bytes()).unwrap_or(encoding_rs::UTF_8);
    let encoded = |(name, value): (&str, String)| {
        (
            name.as_bytes().to_vec(),
            encoding.encode(&value).0.into_owned(),
        )
    };
    let mut pairs: Pairs = fields.into_iter().map(encoded).collect();
    let message = string_to_sign::of_notification(&pairs);
    let sign = shared.sign(notify.sign_type, &message, forged)?;
    pairs.push((b"sign".to_vec(), sign.into_bytes()));
    Ok(form::encode(&pairs))
}

fn fund_bills(trade: &Trade) -> String {
    let channel = match trade.instalments {
        Some(_) => "PCREDIT",
        None => "ALIPAYACCOUNT",
    };
    format!(
        r#"[{{"amount":"{}","fundChannel":"{channel}"}}]"#,
        trade.total
    )
}

async fn post(url: &str, body: String) -> Result<String> {
    let uri: Uri = url.parse()?;
    let host = uri.host().context("no host")?;
    let loopback = host.trim_matches(['[', ']']).parse::<IpAddr>();
    ensure!(
        loopback.is_ok_and(|address| address.is_loopback()),
        "notifications go to loopback only"
    );
    let authority = uri.authority().context("no authority")?.as_str();
    let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::post(path)
        .header("host", authority)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from(body)))?;
    let answer = sender.send_request(request).await?;
    let text = answer.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&text).into_owned())
}
