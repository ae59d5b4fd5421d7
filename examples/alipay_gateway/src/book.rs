//! The book: every trade, and what each method does to it. No network, no clock, no signatures.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::money::Fen;
use crate::trade::{Instalments, Notify, Status, Trade};

/// What a method answers, before it is dressed as JSON.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// 10000.
    Done(Map<String, Value>),
    /// 10003: the buyer has to type a password.
    Waiting(Map<String, Value>),
    /// 20000: nobody knows.
    Unknown,
    /// 40004: refused for a reason of business.
    Failed(&'static str, &'static str),
    /// The same, by a script.
    FailedAs(String),
}

impl Answer {
    /// `cancel` did not come through: call again.
    pub fn retry(number: &str) -> Self {
        let told = [("out_trade_no", json!(number)), ("retry_flag", json!("Y"))];
        Self::Done(map(told))
    }
}

/// The methods that there are.
pub const METHODS: [&str; 7] = [
    "alipay.trade.precreate",
    "alipay.trade.pay",
    "alipay.trade.query",
    "alipay.trade.cancel",
    "alipay.trade.refund",
    "alipay.trade.fastpay.refund.query",
    "alipay.trade.close",
];

/// How a buyer at the counter behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buyer {
    /// Pays at once.
    Pays,
    /// Has to type a password, and after so many queries has paid or still waits.
    Waits {
        /// Queries before that.
        queries: u32,
        /// What comes of it.
        paid: bool,
    },
}

/// Every trade, by app and merchant's number.
#[derive(Clone, Default)]
pub struct Book {
    trades: BTreeMap<(String, String), Trade>,
    last_number: u64,
    /// Trades of which the merchant is to be told, in order.
    pub news: Vec<Trade>,
}

const NOT_EXIST: Answer = Answer::Failed("ACQ.TRADE_NOT_EXIST", "交易不存在");
const CLOSED: Answer = Answer::Failed("ACQ.TRADE_HAS_CLOSE", "交易已经关闭");
const PAID: Answer = Answer::Failed("ACQ.TRADE_HAS_SUCCESS", "交易已被支付");
const OTHER: Answer = Answer::Failed("ACQ.CONTEXT_INCONSISTENT", "交易信息被篡改");
const STATUS: Answer = Answer::Failed("ACQ.REASON_TRADE_STATUS_INVALID", "交易状态不合法");

