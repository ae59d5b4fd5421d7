//! A card sale: the till signs in (签到), its PIN pad frames the PIN and the MAC, and Pintle passes
//! both on to the acquirer in one call.

use anyhow::{Context, Result, ensure};
use pintle::client::Client;
use pintle::service::pb::v1::{
    CarriedPin, KeyRef, PinBlockFormat, PinEncoding, PinPlace, SecureMessageRequest, SignInRequest,
};

use super::alipay::yuan;
use super::pin_pad::{self, PAN, PinPad};

/// What stands in the acquirer's message where the PIN block will be: 16 bytes in hexadecimal.
const NO_BLOCK_YET: [u8; 16] = [0; 16];

/// Signs in and sells; prints what goes to the acquirer.
pub async fn sell(client: &Client, fen: u64) -> Result<()> {
    let asked = SignInRequest {
        request_id: format!("T0001-{}", jiff::Timestamp::now().as_millisecond()),
        terminal_key: "tmk-pos-0001".to_owned(),
        protection_key: "kbpk-host".to_owned(),
    };
    let answer = client.sign_in(asked).await?;
    let pad = PinPad::signed_in(&answer.field_62)?;
    let mut keys = answer.keys.into_iter().map(|key| KeyRef {
        name: "kbpk-host".to_owned(),
        key_block: key.key_block,
        ..KeyRef::default()
    });
    let block = pad.pin_block()?;
    let message = pin_pad::sale(fen, 1, &block);
    let mac = pad.mac(&message)?;
    let forwarded = pin_pad::sale(fen, 1, &NO_BLOCK_YET);
    let offset = forwarded.len() - 2 * NO_BLOCK_YET.len();
    let asked = SecureMessageRequest {
        pin: Some(CarriedPin {
            source_key: keys.next(),
            destination_key: named("zpk-acquirer-aes"),
            source_format: PinBlockFormat::Iso0.into(),
            pan: PAN.to_owned(),
            pin_block: block,
            place: Some(PinPlace {
                offset: u32::try_from(offset).context("a long message")?,
                encoding: PinEncoding::Hex.into(),
            }),
        }),
        incoming_mac_key: keys.next(),
        incoming_message: message,
        incoming_mac: mac,
        outgoing_mac_key: named("zak-acquirer"),
        outgoing_message: forwarded,
    };
    let answer = client.secure_message(asked).await?;
    ensure!(answer.valid, "the till's own MAC was not accepted");
    let sent = pin_pad::sale(fen, 1, &answer.pin_block);
    println!("card sale {}", yuan(fen));
    println!("  to the acquirer  {}", String::from_utf8_lossy(&sent));
    println!("  MAC              {}", hex::encode_upper(&answer.mac));
    Ok(())
}

fn named(name: &str) -> Option<KeyRef> {
    Some(KeyRef {
        name: name.to_owned(),
        ..KeyRef::default()
    })
}
