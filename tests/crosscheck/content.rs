//! Alipay's content encryption with OpenSSL.

use pintle::domain::alipay::content::{self, ContentForm};
use pintle::domain::cipher::{Aes, PinCipher, Sm4};

use crate::inputs::Inputs;
use crate::oracle::{Asked, agree, asked, word};

fn agrees(family: &str, form: ContentForm, cipher: fn(&[u8]) -> PinCipher) {
    let ask = |inputs: &mut Inputs| -> Asked {
        let (key, iv, data) = (inputs.bytes(16), inputs.array(), inputs.message(0));
        let cipher = cipher(&key);
        let sealed = content::encrypt(&cipher, form, &iv, &data).unwrap();
        let opened = content::decrypt(&cipher, form, &sealed).unwrap();
        assert_eq!(opened.expose_secret(), &data);
        let question = match form {
            ContentForm::Aes => format!("{family} {} {}", word(&key), word(&data)),
            ContentForm::AesV2 | ContentForm::Sm4 => {
                format!("{family} {} {} {}", word(&key), word(&iv), word(&data))
            }
        };
        asked(question, sealed.as_bytes())
    };
    agree(family, ask);
}

#[test]
fn content_under_aes_agrees_with_openssl() {
    let aes = |key: &[u8]| PinCipher::Aes(Aes::new(key).unwrap());
    agrees("content_aes", ContentForm::Aes, aes);
    agrees("content_aes_v2", ContentForm::AesV2, aes);
}

#[test]
fn content_under_sm4_agrees_with_openssl() {
    let sm4 = |key: &[u8]| PinCipher::Sm4(Sm4::new(key).unwrap());
    agrees("content_sm4", ContentForm::Sm4, sm4);
}