impl Book {
    /// One call. `buyer` is who pays a scanned auth code.
    pub fn call(
        &mut self,
        app_id: &str,
        method: &str,
        content: &Value,
        notify: Option<Notify>,
        buyer: Buyer,
    ) -> Answer {
        let text = |name: &str| {
            content
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let number = self.number(app_id, text("out_trade_no"), text("trade_no"));
        let Some(number) = number else {
            return match method {
                "alipay.trade.query" => NOT_EXIST,
                _ => invalid("out_trade_no is missing"),
            };
        };
        match method {
            "alipay.trade.precreate" => self.precreate(app_id, &number, content, notify),
            "alipay.trade.pay" => self.pay(app_id, &number, content, notify, buyer),
            "alipay.trade.query" => self.query(app_id, &number),
            "alipay.trade.cancel" => self.cancel(app_id, &number),
            "alipay.trade.refund" => self.refund(app_id, &number, content),
            "alipay.trade.fastpay.refund.query" => self.refund_query(app_id, &number, content),
            "alipay.trade.close" => self.close(app_id, &number),
            _ => invalid("no such method"),
        }
    }

    /// The buyer scans a QR code; false where it is no longer good.
    pub fn scan(&mut self, qr_code: &str, buyer: Buyer) -> bool {
        let found = self.trades.values_mut().find(|trade| {
            trade.status == Status::Offered && trade.qr_code.as_deref() == Some(qr_code)
        });
        let Some(trade) = found else {
            return false;
        };
        match buyer {
            Buyer::Pays => {
                trade.pay();
                self.news.push(trade.clone());
            }
            Buyer::Waits { queries, paid } => {
                trade.status = Status::WaitBuyerPay;
                trade.deciding = Some((queries, paid));
            }
        }
        true
    }

    /// The buyer types the password; false where there is nothing to pay.
    pub fn type_password(&mut self, out_trade_no: &str) -> bool {
        let found = self.trades.values_mut().find(|trade| {
            trade.status == Status::WaitBuyerPay && trade.out_trade_no == out_trade_no
        });
        found.is_some_and(|trade| {
            trade.pay();
            self.news.push(trade.clone());
            true
        })
    }

    /// Whether the merchant's number was ever used.
    pub fn knows(&self, app_id: &str, out_trade_no: &str) -> bool {
        self.trades.contains_key(&key(app_id, out_trade_no))
    }

    /// Every trade.
    pub fn trades(&self) -> impl Iterator<Item = &Trade> {
        self.trades.values()
    }

    /// The book as JSON: amounts as text, and the sum that the merchant has.
    pub fn to_json(&self) -> Value {
        let one = |trade: &Trade| {
            json!({
                "app_id": trade.app_id,
                "out_trade_no": trade.out_trade_no,
                "trade_no": trade.trade_no,
                "subject": trade.subject,
                "status": trade.status.label().unwrap_or(match trade.status {
                    Status::Barred => "CANCELLED_UNKNOWN",
                    _ => "QR_NOT_SCANNED",
                }),
                "total_amount": trade.total.to_string(),
                "paid": trade.paid,
                "refunded_amount": trade.refunded().to_string(),
                "kept_amount": trade.kept().to_string(),
                "hb_fq_num": trade.instalments.as_ref().map(|i| &i.number),
                "hb_fq_seller_percent": trade.instalments.as_ref().map(|i| &i.seller_percent),
            })
        };
        let kept = self
            .trades
            .values()
            .fold(Fen(0), |sum, trade| sum + trade.kept());
        json!({
            "trades": self.trades.values().map(one).collect::<Vec<_>>(),
            "kept_amount": kept.to_string(),
        })
    }

    fn precreate(
        &mut self,
        app_id: &str,
        number: &str,
        content: &Value,
        notify: Option<Notify>,
    ) -> Answer {
        let wanted = match self.wanted(app_id, number, content, notify) {
            Ok(wanted) => wanted,
            Err(answer) => return answer,
        };
        let trade = self
            .trades
            .entry(key(app_id, number))
            .or_insert(wanted.clone());
        match trade.status {
            Status::Success => return PAID,
            Status::Closed | Status::Barred => return CLOSED,
            Status::Offered | Status::WaitBuyerPay if !same(trade, &wanted) => return OTHER,
            Status::Offered | Status::WaitBuyerPay => {}
        }
        let fresh = || format!("https://qr.alipay.com/bax{}", trade.trade_no);
        let qr_code = trade.qr_code.clone().unwrap_or_else(fresh);
        trade.qr_code = Some(qr_code.clone());
        Answer::Done(map([
            ("out_trade_no", json!(number)),
            ("qr_code", json!(qr_code)),
        ]))
    }

    fn pay(
        &mut self,
        app_id: &str,
        number: &str,
        content: &Value,
        notify: Option<Notify>,
        buyer: Buyer,
    ) -> Answer {
        let auth_code = content
            .get("auth_code")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !is_auth_code(auth_code) {
            return Answer::Failed(
                "ACQ.PAYMENT_AUTH_CODE_INVALID",
                "支付失败，获取顾客账户信息失败",
            );
        }
        let mut wanted = match self.wanted(app_id, number, content, notify) {
            Ok(wanted) => wanted,
            Err(answer) => return answer,
        };
        if let Some(known) = self.trades.get(&key(app_id, number)) {
            return match known.status {
                Status::Closed | Status::Barred => CLOSED,
                _ if !same(known, &wanted) => OTHER,
                Status::Success => Answer::Done(known.told()),
                Status::WaitBuyerPay | Status::Offered => Answer::Waiting(known.told()),
            };
        }
        wanted.status = Status::WaitBuyerPay;
        let answer = match buyer {
            Buyer::Pays => {
                wanted.pay();
                self.news.push(wanted.clone());
                Answer::Done(wanted.told())
            }
            Buyer::Waits { queries, paid } => {
                wanted.deciding = Some((queries, paid));
                Answer::Waiting(wanted.told())
            }
        };
        self.trades.insert(key(app_id, number), wanted);
        answer
    }

    fn query(&mut self, app_id: &str, number: &str) -> Answer {
        let Some(trade) = self.trades.get_mut(&key(app_id, number)) else {
            return NOT_EXIST;
        };
        match trade.deciding {
            Some((0, true)) => {
                trade.pay();
                self.news.push(trade.clone());
            }
            Some((left, paid)) => trade.deciding = Some((left.saturating_sub(1), paid)),
            None => {}
        }
        let Some(status) = trade.status.label() else {
            return NOT_EXIST;
        };
        let mut told = trade.told();
        told.insert("trade_status".into(), json!(status));
        Answer::Done(told)
    }

    fn cancel(&mut self, app_id: &str, number: &str) -> Answer {
        let mut told = map([("out_trade_no", json!(number)), ("retry_flag", json!("N"))]);
        let Some(trade) = self.trades.get_mut(&key(app_id, number)) else {
            // A payment that is still on its way must not come through any more.
            let mut barred = self.blank(app_id, number);
            barred.status = Status::Barred;
            self.trades.insert(key(app_id, number), barred);
            return Answer::Done(told);
        };
        told.insert("trade_no".into(), json!(trade.trade_no));
        match trade.status {
            Status::Success => {
                let rest = trade.kept();
                trade.refunds.insert("cancel".to_owned(), rest);
                trade.status = Status::Closed;
                self.news.push(trade.clone());
                told.insert("action".into(), json!("refund"));
            }
            Status::Offered | Status::WaitBuyerPay => {
                trade.status = Status::Closed;
                trade.deciding = None;
                told.insert("action".into(), json!("close"));
            }
            Status::Closed | Status::Barred => {}
        }
        Answer::Done(told)
    }

    fn refund(&mut self, app_id: &str, number: &str, content: &Value) -> Answer {
        let Some(trade) = self.trades.get_mut(&key(app_id, number)) else {
            return NOT_EXIST;
        };
        let text = |name: &str| content.get(name).and_then(Value::as_str);
        let Some(amount) = text("refund_amount").and_then(Fen::parse) else {
            return invalid("refund_amount");
        };
        let request = text("out_request_no").unwrap_or(number);
        let mut told = trade.told();
        let changed = match trade.refunds.get(request) {
            Some(before) if *before == amount => "N",
            Some(_) => {
                return Answer::Failed("ACQ.DISCORDANT_REPEAT_REQUEST", "请求信息不一致");
            }
            None if trade.status != Status::Success => return STATUS,
            None if amount == Fen(0) || amount > trade.kept() => {
                return Answer::Failed("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "退款金额超限");
            }
            None => {
                trade.refunds.insert(request.to_owned(), amount);
                if trade.kept() == Fen(0) {
                    trade.status = Status::Closed;
                }
                self.news.push(trade.clone());
                "Y"
            }
        };
        told.insert("fund_change".into(), json!(changed));
        told.insert("refund_fee".into(), json!(trade.refunded().to_string()));
        Answer::Done(told)
    }

    fn refund_query(&self, app_id: &str, number: &str, content: &Value) -> Answer {
        let Some(trade) = self.trades.get(&key(app_id, number)) else {
            return NOT_EXIST;
        };
        let request = content.get("out_request_no").and_then(Value::as_str);
        let request = request.unwrap_or(number);
        // An unknown request is 10000 without refund_status: the trap of this method.
        let Some(amount) = trade.refunds.get(request) else {
            return Answer::Done(Map::new());
        };
        Answer::Done(map([
            ("out_trade_no", json!(number)),
            ("trade_no", json!(trade.trade_no)),
            ("out_request_no", json!(request)),
            ("total_amount", json!(trade.total.to_string())),
            ("refund_amount", json!(amount.to_string())),
            ("refund_status", json!("REFUND_SUCCESS")),
        ]))
    }

    fn close(&mut self, app_id: &str, number: &str) -> Answer {
        let Some(trade) = self.trades.get_mut(&key(app_id, number)) else {
            return NOT_EXIST;
        };
        match trade.status {
            Status::Offered | Status::Barred => NOT_EXIST,
            Status::Success => STATUS,
            Status::WaitBuyerPay | Status::Closed => {
                trade.status = Status::Closed;
                trade.deciding = None;
                Answer::Done(map([
                    ("out_trade_no", json!(number)),
                    ("trade_no", json!(trade.trade_no)),
                ]))
            }
        }
    }

    fn number(&self, app_id: &str, out_trade_no: &str, trade_no: &str) -> Option<String> {
        if !out_trade_no.is_empty() {
            return Some(out_trade_no.to_owned());
        }
        let mut trades = self.trades.values();
        let found = trades.find(|trade| trade.app_id == app_id && trade.trade_no == trade_no);
        found.map(|trade| trade.out_trade_no.clone())
    }

    /// The trade that a pay or a precreate asks for.
    fn wanted(
        &mut self,
        app_id: &str,
        number: &str,
        content: &Value,
        notify: Option<Notify>,
    ) -> Result<Trade, Answer> {
        let text = |name: &str| content.get(name).and_then(Value::as_str);
        let total = text("total_amount")
            .and_then(Fen::parse)
            .unwrap_or_default();
        if total == Fen(0) {
            return Err(invalid("total_amount"));
        }
        let both = ["enable_pay_channels", "disable_pay_channels"];
        if both.iter().all(|name| text(name).is_some()) {
            return Err(invalid("enable_pay_channels and disable_pay_channels"));
        }
        let subject = text("subject").ok_or_else(|| invalid("subject"))?;
        Ok(Trade {
            subject: subject.to_owned(),
            total,
            instalments: Instalments::read(content).map_err(invalid)?,
            notify,
            ..self.blank(app_id, number)
        })
    }

    fn blank(&mut self, app_id: &str, number: &str) -> Trade {
        self.last_number += 1;
        Trade {
            app_id: app_id.to_owned(),
            out_trade_no: number.to_owned(),
            trade_no: format!("20261123220014{:014}", self.last_number),
            subject: String::new(),
            total: Fen(0),
            instalments: None,
            status: Status::Offered,
            paid: false,
            refunds: BTreeMap::new(),
            deciding: None,
            qr_code: None,
            notify: None,
        }
    }
}

fn invalid(what: &'static str) -> Answer {
    Answer::Failed("ACQ.INVALID_PARAMETER", what)
}

/// 16 to 24 digits that begin with 25 to 30.
fn is_auth_code(code: &str) -> bool {
    let digits = (16..=24).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_digit());
    digits
        && code
            .get(..2)
            .is_some_and(|head| ("25"..="30").contains(&head))
}

fn same(known: &Trade, wanted: &Trade) -> bool {
    known.total == wanted.total && known.instalments == wanted.instalments
}

fn key(app_id: &str, number: &str) -> (String, String) {
    (app_id.to_owned(), number.to_owned())
}

fn map<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests;
