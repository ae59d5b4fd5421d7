//! What WeChat Pay APIv3 encrypts under the APIv3 key: the resource of a callback, and the platform
//! certificates that a merchant fetches. GCM, the nonce text of 12 bytes, the tag behind the data.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::cipher::BlockAlgorithm;
use crate::domain::wechat_pay::WechatPayError;
use crate::limits::{ASSOCIATED_DATA_BYTES_MAX, CONTENT_CHARACTERS_MAX, GCM_IV_BYTES};

/// As it stands in the JSON.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// `algorithm`.
    pub algorithm: &'a str,
    /// `nonce`.
    pub nonce: &'a str,
    /// `associated_data`; empty where it is not there.
    pub associated_data: &'a str,
    /// `ciphertext`: base64.
    pub ciphertext: &'a str,
}

/// Its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The cipher that it says.
    pub algorithm: BlockAlgorithm,
    /// The IV.
    pub nonce: [u8; GCM_IV_BYTES],
    /// What is authenticated beside it.
    pub associated_data: Vec<u8>,
    /// The data.
    pub data: Vec<u8>,
    /// The tag.
    pub tag: [u8; TAG_BYTES],
}

/// Bytes of the tag.
pub const TAG_BYTES: usize = 16;

impl Resource {
    /// Reads it.
    ///
    /// # Errors
    /// [`WechatPayError::Resource`] with the field that is not one's.
    pub fn read(given: &Given<'_>) -> Result<Self, WechatPayError> {
        let wrong = WechatPayError::Resource;
        let algorithm = match given.algorithm {
            "AEAD_AES_256_GCM" => BlockAlgorithm::Aes,
            "AEAD_SM4_GCM" => BlockAlgorithm::Sm4,
            _ => return Err(wrong("algorithm")),
        };
        let nonce = given.nonce.as_bytes().try_into();
        if given.associated_data.len() > ASSOCIATED_DATA_BYTES_MAX {
            return Err(wrong("associated_data"));
        }
        let ciphertext = wrong("ciphertext");
        if given.ciphertext.len() > CONTENT_CHARACTERS_MAX {
            return Err(ciphertext);
        }
        let Ok(decoded) = STANDARD.decode(given.ciphertext) else {
            return Err(ciphertext);
        };
        let Some((data, tag)) = decoded.split_last_chunk() else {
            return Err(ciphertext);
        };
        Ok(Self {
            algorithm,
            nonce: nonce.map_err(|_| wrong("nonce"))?,
            associated_data: given.associated_data.as_bytes().to_vec(),
            data: data.to_vec(),
            tag: *tag,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: Given<'_> = Given {
        algorithm: "AEAD_SM4_GCM",
        nonce: "fdasflkja484",
        associated_data: "transaction",
        ciphertext: "AAECAwQFBgcICQoLDA0ODxA=",
    };

    #[test]
    fn the_tag_is_behind_the_data() {
        let read = Resource::read(&GIVEN).unwrap();
        assert_eq!(read.algorithm, BlockAlgorithm::Sm4);
        assert_eq!(read.data, [0]);
        assert_eq!(
            read.tag,
            [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
        );
    }

    #[test]
    fn what_is_no_resource_is_refused_by_its_field() {
        let wrong = [
            (
                Given {
                    algorithm: "AEAD_AES_128_GCM",
                    ..GIVEN
                },
                "algorithm",
            ),
            (
                Given {
                    nonce: "fdasflkja48",
                    ..GIVEN
                },
                "nonce",
            ),
            (
                Given {
                    ciphertext: "AAECAwQFBgcICQoLDA0ODw",
                    ..GIVEN
                },
                "ciphertext",
            ),
            (
                Given {
                    ciphertext: "AAEC",
                    ..GIVEN
                },
                "ciphertext",
            ),
        ];
        for (given, field) in wrong {
            let refused = Err(WechatPayError::Resource(field));
            assert_eq!(Resource::read(&given), refused);
        }
    }
}
