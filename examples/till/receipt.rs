//! What the customer sees: the QR code on a screen of text, and the receipt on paper of 32 columns.
//! A Chinese character is two columns wide.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use unicode_width::UnicodeWidthStr;

use super::alipay::yuan;
use super::book::{State, Trade};

/// Columns of the paper.
const COLUMNS: usize = 32;

/// A QR code in half blocks, with its quiet zone, for light text on a dark screen.
///
/// Nothing where the text is too long for a QR code.
pub fn qr_code(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let mut rendered = code.render::<Dense1x2>();
    // The screen is dark: what is drawn, by the crate's `Dark`, is what is light in the code.
    rendered
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark);
    Some(rendered.build())
}

/// A receipt, line by line, without a border.
pub fn receipt(shop: &str, no: &str, trade: &Trade) -> Vec<String> {
    let mut lines = vec![centred(shop)];
    lines.extend(entry("商户单号 No.", no));
    if !trade.trade_no.is_empty() {
        lines.extend(entry("支付宝交易号 Alipay no.", &trade.trade_no));
    }
    let by = if trade.huabei {
        "花呗 Huabei"
    } else {
        "支付宝 Alipay"
    };
    lines.push(line(by, &yuan(trade.fen)));
    if let Some(instalments) = trade.instalments {
        let number = u64::from(instalments.number.max(1));
        let (each, rest) = (trade.fen / number, trade.fen % number);
        let first = format!("分期 {number} × {}", yuan(each));
        let more = if rest == 0 {
            String::new()
        } else {
            format!("+ {}", yuan(rest))
        };
        lines.push(line(&first, &more));
        let payer = if instalments.shop_pays_fee {
            "商家 shop"
        } else {
            "顾客 customer"
        };
        lines.push(line("手续费 fee paid by", payer));
    }
    for refund in trade
        .refunds
        .values()
        .filter(|refund| refund.done == Some(true))
    {
        lines.push(line("退款 refund", &format!("-{}", yuan(refund.fen))));
    }
    let end = match trade.state {
        State::Paid => "已支付 PAID",
        State::Cancelled => "已撤销 CANCELLED",
        State::Aborted => "未发送 NOT SENT",
        State::Opened | State::Sent | State::Cancelling => "处理中 OPEN",
    };
    lines.push(line(end, &yuan(trade.kept())));
    lines
}

/// A receipt in its frame.
pub fn framed(lines: &[String]) -> String {
    let edge = "─".repeat(COLUMNS + 2);
    let mut text = format!("┌{edge}┐\n");
    for line in lines {
        let space = COLUMNS.saturating_sub(line.width());
        text.push_str(&format!("│ {line}{:space$} │\n", ""));
    }
    text + &format!("└{edge}┘")
}

/// Left and right on a line, or on two where one is too narrow.
fn entry(left: &str, right: &str) -> Vec<String> {
    if left.width() + right.width() < COLUMNS {
        vec![line(left, right)]
    } else {
        vec![left.to_owned(), line("", right)]
    }
}

/// Left and right, as far apart as the paper is wide.
fn line(left: &str, right: &str) -> String {
    let space = COLUMNS.saturating_sub(left.width() + right.width()).max(1);
    format!("{left}{:space$}{right}", "")
}

fn centred(text: &str) -> String {
    let space = COLUMNS.saturating_sub(text.width()) / 2;
    format!("{:space$}{text}", "")
}
