//! MAC keys: one value expanded for one scheme.
//!
//! Whether a value is fit to be a key (parity, weak keys) is not looked at here.

use crate::domain::cipher::{Aes, Des, KeyLength, Sm4, Tdes};
use crate::domain::mac::scheme::Scheme;
use crate::domain::mac::{cmac, gateway, hmac};
use crate::limits::{HMAC_KEY_BYTES_MAX, HMAC_KEY_BYTES_MIN};

/// An expanded MAC key, for one scheme. Wiped on drop, without `Debug`, `Clone` or `==`.
pub struct MacKey {
    scheme: Scheme,
    schedule: Schedule,
}

impl MacKey {
    /// Expands a key: 8 bytes for DES, 16 or 24 for TDES, 16 (K‖K') for algorithm 3, 8 or 16 for
    /// the UnionPay ECB MAC, 16 for SM4, 16, 24 or 32 for AES, 16 to 64 for HMAC, 32 for UnionPay's
    /// gateway.
    pub fn new(scheme: Scheme, key: &[u8]) -> Result<Self, KeyLength> {
        let schedule = match scheme {
            Scheme::Iso9797Alg1Des => Schedule::Des(Des::new(key)?),
            Scheme::Iso9797Alg1Tdes => Schedule::Tdes(Tdes::new(key)?),
            Scheme::Iso9797Alg1Aes => Schedule::Aes(Aes::new(key)?),
            Scheme::Iso9797Alg1Sm4
            | Scheme::Sm4PosHex8
            | Scheme::Sm4PosHex8Lower
            | Scheme::Sm4PosRaw8
            | Scheme::Sm4PosRaw8Lower => Schedule::Sm4(Sm4::new(key)?),
            Scheme::UnionPayEcbHex8 | Scheme::UnionPayEcbRaw8 => match key.len() {
                8 => Schedule::Des(Des::new(key)?),
                16 => Schedule::Tdes(Tdes::new(key)?),
                _ => return Err(KeyLength),
            },
            Scheme::Iso9797Alg3Des => {
                let (k, k_prime) = key.split_at_checked(8).ok_or(KeyLength)?;
                Schedule::Retail {
                    k: Des::new(k)?,
                    k_prime: Des::new(k_prime)?,
                }
            }
            Scheme::CmacTdes => {
                let tdes = Tdes::new(key)?;
                let Ok(subkeys) = cmac::Subkeys::derive(&tdes);
                Schedule::CmacTdes(tdes, subkeys)
            }
            Scheme::CmacAes => {
                let aes = Aes::new(key)?;
                let Ok(subkeys) = cmac::Subkeys::derive(&aes);
                Schedule::CmacAes(aes, subkeys)
            }
            Scheme::CmacSm4 => {
                let sm4 = Sm4::new(key)?;
                let Ok(subkeys) = cmac::Subkeys::derive(&sm4);
                Schedule::CmacSm4(sm4, subkeys)
            }
            Scheme::HmacSha1
            | Scheme::HmacSha224
            | Scheme::HmacSha256
            | Scheme::HmacSha384
            | Scheme::HmacSha512
            | Scheme::HmacSm3 => {
                if !(HMAC_KEY_BYTES_MIN..=HMAC_KEY_BYTES_MAX).contains(&key.len()) {
                    return Err(KeyLength);
                }
                return Self::hmac_of_any_length(scheme, key);
            }
            Scheme::UnionPayGatewaySha256 => {
                Schedule::Gateway(gateway::Key::new(hmac::Hash::Sha256, key)?)
            }
            Scheme::UnionPayGatewaySm3 => {
                Schedule::Gateway(gateway::Key::new(hmac::Hash::Sm3, key)?)
            }
        };
        Ok(Self { scheme, schedule })
    }

    /// An HMAC key of any length, even one too weak for a policy: for known answers. Refuses the
    /// schemes that are no HMAC.
    pub fn hmac_of_any_length(scheme: Scheme, key: &[u8]) -> Result<Self, KeyLength> {
        let state = hmac::State::of_key(scheme.hash().ok_or(KeyLength)?, key)?;
        let schedule = Schedule::Hmac(state);
        Ok(Self { scheme, schedule })
    }

    /// The scheme this key is for.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub(super) const fn schedule(&self) -> &Schedule {
        &self.schedule
    }
}

/// What a key was expanded to.
pub(super) enum Schedule {
    Des(Des),
    Tdes(Tdes),
    Aes(Aes),
    Sm4(Sm4),
    Retail { k: Des, k_prime: Des },
    CmacTdes(Tdes, cmac::Subkeys<8>),
    CmacAes(Aes, cmac::Subkeys<16>),
    CmacSm4(Sm4, cmac::Subkeys<16>),
    Hmac(hmac::State),
    Gateway(gateway::Key),
}
