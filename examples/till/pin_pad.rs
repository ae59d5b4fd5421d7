//! What a PIN pad does with its own keys: the only place of a till where there are any. Published
//! test keys only.

use anyhow::{Context, Result, anyhow};
use pintle::domain::cipher::{BlockAlgorithm, BlockCipher, PinCipher};
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
    pub const TMK: &str = "70F2A84CCBC2AE8625CBB0F2C22AB923";
    pub const TMK_SM4: &str = "1234567890ABCDEFABCDEF0987654321";
    pub const ZPK_AES: &str = "C1D0F8FB4958670DBA40AB1F3752EF0D";
    pub const ZPK_SM4: &str = "F351D490994603795C6EBEE8FAEBB481";
    pub const ZPK_TDES: &str = "5DB50B454F8389ADCE573BE50861F2BF";
    pub const ZAK: &str = "2B7E151628AED2A6ABF7158809CF4F3C";
}

/// Length of a key and of its check value in field 62 of the till's sign-in.
const PLACE_BYTES: usize = 20;

/// A PIN pad that has signed in.
pub struct PinPad {
    pin_key: Vec<u8>,
    mac_key: Vec<u8>,
}

impl PinPad {
    /// Takes its keys out of field 62: PIN key, MAC key, track key, each 16 bytes under its master
    /// key and 4 of check value.
    pub fn signed_in(field_62: &[u8]) -> Result<Self> {
        let [pin, mac, _track] = field_62.as_chunks::<PLACE_BYTES>().0 else {
            return Err(anyhow!("field 62 is not three keys"));
        };
        Ok(Self {
            pin_key: taken_out(pin)?,
            mac_key: taken_out(mac)?,
        })
    }

    /// The MAC key, for the check outside.
    pub fn mac_key(&self) -> &[u8] {
        &self.mac_key
    }

    /// The PIN pad: the holder's PIN, format 0, under the terminal's PIN key.
    pub fn pin_block(&self) -> Result<Vec<u8>> {
        let cipher = PinCipher::new(BlockAlgorithm::Tdes, &self.pin_key)?;
        let framing = Framing {
            format: Format::Iso0,
            cipher: &cipher,
        };
        let block = pin_block::encipher(framing, &Pin::parse(PIN)?, &Pan::parse(PAN)?, &[0; 8])
            .map_err(|_| anyhow!("the till could not frame the PIN"))?;
        Ok(block.as_bytes().to_vec())
    }

    /// The MAC of a message under the terminal's MAC key: ISO 9797-1 algorithm 3, padding 2.
    pub fn mac(&self, message: &[u8]) -> Result<Vec<u8>> {
        let key = MacKey::new(Scheme::Iso9797Alg3Des, &self.mac_key)?;
        let rule = Rule::new(Scheme::Iso9797Alg3Des, Some(Padding::Method2), 8)?;
        let tag = mac::generate(&key, &rule, message)?;
        Ok(tag.as_bytes().to_vec())
    }
}

/// One key of field 62, its check value compared.
fn taken_out(place: &[u8; PLACE_BYTES]) -> Result<Vec<u8>> {
    let (cryptogram, check_value) = place.split_at(16);
    let mut key = cryptogram.to_vec();
    let cipher = PinCipher::new(BlockAlgorithm::Tdes, &hex::decode(test_keys::TMK)?)?;
    let PinCipher::Tdes(tmk) = cipher else {
        return Err(anyhow!("the till's master key is TDES"));
    };
    let Ok(()) = tmk.decrypt_blocks(key.as_chunks_mut().0);
    let PinCipher::Tdes(working) = PinCipher::new(BlockAlgorithm::Tdes, &key)? else {
        return Err(anyhow!("the till's working keys are TDES"));
    };
    let mut zero = [0; 8];
    let Ok(()) = working.encrypt_block(&mut zero);
    let own = zero.get(..4).context("a block has 8 bytes")?;
    if own == check_value {
        Ok(key)
    } else {
        Err(anyhow!("a key's check value in field 62 is not the key's"))
    }
}

/// A card sale as it goes to the acquirer: type, PAN, amount in fen, trace number, PIN block.
pub fn sale(amount_fen: u64, trace: u32, pin_block: &[u8]) -> Vec<u8> {
    let block = hex::encode_upper(pin_block);
    format!("0200|{PAN}|{amount_fen:012}|{trace:06}|{block}").into_bytes()
}

/// The void of a sale: there is no PIN in it.
pub fn void(amount_fen: u64, trace: u32) -> Vec<u8> {
    format!("0200|{PAN}|{amount_fen:012}|{trace:06}|void").into_bytes()
}
