//! The card's part of the day: sign-in (签到), a sale with a PIN, the same block for other zones, a
//! void without one, and what is refused.

use anyhow::{Context, Result, bail};
use pintle::service::pb::v1::{
    CarriedPin, KeyRef, PinBlockFormat, PinEncoding, PinPlace, SecureMessageRequest, SignInRequest,
    TranslatePinRequest,
};
use serde_json::json;

use crate::demo::story::{Day, Output, key, masked};
use crate::demo::till::pin_pad::{self, PAN, PIN, PinPad, test_keys};

/// What stands in the acquirer's message where the PIN block will be: 16 bytes in hexadecimal.
const NO_BLOCK_YET: [u8; 16] = [0; 16];

/// A till that has signed in, and the key blocks that its host keeps of it.
pub struct Terminal {
    till: PinPad,
    pin_key: Option<KeyRef>,
    mac_key: Option<KeyRef>,
}

impl Day<'_> {
    /// Two tills sign in, one with TDES keys and one with SM4's. The first one goes on.
    pub(super) async fn sign_in(&mut self) -> Result<Terminal> {
        self.page.part("08:56", "The tills sign in (签到)");
        let first = self.signed_in("tmk-pos-0001", "T0001", test_keys::TMK, 4);
        let (field_62, keys) = first.await?;
        let second = self.signed_in("tmk-pos-0002", "T0002", test_keys::TMK_SM4, 8);
        second.await?;
        let mut keys = keys.into_iter();
        Ok(Terminal {
            till: PinPad::signed_in(&field_62)?,
            pin_key: keys.next(),
            mac_key: keys.next(),
        })
    }

    async fn signed_in(
        &mut self,
        tmk: &str,
        till: &str,
        value: &str,
        check_value_bytes: usize,
    ) -> Result<(Vec<u8>, Vec<KeyRef>)> {
        let asked = SignInRequest {
            request_id: format!("{till}-20261123-000001"),
            terminal_key: tmk.to_owned(),
            protection_key: "kbpk-host".to_owned(),
        };
        let answer = self.client.sign_in(asked).await?;
        let field_62 = match till {
            "T0002" => self.spoil(Output::SignIn, answer.field_62),
            _ => answer.field_62,
        };
        let first = answer.keys.first().context("a sign-in without keys")?;
        let algorithm = first.algorithm.clone();
        let title = format!("SignIn {tmk}: field 62, PIK, MAK and TDK of {algorithm}:");
        self.page.line(till, &title);
        self.page.value(&hex::encode_upper(&field_62));
        let cryptograms = answer.keys.iter().map(|key| hex::encode(&key.cryptogram));
        self.ask_outside(json!({
            "check": "sign_in", "key": value, "algorithm": algorithm,
            "cryptograms": cryptograms.collect::<Vec<_>>(),
            "check_value_bytes": check_value_bytes, "field_62": hex::encode(&field_62),
        }))?;
        let kept = answer.keys.into_iter().map(|key| KeyRef {
            name: "kbpk-host".to_owned(),
            key_block: key.key_block,
            ..KeyRef::default()
        });
        Ok((field_62, kept.collect()))
    }

    /// The sale's MAC checked, its PIN translated and the acquirer's MAC made, in one call.
    pub(super) async fn card_sale(&mut self, terminal: &Terminal) -> Result<Vec<u8>> {
        self.page.part("09:12", "A card sale, ¥258.00, with a PIN");
        let block = terminal.till.pin_block()?;
        let card = masked(PAN);
        let title = format!("card {card}, PIN typed, block and MAC under its own keys:");
        self.page.line("till", &title);
        let message = pin_pad::sale(25_800, 1, &block);
        let mac = terminal.till.mac(&message)?;
        let [shown_block, shown_mac] = [&block, &mac].map(hex::encode_upper);
        self.page
            .value(&format!("{shown_block}   TDES, ISO format 0"));
        self.page
            .value(&format!("{shown_mac}   retail MAC, ISO 9797-1 algorithm 3"));
        self.ask_outside(json!({
            "check": "retail_mac", "key": hex::encode(terminal.till.mac_key()),
            "message": hex::encode(&message), "padding": 2, "length": 8, "mac": hex::encode(&mac),
        }))?;
        let forwarded = pin_pad::sale(25_800, 1, &NO_BLOCK_YET);
        let offset = forwarded.len() - 2 * NO_BLOCK_YET.len();
        let asked = SecureMessageRequest {
            pin: Some(CarriedPin {
                source_key: terminal.pin_key.clone(),
                destination_key: key("zpk-acquirer-aes"),
                source_format: PinBlockFormat::Iso0.into(),
                pan: PAN.to_owned(),
                pin_block: block.clone(),
                place: Some(PinPlace {
                    offset: u32::try_from(offset)?,
                    encoding: PinEncoding::Hex.into(),
                }),
            }),
            ..carried(terminal, message, mac, forwarded)
        };
        let answer = self.client.secure_message(asked).await?;
        if !answer.valid {
            bail!("the till's own MAC was not accepted");
        }
        let sent = pin_pad::sale(25_800, 1, &answer.pin_block);
        let out = self.spoil(Output::PinAes, answer.pin_block);
        let title = "SecureMessage: MAC right, PIN to zpk-acquirer-aes, MAC under zak-acquirer:";
        self.page.line("acquirer", title);
        self.page
            .value(&format!("{}   AES, ISO format 4", hex::encode_upper(&out)));
        self.ask_outside(json!({
            "check": "pin_iso_4", "key": test_keys::ZPK_AES, "pan": PAN, "pin": PIN,
            "block": hex::encode(&out),
        }))?;
        let mac = self.spoil(Output::Mac, answer.mac);
        self.acquirers_mac(&sent, &mac)?;
        Ok(block)
    }

    fn acquirers_mac(&mut self, message: &[u8], mac: &[u8]) -> Result<()> {
        self.page
            .value(&format!("{}   AES-CMAC", hex::encode_upper(mac)));
        self.ask_outside(json!({
            "check": "cmac_aes", "key": test_keys::ZAK, "message": hex::encode(message),
            "mac": hex::encode(mac),
        }))
    }

    /// The same block for acquirers that speak SM4 and TDES.
    pub(super) async fn other_zones(&mut self, terminal: &Terminal, block: &[u8]) -> Result<()> {
        for (to, label, output, check, key) in [
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
            let asked = translation(terminal, block, to);
            let answer = self.client.translate_pin(asked).await?;
            let out = self.spoil(output, answer.pin_block);
            self.page
                .line("acquirer", &format!("TranslatePin to {to}:"));
            self.page
                .value(&format!("{}   {label}", hex::encode_upper(&out)));
            self.ask_outside(json!({
                "check": check, "key": key, "pan": PAN, "pin": PIN, "block": hex::encode(&out),
            }))?;
        }
        Ok(())
    }

    /// A void has no PIN: only its MACs go through.
    pub(super) async fn void(&mut self, terminal: &Terminal) -> Result<()> {
        self.page.part("09:15", "The sale is voided, without a PIN");
        let message = pin_pad::void(25_800, 2);
        let mac = terminal.till.mac(&message)?;
        let asked = carried(terminal, message.clone(), mac, message.clone());
        let answer = self.client.secure_message(asked).await?;
        if !answer.valid || !answer.pin_block.is_empty() {
            bail!("the void was not carried as it is");
        }
        self.page.line(
            "acquirer",
            "SecureMessage: MAC right, MAC under zak-acquirer:",
        );
        self.acquirers_mac(&message, &answer.mac)
    }

    pub(super) async fn refusals(&mut self, terminal: &Terminal, block: &[u8]) -> Result<()> {
        self.page.part("18:05", "What the service refuses");
        let sale = pin_pad::sale(25_800, 3, block);
        let mut wrong = terminal.till.mac(&sale)?;
        wrong[0] ^= 1;
        let asked = carried(terminal, sale.clone(), wrong, sale);
        let answer = self.client.secure_message(asked).await?;
        self.page.line("MAC", "one bit wrong");
        let text = format!("SecureMessage: valid = {}, and no MAC", answer.valid);
        self.page
            .mark(!answer.valid && answer.mac.is_empty(), &text);
        self.page
            .line("PIN", "zone to terminal: the till's PIN key as destination");
        let to_terminal = TranslatePinRequest {
            destination_key: terminal.pin_key.clone(),
            ..translation(terminal, block, "zpk-acquirer-aes")
        };
        self.must_refuse("KEY_USAGE_REFUSED", to_terminal).await?;
        self.page.line("PIN", "format 1, which carries no PAN");
        let mut as_format_1 = translation(terminal, block, "zpk-acquirer-aes");
        as_format_1.set_source_format(PinBlockFormat::Iso1);
        self.must_refuse("PIN_FORMAT_REFUSED", as_format_1).await?;
        self.page
            .line("PIN", "the block of one card under the PAN of another");
        let mut other_card = translation(terminal, block, "zpk-acquirer-aes");
        other_card.pan = "6230606601007700008".to_owned();
        self.must_refuse("PIN_BLOCK_REJECTED", other_card).await
    }
}

/// A message of the till's and what goes on to the acquirer, without a PIN.
fn carried(
    terminal: &Terminal,
    message: Vec<u8>,
    mac: Vec<u8>,
    forwarded: Vec<u8>,
) -> SecureMessageRequest {
    SecureMessageRequest {
        incoming_mac_key: terminal.mac_key.clone(),
        incoming_message: message,
        incoming_mac: mac,
        pin: None,
        outgoing_mac_key: key("zak-acquirer"),
        outgoing_message: forwarded,
    }
}

fn translation(terminal: &Terminal, block: &[u8], to: &str) -> TranslatePinRequest {
    TranslatePinRequest {
        source_key: terminal.pin_key.clone(),
        destination_key: key(to),
        source_format: PinBlockFormat::Iso0.into(),
        pan: PAN.to_owned(),
        pin_block: block.to_vec(),
    }
}
