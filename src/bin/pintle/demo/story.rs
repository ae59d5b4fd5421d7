//! The day itself: what the till and its gateway ask of the service, and what came of it. The
//! card's part of it stands in `card`, Alipay's in `huabei`.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use pintle::client::{Client, Error, Refused};
use pintle::service::pb::v1::{
    GetPublicKeyRequest, KeyRef, Residence, SignRequestRequest, TranslatePinRequest,
};
use serde_json::{Value, json};

use crate::demo::outside::Outside;
use crate::demo::transcript::Transcript;
use crate::dev::DevServer;

/// An output that the hidden switch can spoil.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Output {
    SignIn,
    PinAes,
    PinSm4,
    PinTdes,
    Mac,
    Rsa2,
    Sm2,
}

/// Their names on the command line.
const OUTPUTS: [(&str, Output); 7] = [
    ("sign-in", Output::SignIn),
    ("pin-aes", Output::PinAes),
    ("pin-sm4", Output::PinSm4),
    ("pin-tdes", Output::PinTdes),
    ("mac", Output::Mac),
    ("rsa2", Output::Rsa2),
    ("sm2", Output::Sm2),
];

impl Output {
    /// The output of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        OUTPUTS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, output)| *output)
    }

    /// All names.
    pub fn names() -> String {
        OUTPUTS.map(|(name, _)| name).join(", ")
    }
}

/// Tells the day; answers (outputs checked, outputs wrong).
pub async fn tell(
    server: &DevServer,
    folder: &Path,
    outside: &Outside,
    corrupt: Option<Output>,
) -> Result<(u32, u32)> {
    let client = Client::danger_connect_plaintext(&format!("http://{}", server.address)).await?;
    let mut day = Day {
        client,
        outside,
        corrupt,
        page: Transcript::new(),
    };
    println!("Pintle demo: a till's day. Everything here is test data under published test keys.");
    day.open(server).await?;
    let shop = day.open_shop(folder).await?;
    let terminal = day.sign_in().await?;
    let block = day.card_sale(&terminal).await?;
    day.other_zones(&terminal, &block).await?;
    day.void(&terminal).await?;
    day.huabei_sale().await?;
    let first = day.huabei_by_qr(&shop).await?;
    day.huabei_by_scan(&shop).await?;
    day.unknown(&shop).await?;
    day.refund(&shop, &first).await?;
    day.refusals(&terminal, &block).await?;
    day.close(&shop).await?;
    Ok(day.page.counts())
}

pub(super) struct Day<'a> {
    pub(super) client: Client,
    outside: &'a Outside,
    corrupt: Option<Output>,
    pub(super) page: Transcript,
}

