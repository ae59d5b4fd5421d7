//! What Alipay says of its own accord: verified by Pintle, then compared with what the till knows.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use encoding_rs::Encoding;

use super::alipay::{Alipay, fen};
use super::http;

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
    /// Reads the raw form; nothing where it is not Alipay's, or not for this app.
    pub async fn read_notification(&self, form: &[u8]) -> Option<Notification> {
        let verified = self.verified(form).await;
        self.count(verified);
        if !verified {
            return None;
        }
        let fields = http::fields(form);
        let bytes = |name: &str| {
            let found = fields.iter().find(|(own, _)| own == name.as_bytes());
            found.map_or(&[][..], |(_, value)| value.as_slice())
        };
        let encoding = Encoding::for_label(bytes("charset")).unwrap_or(encoding_rs::UTF_8);
        let text = |name: &str| encoding.decode(bytes(name)).0.into_owned();
        if text("app_id") != self.app_id() {
            return None;
        }
        Some(Notification {
            no: text("out_trade_no"),
            trade_no: text("trade_no"),
            status: text("trade_status"),
            total: fen(&text("total_amount"))?,
            refunded: fen(&text("refund_fee")).unwrap_or(0),
            huabei: text("fund_bill_list").contains("PCREDIT"),
        })
    }

    /// Whether Alipay signed it: V1, without `sign` and `sign_type`, sorted.
    async fn verified(&self, form: &[u8]) -> bool {
        let mut fields = http::fields(form);
        let sign = fields.iter().find(|(name, _)| name == b"sign");
        let Some(sign) = sign.and_then(|(_, sign)| STANDARD.decode(sign).ok()) else {
            return false;
        };
        fields.retain(|(name, value)| name != b"sign" && name != b"sign_type" && !value.is_empty());
        fields.sort();
        let lines: Vec<Vec<u8>> = fields
            .into_iter()
            .map(|(name, value)| [name, b"=".to_vec(), value].concat())
            .collect();
        self.signed_by_alipay(lines.join(&b'&'), sign).await
    }
}
