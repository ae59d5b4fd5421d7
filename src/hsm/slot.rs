//! A token in its slot: found by its label, made where there is none, and what it says of itself
//! (PKCS#11 v3.0 §5.5). A token of another label is somebody else's and is never made anew.

use cryptoki::session::UserType;
use cryptoki::slot::Slot;
use sha2::{Digest, Sha256};

use crate::hsm::TokenConfig;
use crate::hsm::error::Error;
use crate::hsm::module::{Loaded, Opened};
use crate::hsm::session::{self, OwnSession};
use crate::secret::Secret;

/// What a token says of itself.
#[derive(Clone, Debug)]
pub struct TokenInfo {
    /// The token's maker.
    pub manufacturer: String,
    /// The token's model.
    pub model: String,
    /// The token's serial number.
    pub serial: String,
    /// The token's label.
    pub label: String,
    /// The module's description and version.
    pub library: String,
    /// A token that is only software: production refuses it.
    pub software: bool,
}

impl TokenInfo {
    /// A stable name for this very token, for the seals in records.
    pub fn id(&self) -> TokenId {
        let mut hash = Sha256::new();
        for part in [&self.manufacturer, &self.model, &self.serial, &self.label] {
            // Length first, so that no two tokens spell the same bytes.
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut id = [0; 16];
        id.copy_from_slice(&hash.finalize()[..16]);
        TokenId(id)
    }
}

/// A token's stable name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(pub [u8; 16]);

impl std::fmt::Display for TokenId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

/// The initialised token of this label.
pub(in crate::hsm) fn find(opened: &Opened, label: &str) -> Result<Option<Slot>, Error> {
    let pkcs11 = &opened.loaded.pkcs11;
    let slots = match opened.slot {
        Some(slot) => vec![slot],
        None => pkcs11.get_slots_with_token()?,
    };
    let mut found = None;
    for slot in slots {
        let info = pkcs11.get_token_info(slot)?;
        if !info.token_initialized() || info.label() != label {
            continue;
        }
        if found.replace(slot).is_some() {
            return Err(Error::TokenTwice {
                label: label.to_owned(),
            });
        }
    }
    Ok(found)
}

/// Makes a token in a blank slot, and sets the user's PIN.
pub(in crate::hsm) fn make_token(
    opened: &Opened,
    config: &TokenConfig,
    so_pin: Option<&Secret<String>>,
) -> Result<Slot, Error> {
    let refused = || Error::TokenNotMade {
        label: config.label.clone(),
    };
    let pkcs11 = &opened.loaded.pkcs11;
    let slots = match opened.slot {
        Some(slot) => vec![slot],
        None => pkcs11.get_slots_with_token()?,
    };
    let mut blank = None;
    for slot in slots {
        // A token of another label is somebody's: it is never made anew.
        if !pkcs11.get_token_info(slot)?.token_initialized() {
            blank = Some(slot);
        }
    }
    let forgotten;
    let so_pin = match (so_pin, opened.slot) {
        (Some(pin), _) => pin,
        (None, Some(_)) => {
            forgotten = random_pin()?;
            &forgotten
        }
        (None, None) => return Err(refused()),
    };
    let so_auth = session::auth_pin(so_pin);
    pkcs11.init_token(blank.ok_or_else(refused)?, &so_auth, &config.label)?;
    // SoftHSM numbers its slots anew once a token is in one.
    let slot = find(opened, &config.label)?.ok_or_else(refused)?;
    let pass = opened.loaded.enter()?;
    let own = OwnSession::open(&opened.loaded, slot, pass.era())?;
    session::log_in(&own.session, UserType::So, so_pin)?;
    own.session.init_pin(&session::auth_pin(&config.pin))?;
    own.session.logout()?;
    Ok(slot)
}

fn random_pin() -> Result<Secret<String>, Error> {
    let mut bytes = Secret::new([0u8; 16]);
    getrandom::fill(bytes.expose_secret_mut()).map_err(|_| Error::NoRandom)?;
    Ok(Secret::new(hex::encode(bytes.expose_secret())))
}

/// What the token in this slot says of itself.
pub(in crate::hsm) fn describe(loaded: &Loaded, slot: Slot) -> Result<TokenInfo, Error> {
    let token = loaded.pkcs11.get_token_info(slot)?;
    let library = loaded.pkcs11.get_library_info()?;
    let maker = library.manufacturer_id();
    let says_software = |text: &str| {
        let text = text.to_lowercase();
        SOFTWARE_TOKENS.iter().any(|name| text.contains(name))
    };
    Ok(TokenInfo {
        manufacturer: token.manufacturer_id().to_owned(),
        model: token.model().to_owned(),
        serial: token.serial_number().to_owned(),
        label: token.label().to_owned(),
        library: format!(
            "{} {} ({maker})",
            library.library_description(),
            library.library_version()
        ),
        software: says_software(maker)
            || says_software(library.library_description())
            || says_software(token.manufacturer_id()),
    })
}

/// Makers and modules that are software, in lower case.
const SOFTWARE_TOKENS: [&str; 5] = ["softhsm", "kryoptic", "nss internal", "ock soft", "craton"];
