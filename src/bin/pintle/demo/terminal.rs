//! The till's side of the story: what a PIN pad does with its own keys. Published test keys only.

use anyhow::{Result, anyhow};
use pintle::domain::cipher::{BlockAlgorithm, PinCipher};
use pintle::domain::mac::{self, MacKey, Padding, Rule, Scheme};
use pintle::domain::pan::Pan;
use pintle::domain::pin::Pin;
use pintle::domain::pin_block::{self, Format, Framing};

/// A test card.
pub const PAN: &str = "6230606601007726888";
/// The PIN its holder types.
pub const PIN: &str = "123654";

/// The values of the published test keys, as the till and the checks know them.
pub mod test_keys {
    pub const TPK: &str = "0123456789ABCDEFFEDCBA9876543210";
    pub const TAK: &str = "46B0AB85C8AB2CC87FBC7C736E515D07";
    pub const ZPK_AES: &str = "C1D0F8FB4958670DBA40AB1F3752EF0D";
    pub const ZPK_SM4: &str = "F351D490994603795C6EBEE8FAEBB481";
    pub const ZPK_TDES: &str = "5DB50B454F8389ADCE573BE50861F2BF";
    pub const ZAK: &str = "2B7E151628AED2A6ABF7158809CF4F3C";
}

/// The PIN pad: the holder's PIN, format 0, under the terminal's PIN key.
pub fn pin_block() -> Result<Vec<u8>> {
    let cipher = PinCipher::new(BlockAlgorithm::Tdes, &hex::decode(test_keys::TPK)?)?;
    let framing = Framing {
        format: Format::Iso0,
        cipher: &cipher,
    };
    let block = pin_block::encipher(framing, &Pin::parse(PIN)?, &Pan::parse(PAN)?, &[0; 8])
        .map_err(|_| anyhow!("the till could not frame the PIN"))?;
    Ok(block.as_bytes().to_vec())
}

/// The MAC of a request under the terminal's MAC key: ISO 9797-1 algorithm 3, padding 2.
pub fn mac(message: &[u8]) -> Result<Vec<u8>> {
    let key = MacKey::new(Scheme::Iso9797Alg3Des, &hex::decode(test_keys::TAK)?)?;
    let rule = Rule::new(Scheme::Iso9797Alg3Des, Some(Padding::Method2), 8)?;
    let tag = mac::generate(&key, &rule, message)?;
    Ok(tag.as_bytes().to_vec())
}

/// A card sale as it goes to the acquirer: type, PAN, amount in fen, trace number, PIN block.
pub fn sale(amount_fen: u64, trace: u32, pin_block: &[u8]) -> Vec<u8> {
    format!(
        "0200|{PAN}|{amount_fen:012}|{trace:06}|{}",
        hex::encode_upper(pin_block)
    )
    .into_bytes()
}