impl Day<'_> {
    async fn open(&mut self, server: &DevServer) -> Result<()> {
        self.page.part("08:55", "The shop opens");
        let info = server.token.info();
        self.page.line(
            "token",
            &format!("{:?}, {} {}", info.label, info.manufacturer, info.model),
        );
        self.page.line(
            "service",
            &format!("{} (plaintext, loopback, development)", server.address),
        );
        let asked = pintle::service::pb::v1::GenerateRandomRequest { length: 16 };
        let random = self.client.generate_random(asked).await?.random;
        self.page.line(
            "random",
            &format!("{} from the token", hex::encode(&random)),
        );
        Ok(())
    }

    async fn huabei_sale(&mut self) -> Result<()> {
        self.page.part(
            "14:30",
            "A Huabei sale, ¥600.00 in 3 instalments, the shop pays the fee",
        );
        for (name, sign_type, output, private) in [
            (
                "alipay-app-rsa2",
                "RSA2",
                Output::Rsa2,
                include_str!("test_alipay_rsa.pem"),
            ),
            (
                "alipay-app-sm2",
                "SM2",
                Output::Sm2,
                include_str!("test_alipay_sm2.pem"),
            ),
        ] {
            let parameters = precreate(sign_type);
            let asked = SignRequestRequest {
                key: key(name),
                parameters: parameters.clone(),
                return_string_to_sign: true,
            };
            let signed = self.client.sign_request(asked).await?;
            let asked = GetPublicKeyRequest { key: key(name) };
            let public = self.client.get_public_key(asked).await?;
            let text = String::from_utf8_lossy(&signed.string_to_sign).into_owned();
            if output == Output::Rsa2 {
                self.page
                    .line("gateway", "alipay.trade.precreate, string to sign:");
                self.page.value(&text);
            }
            let residence = signed.key.context("the answer names no key")?.residence();
            let sign = self.spoil_text(output, signed.sign);
            let place = match residence {
                Residence::Token => "in the token",
                _ => "in this process, in locked memory",
            };
            self.page
                .line("gateway", &format!("{sign_type}, signed {place}:"));
            self.page.value(&shortened(&sign));
            self.ask_outside(json!({
                "check": "alipay", "scheme": sign_type, "parameters": parameters,
                "string_to_sign": hex::encode(&signed.string_to_sign), "sign": sign,
                "public_key": public.base64, "private_key": private,
            }))?;
        }
        Ok(())
    }

    pub(super) async fn must_refuse(
        &mut self,
        expected: &str,
        asked: TranslatePinRequest,
    ) -> Result<()> {
        match self.client.translate_pin(asked).await {
            Ok(_) => self.page.mark(false, "TranslatePin answered"),
            Err(Error::Refused(Refused { code, reason, .. })) => {
                let text = format!("refused: {code:?}, {reason}");
                self.page.mark(reason == expected, &text);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    pub(super) fn ask_outside(&mut self, check: Value) -> Result<()> {
        let verdict = self.outside.check(check)?;
        self.page.verdict(verdict.ok, &verdict.by, &verdict.detail);
        Ok(())
    }

    /// The hidden switch: what is handed on has one bit wrong.
    pub(super) fn spoil(&self, output: Output, mut bytes: Vec<u8>) -> Vec<u8> {
        if let (true, Some(last)) = (self.corrupt == Some(output), bytes.last_mut()) {
            *last ^= 1;
        }
        bytes
    }

    fn spoil_text(&self, output: Output, text: String) -> String {
        if self.corrupt != Some(output) {
            return text;
        }
        // A letter in the middle: still base64, no longer the signature.
        let middle = text.len() / 2;
        let other = if text.as_bytes().get(middle) == Some(&b'A') {
            "B"
        } else {
            "A"
        };
        format!("{}{other}{}", &text[..middle], &text[middle + 1..])
    }
}

pub(super) fn key(name: &str) -> Option<KeyRef> {
    Some(KeyRef {
        name: name.to_owned(),
        version: 0,
        ..KeyRef::default()
    })
}

/// What the gateway will send to Alipay for the customer's QR code.
fn precreate(sign_type: &str) -> HashMap<String, String> {
    let biz_content = concat!(
        r#"{"out_trade_no":"POS20261123000002","total_amount":"600.00","#,
        r#""subject":"花呗分期 Coffee machine","product_code":"FACE_TO_FACE_PAYMENT","#,
        r#""terminal_id":"T0001","#,
        r#""extend_params":{"hb_fq_num":"3","hb_fq_seller_percent":"100"}}"#
    );
    [
        ("app_id", "2021000000000001"),
        ("method", "alipay.trade.precreate"),
        ("charset", "utf-8"),
        ("sign_type", sign_type),
        ("timestamp", "2026-11-23 14:30:00"),
        ("version", "1.0"),
        ("biz_content", biz_content),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

pub(super) fn masked(pan: &str) -> String {
    let hidden = pan.len() - 10;
    format!(
        "{}{}{}",
        &pan[..6],
        "*".repeat(hidden),
        &pan[pan.len() - 4..]
    )
}

fn shortened(text: &str) -> String {
    if text.len() <= 96 {
        text.to_owned()
    } else {
        format!("{}… ({} characters)", &text[..88], text.len())
    }
}
