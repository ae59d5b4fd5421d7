//! One trade as Alipay keeps it: its state, its money, its instalments.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::money::Fen;

/// Where a trade stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// A QR code that nobody has scanned: Alipay knows no trade yet.
    Offered,
    /// The buyer has it on the screen.
    WaitBuyerPay,
    /// Paid.
    Success,
    /// Paid and wholly refunded, or closed unpaid.
    Closed,
    /// Cancelled before anybody knew of it: no payment comes through any more.
    Barred,
}

impl Status {
    /// `trade_status`; none where Alipay knows no trade.
    pub fn label(self) -> Option<&'static str> {
        match self {
            Self::Offered | Self::Barred => None,
            Self::WaitBuyerPay => Some("WAIT_BUYER_PAY"),
            Self::Success => Some("TRADE_SUCCESS"),
            Self::Closed => Some("TRADE_CLOSED"),
        }
    }
}

/// Huabei instalments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instalments {
    /// `hb_fq_num`: 3, 6 or 12.
    pub number: String,
    /// `hb_fq_seller_percent`: 100 where the merchant pays the fee, 0 where the buyer does.
    pub seller_percent: String,
}

impl Instalments {
    /// Reads `extend_params`; `Err` names what is wrong.
    pub fn read(content: &Value) -> Result<Option<Self>, &'static str> {
        let part = |name: &str| {
            let value = content.get("extend_params").and_then(|all| all.get(name));
            value.map(|value| value.as_str().unwrap_or("not text").to_owned())
        };
        let (number, percent) = (part("hb_fq_num"), part("hb_fq_seller_percent"));
        let (Some(number), Some(seller_percent)) = (&number, &percent) else {
            return if number.is_none() && percent.is_none() {
                Ok(None)
            } else {
                Err("hb_fq_num and hb_fq_seller_percent go together")
            };
        };
        if !["3", "6", "12"].contains(&number.as_str()) {
            return Err("hb_fq_num is 3, 6 or 12");
        }
        if !["0", "100"].contains(&seller_percent.as_str()) {
            return Err("hb_fq_seller_percent is 0 or 100");
        }
        Ok(Some(Self {
            number: number.clone(),
            seller_percent: seller_percent.clone(),
        }))
    }
}

/// A trade.
#[derive(Clone, Debug)]
pub struct Trade {
    /// The app it belongs to.
    pub app_id: String,
    /// The merchant's number.
    pub out_trade_no: String,
    /// Alipay's number.
    pub trade_no: String,
    /// What it is for.
    pub subject: String,
    /// The amount.
    pub total: Fen,
    /// Instalments, where Huabei's were asked for.
    pub instalments: Option<Instalments>,
    /// Where it stands.
    pub status: Status,
    /// Whether it was ever paid.
    pub paid: bool,
    /// By `out_request_no`.
    pub refunds: BTreeMap<String, Fen>,
    /// Queries still to be answered before the buyer decides, and whether the buyer pays then.
    pub deciding: Option<(u32, bool)>,
    /// What the buyer scans.
    pub qr_code: Option<String>,
    /// Where to send what happens, and how it is signed.
    pub notify: Option<Notify>,
}

/// Where a notification goes, and in which form.
#[derive(Clone, Debug)]
pub struct Notify {
    /// The merchant's address.
    pub url: String,
    /// The app's `sign_type`.
    pub sign_type: crate::keys::SignType,
    /// `charset` of the request.
    pub charset: String,
}

impl Trade {
    /// Everything that went back.
    pub fn refunded(&self) -> Fen {
        self.refunds.values().fold(Fen(0), |sum, one| sum + *one)
    }

    /// What the merchant has of it.
    pub fn kept(&self) -> Fen {
        if self.paid {
            self.total - self.refunded()
        } else {
            Fen(0)
        }
    }

    /// The buyer pays.
    pub fn pay(&mut self) {
        self.status = Status::Success;
        self.paid = true;
        self.deciding = None;
    }

    /// What pay and query answer of a trade.
    pub fn told(&self) -> Map<String, Value> {
        let mut told = Map::new();
        told.insert("out_trade_no".into(), json!(self.out_trade_no));
        told.insert("trade_no".into(), json!(self.trade_no));
        told.insert("total_amount".into(), json!(self.total.to_string()));
        told.insert("buyer_logon_id".into(), json!("hua***@test.example"));
        if self.paid {
            told.insert("receipt_amount".into(), json!(self.total.to_string()));
            told.insert("buyer_pay_amount".into(), json!(self.total.to_string()));
            told.insert("fund_bill_list".into(), self.fund_bill_list());
            if let Some(instalments) = &self.instalments {
                let info = json!({"user_install_num": instalments.number});
                told.insert("hb_fq_pay_info".into(), info);
            }
        }
        told
    }

    /// What it was paid from.
    pub fn fund_bill_list(&self) -> Value {
        let channel = match self.instalments {
            Some(_) => "PCREDIT",
            None => "ALIPAYACCOUNT",
        };
        json!([{"fund_channel": channel, "amount": self.total.to_string()}])
    }
}
