//! The day itself: what the till and its gateway ask of the service, and what came of it.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use pintle::client::{Client, Error, Refused};
use pintle::service::pb::v1::{
    GenerateMacRequest, GetPublicKeyRequest, KeyRef, PinBlockFormat, Residence, SignRequestRequest,
    TranslatePinRequest, VerifyMacRequest,
};
use serde_json::{Value, json};

use crate::demo::outside::Outside;
use crate::demo::terminal::{self, PAN, PIN, test_keys};
use crate::demo::transcript::Transcript;
use crate::dev::DevServer;

/// An output that the hidden switch can spoil.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Output {
    PinAes,
    PinSm4,
    PinTdes,
    Mac,
    Rsa2,
    Sm2,
}

/// Their names on the command line.
const OUTPUTS: [(&str, Output); 6] = [
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
    let block = day.card_sale().await?;
    day.message_authentication(&block).await?;
    day.huabei_sale().await?;
    day.refusals(&block).await?;
    receipt();
    Ok(day.page.counts())
}

struct Day<'a> {
    client: Client,
    outside: &'a Outside,
    corrupt: Option<Output>,
    page: Transcript,
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

    async fn card_sale(&mut self) -> Result<Vec<u8>> {
        self.page.part("09:12", "A card sale, ¥258.00, with a PIN");
        let block = terminal::pin_block()?;
        self.page.line(
            "till",
            &format!("card {}, PIN typed, block under its TPK:", masked(PAN)),
        );
        self.page.value(&format!(
            "{}   TDES, ISO format 0",
            hex::encode_upper(&block)
        ));
        for (to, label, output, check, key) in [
            (
                "zpk-acquirer-aes",
                "AES, ISO format 4",
                Output::PinAes,
                "pin_iso_4",
                test_keys::ZPK_AES,
            ),
            (
                "zpk-acquirer-sm4",
                "SM4, layout of format 4",
                Output::PinSm4,
                "pin_sm4",
                test_keys::ZPK_SM4,
            ),
            (
                "zpk-acquirer-tdes",
                "TDES, ISO format 0",
                Output::PinTdes,
                "pin_iso_0",
                test_keys::ZPK_TDES,
            ),
        ] {
            let answer = self.client.translate_pin(translation(&block, to)).await?;
            let out = self.spoil(output, answer.pin_block);
            self.page
                .line("acquirer", &format!("TranslatePin tpk-pos-0001 → {to}:"));
            self.page
                .value(&format!("{}   {label}", hex::encode_upper(&out)));
            self.ask_outside(json!({
                "check": check, "key": key, "pan": PAN, "pin": PIN, "block": hex::encode(&out),
            }))?;
        }
        Ok(block)
    }

    async fn message_authentication(&mut self, block: &[u8]) -> Result<()> {
        self.page.part("09:12", "The same sale's message");
        let sale = terminal::sale(25_800, 1, block);
        let mac = terminal::mac(&sale)?;
        let asked = VerifyMacRequest {
            key: key("tak-pos-0001"),
            message: sale.clone(),
            mac: mac.clone(),
        };
        let verified = self.client.verify_mac(asked).await?;
        if !verified.valid {
            bail!("the till's own MAC was not accepted");
        }
        self.page
            .line("till", "retail MAC (ISO 9797-1 algorithm 3) under its TAK:");
        self.page
            .value(&format!("{}   VerifyMac: valid", hex::encode_upper(&mac)));
        self.ask_outside(json!({
            "check": "retail_mac", "key": test_keys::TAK, "message": hex::encode(&sale),
            "padding": 2, "length": 8, "mac": hex::encode(&mac),
        }))?;
        let asked = GenerateMacRequest {
            key: key("zak-acquirer"),
            message: sale.clone(),
        };
        let made = self.client.generate_mac(asked).await?;
        let made = self.spoil(Output::Mac, made.mac);
        self.page
            .line("acquirer", "GenerateMac under the zone's ZAK:");
        self.page
            .value(&format!("{}   AES-CMAC", hex::encode_upper(&made)));
        self.ask_outside(json!({
            "check": "cmac_aes", "key": test_keys::ZAK, "message": hex::encode(&sale),
            "mac": hex::encode(&made),
        }))
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

    async fn refusals(&mut self, block: &[u8]) -> Result<()> {
        self.page.part("18:05", "What the service refuses");
        let sale = terminal::sale(25_800, 2, block);
        let mut wrong = terminal::mac(&sale)?;
        wrong[0] ^= 1;
        let asked = VerifyMacRequest {
            key: key("tak-pos-0001"),
            message: sale,
            mac: wrong,
        };
        let verified = self.client.verify_mac(asked).await?;
        self.page.line("MAC", "one bit wrong");
        let text = format!("VerifyMac: valid = {}", verified.valid);
        self.page.mark(!verified.valid, &text);
        self.page
            .line("PIN", "zone to terminal: the TPK as destination");
        let to_terminal = translation(block, "tpk-pos-0001");
        self.must_refuse("KEY_USAGE_REFUSED", to_terminal).await?;
        self.page.line("PIN", "format 1, which carries no PAN");
        let mut as_format_1 = translation(block, "zpk-acquirer-aes");
        as_format_1.set_source_format(PinBlockFormat::Iso1);
        self.must_refuse("PIN_FORMAT_REFUSED", as_format_1).await?;
        self.page
            .line("PIN", "the block of one card under the PAN of another");
        let mut other_card = translation(block, "zpk-acquirer-aes");
        other_card.pan = "6230606601007700008".to_owned();
        self.must_refuse("PIN_BLOCK_REJECTED", other_card).await
    }

    async fn must_refuse(&mut self, expected: &str, asked: TranslatePinRequest) -> Result<()> {
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

    fn ask_outside(&mut self, check: Value) -> Result<()> {
        let verdict = self.outside.check(check)?;
        self.page.verdict(verdict.ok, &verdict.by, &verdict.detail);
        Ok(())
    }

    /// The hidden switch: what is handed on has one bit wrong.
    fn spoil(&self, output: Output, mut bytes: Vec<u8>) -> Vec<u8> {
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

fn translation(block: &[u8], to: &str) -> TranslatePinRequest {
    TranslatePinRequest {
        source_key: key("tpk-pos-0001"),
        destination_key: key(to),
        source_format: PinBlockFormat::Iso0.into(),
        pan: PAN.to_owned(),
        pin_block: block.to_vec(),
    }
}

fn key(name: &str) -> Option<KeyRef> {
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

fn masked(pan: &str) -> String {
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

fn receipt() {
    let card = format!("card {}", &masked(PAN)[9..]);
    println!("\n       ┌──────────────────────────────┐");
    for (left, right) in [
        ("TEST SHOP · terminal T0001", ""),
        (card.as_str(), "258.00"),
        ("花呗 Huabei 3 × 200", "600.00"),
        ("total", "858.00"),
    ] {
        // Each Chinese character is two columns wide.
        let wide = left
            .chars()
            .filter(|c| ('\u{4e00}'..'\u{9fff}').contains(c))
            .count();
        let space = 28 - left.chars().count() - wide;
        println!("       │ {left}{right:>space$} │");
    }
    println!("       └──────────────────────────────┘");
}
