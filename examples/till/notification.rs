//! What Alipay says of its own accord: verified by Pintle, then compared with what the till knows.

use super::alipay::{Alipay, fen};

/// A notification whose signature is right and which is for this app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// `out_trade_no`.
    pub no: String,
    /// Alipay's number.
    pub trade_no: String,
    /// `trade_status`.
    pub status: String,
    /// `total_amount`, in fen.
    pub total: u64,
    /// `refund_fee`, in fen: everything that went back so far.
    pub refunded: u64,
    /// Whether Huabei paid.
    pub huabei: bool,
}

impl Alipay {
    /// Has the raw form verified; nothing where it is not Alipay's, or not for this app. What is read
    /// is what was signed, and nothing beside it.
    pub async fn read_notification(&self, form: &[u8]) -> Option<Notification> {
        let signed = self.verified_notification(form).await?;
        let text = |name: &str| {
            let found = signed.iter().find(|parameter| parameter.name == name);
            found.map_or("", |parameter| parameter.text.as_str())
        };
        if text("app_id") != self.app_id() {
            return None;
        }
        Some(Notification {
            no: text("out_trade_no").to_owned(),
            trade_no: text("trade_no").to_owned(),
            status: text("trade_status").to_owned(),
            total: fen(text("total_amount"))?,
            refunded: fen(text("refund_fee")).unwrap_or(0),
            huabei: text("fund_bill_list").contains("PCREDIT"),
        })
    }
}
