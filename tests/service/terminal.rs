//! TerminalService: a terminal that signs in, and the messages it sends under what it got.

use pintle::domain::cipher::{BlockAlgorithm, BlockCipher, PinCipher};
use pintle::domain::key_block::{ProtectionKeys, Version, unwrap};
use pintle::domain::mac::{self, MacKey, Padding, Rule, Scheme};
use pintle::domain::pan::Pan;
use pintle::domain::pin::Pin;
use pintle::domain::pin_block::{self, Format, Framing};
use pintle::domain::track;
use pintle::service::pb::admin::v1::{ImportCryptogramRequest, KeySpec};
use pintle::service::pb::v1::{
    CarriedPin, DecryptDataRequest, KeyRef, PinBlockFormat, PinEncoding, PinPlace,
    SecureMessageRequest, SignInRequest, SignInResponse, TranslatePinRequest,
    TranslateTrackRequest, VerifyMacRequest, WorkingKey,
};
use tonic::Code;

use crate::blocks;
use crate::refusal::{assert_refused, refused};
use crate::world::{World, key, world};

const PAN: &str = "6230606601007726888";
const PIN: &str = "123654";

fn sign_in(id: &str, terminal: &str) -> SignInRequest {
    SignInRequest {
        request_id: id.to_owned(),
        terminal_key: terminal.to_owned(),
        protection_key: "kbpk-terminals".to_owned(),
    }
}

async fn signed_in(world: &World, id: &str, terminal: &str) -> SignInResponse {
    let client = world.client().await;
    client.sign_in(sign_in(id, terminal)).await.unwrap()
}

/// The working key, as the terminal takes it out of its cryptogram.
fn decrypted(terminal: &str, cryptogram: &[u8]) -> Vec<u8> {
    let mut clear = cryptogram.to_vec();
    let Ok(()) = match blocks::cipher(terminal) {
        PinCipher::Tdes(tdes) => tdes.decrypt_blocks(clear.as_chunks_mut().0),
        PinCipher::Aes(aes) => aes.decrypt_blocks(clear.as_chunks_mut().0),
        PinCipher::Sm4(sm4) => sm4.decrypt_blocks(clear.as_chunks_mut().0),
    };
    clear
}

/// The zero block under a key: what its check value is cut from.
fn zero_block(algorithm: &str, value: &[u8]) -> Vec<u8> {
    match cipher(algorithm_of(algorithm), value) {
        PinCipher::Tdes(tdes) => {
            let mut block = [0; 8];
            let Ok(()) = tdes.encrypt_block(&mut block);
            block.to_vec()
        }
        PinCipher::Sm4(sm4) => {
            let mut block = [0; 16];
            let Ok(()) = sm4.encrypt_block(&mut block);
            block.to_vec()
        }
        PinCipher::Aes(_) => panic!("AES keys have no zero-block check value here"),
    }
}

fn algorithm_of(word: &str) -> BlockAlgorithm {
    match word {
        "SM4" => BlockAlgorithm::Sm4,
        "DES" | "TDES-2" => BlockAlgorithm::Tdes,
        other => panic!("{other}"),
    }
}

/// A key that may be of single length.
fn cipher(algorithm: BlockAlgorithm, value: &[u8]) -> PinCipher {
    match value.len() {
        8 => PinCipher::weak_single_des(value).unwrap(),
        _ => PinCipher::new(algorithm, value).unwrap(),
    }
}

fn brought(key: &WorkingKey) -> Option<KeyRef> {
    Some(KeyRef {
        name: "kbpk-terminals".to_owned(),
        key_block: key.key_block.clone(),
        ..KeyRef::default()
    })
}

/// A terminal with the values it took out of its sign-in.
struct Till {
    answer: SignInResponse,
    pin_key: Vec<u8>,
    mac_key: Vec<u8>,
    rule: Rule,
    format: Format,
}

impl Till {
    async fn double(world: &World, id: &str) -> Self {
        let answer = signed_in(world, id, "kbpk-tmk-double").await;
        let rule = Rule::new(Scheme::Iso9797Alg3Des, Some(Padding::Method2), 8).unwrap();
        Self::of(answer, "kbpk-tmk-double", rule, Format::Iso0)
    }

    async fn sm4(world: &World, id: &str) -> Self {
        let answer = signed_in(world, id, "kbpk-tmk-sm4").await;
        let rule = Rule::new(Scheme::Iso9797Alg1Sm4, Some(Padding::Method2), 8).unwrap();
        Self::of(answer, "kbpk-tmk-sm4", rule, Format::Sm4Fmt4Layout)
    }

    /// With keys of single length.
    async fn single(world: &World, id: &str, terminal: &str) -> Self {
        let answer = signed_in(world, id, terminal).await;
        let rule = match terminal {
            "kbpk-tmk-001" => Rule::new(Scheme::Iso9797Alg1Des, Some(Padding::Method1), 4),
            _ => Rule::new(Scheme::UnionPayEcbHex8, None, 8),
        };
        Self::of(answer, terminal, rule.unwrap(), Format::Iso0)
    }

    fn of(answer: SignInResponse, terminal: &str, rule: Rule, format: Format) -> Self {
        let pin_key = decrypted(terminal, &answer.keys[0].cryptogram);
        let mac_key = decrypted(terminal, &answer.keys[1].cryptogram);
        Self {
            answer,
            pin_key,
            mac_key,
            rule,
            format,
        }
    }

    fn pin_block(&self) -> Vec<u8> {
        let cipher = cipher(self.format.algorithm(), &self.pin_key);
        let framing = Framing {
            format: self.format,
            cipher: &cipher,
        };
        let (pin, pan) = (Pin::parse(PIN).unwrap(), Pan::parse(PAN).unwrap());
        let block = pin_block::encipher(framing, &pin, &pan, &[0xC3; 8]).unwrap();
        block.as_bytes().to_vec()
    }

    fn mac(&self, message: &[u8]) -> Vec<u8> {
        let key = MacKey::new(self.rule.scheme, &self.mac_key).unwrap();
        mac::generate(&key, &self.rule, message)
            .unwrap()
            .as_bytes()
            .to_vec()
    }

    /// A sale with a PIN, to an AES zone, whose message has the new block in the middle.
    fn sale(&self) -> SecureMessageRequest {
        let message = [b"0200 sale ".as_slice(), &self.pin_block()].concat();
        let place = PinPlace {
            offset: 11,
            encoding: PinEncoding::Binary.into(),
        };
        SecureMessageRequest {
            incoming_mac_key: brought(&self.answer.keys[1]),
            incoming_mac: self.mac(&message),
            incoming_message: message,
            pin: Some(CarriedPin {
                source_key: brought(&self.answer.keys[0]),
                destination_key: key("zpk-out-aes"),
                source_format: blocks::wire(self.format).into(),
                pan: PAN.to_owned(),
                pin_block: self.pin_block(),
                place: Some(place),
            }),
            outgoing_mac_key: key("mac-cmac-aes"),
            outgoing_message: b"0200 sale [................] tail".to_vec(),
        }
    }
}

#[test]
fn sign_in_accepts_every_layout_and_lays_field_62_out_as_it_says() {
    world().run(async |world| {
        for (terminal, algorithms, usages, shown, places, length) in [
            (
                "kbpk-tmk-001",
                ["DES", "DES", ""],
                ["P0", "M1", ""],
                4,
                [8, 8, 0],
                24,
            ),
            (
                "kbpk-tmk-003",
                ["TDES-2", "DES", ""],
                ["P0", "M1", ""],
                4,
                [16, 16, 0],
                40,
            ),
            (
                "kbpk-tmk-double",
                ["TDES-2"; 3],
                ["P0", "M3", "D0"],
                4,
                [16; 3],
                60,
            ),
            (
                "kbpk-tmk-sm4",
                ["SM4"; 3],
                ["P0", "M1", "D0"],
                8,
                [16; 3],
                72,
            ),
        ] {
            let answer = signed_in(world, &format!("si-{terminal}"), terminal).await;
            let expected = usages.iter().filter(|usage| !usage.is_empty()).count();
            assert_eq!(answer.keys.len(), expected, "{terminal}");
            let mut laid_out = Vec::new();
            for (at, key) in answer.keys.iter().enumerate() {
                assert_eq!(key.algorithm, algorithms[at], "{terminal}");
                assert_eq!(key.usage, usages[at], "{terminal}");
                let value = decrypted(terminal, &key.cryptogram);
                let zero = zero_block(&key.algorithm, &value);
                assert_eq!(key.check_value, zero[..shown], "{terminal}");
                assert!(key.terminal_key_block.is_empty());
                let mut place = key.cryptogram.clone();
                place.resize(places[at], 0);
                laid_out.extend([place, key.check_value.clone()].concat());
            }
            assert_eq!(answer.field_62, laid_out, "{terminal}");
            assert_eq!(answer.field_62.len(), length, "{terminal}");
        }
    });
}

#[test]
fn sign_in_accepts_a_terminal_and_gives_it_and_its_host_the_same_keys() {
    world().run(async |world| {
        for till in [
            Till::double(world, "si-same-1").await,
            Till::sm4(world, "si-same-2").await,
            Till::single(world, "si-same-3", "kbpk-tmk-001").await,
            Till::single(world, "si-same-4", "kbpk-tmk-003").await,
        ] {
            let client = world.client().await;
            let asked = VerifyMacRequest {
                key: brought(&till.answer.keys[1]),
                message: b"0800".to_vec(),
                mac: till.mac(b"0800"),
            };
            assert!(client.verify_mac(asked).await.unwrap().valid);
            let asked = TranslatePinRequest {
                source_key: brought(&till.answer.keys[0]),
                destination_key: key("zpk-out-aes"),
                source_format: blocks::wire(till.format).into(),
                pan: PAN.to_owned(),
                pin_block: till.pin_block(),
            };
            let out = client.translate_pin(asked).await.unwrap().pin_block;
            let pin = blocks::decipher("zpk-out-aes", Format::Iso4, PAN, &out);
            assert_eq!(pin.as_deref(), Some(PIN));
        }
    });
}

#[test]
fn sign_in_accepts_a_terminal_that_takes_key_blocks() {
    world().run(async |world| {
        let answer = signed_in(world, "si-blocks", "kbpk-tmk-blocks").await;
        assert!(answer.field_62.is_empty());
        let kbpk = blocks::value("kbpk-tmk-blocks");
        let keys = ProtectionKeys::from_kbpk(Version::D, &kbpk).unwrap();
        let codes: Vec<_> = answer
            .keys
            .iter()
            .map(|key| {
                assert!(key.cryptogram.is_empty());
                assert!(unwrap(&keys, key.terminal_key_block.as_bytes()).is_ok());
                key.terminal_key_block[5..9].to_owned()
            })
            .collect();
        // The terminal encrypts what its host decrypts.
        assert_eq!(codes, ["P0AE", "M6AC"]);
        let mac = &answer.keys[1];
        let opened = unwrap(&keys, mac.terminal_key_block.as_bytes()).unwrap();
        let rule = Rule::new(Scheme::CmacAes, None, 16).unwrap();
        let value = MacKey::new(Scheme::CmacAes, opened.key.expose_secret()).unwrap();
        let asked = VerifyMacRequest {
            key: brought(mac),
            message: b"0800".to_vec(),
            mac: mac::generate(&value, &rule, b"0800")
                .unwrap()
                .as_bytes()
                .to_vec(),
        };
        assert!(world.client().await.verify_mac(asked).await.unwrap().valid);
    });
}

#[test]
fn sign_in_accepts_a_repetition_and_answers_the_same_keys() {
    world().run(async |world| {
        let first = signed_in(world, "si-again", "kbpk-tmk-double").await;
        let again = signed_in(world, "si-again", "kbpk-tmk-double").await;
        assert!(first == again);
        let other = signed_in(world, "si-anew", "kbpk-tmk-double").await;
        for (one, other) in first.keys.iter().zip(&other.keys) {
            assert_ne!(one.cryptogram, other.cryptogram);
        }
        let client = world.client().await;
        let answer = client.sign_in(sign_in("si-again", "kbpk-tmk-sm4")).await;
        assert_refused(
            answer,
            Code::FailedPrecondition,
            "REQUEST_ID_REUSED",
            "request_id",
        );
    });
}

#[test]
fn sign_in_refuses_keys_without_a_sign_in_and_protection_keys_that_are_none() {
    world().run(async |world| {
        let client = world.client().await;
        for (id, terminal) in [("si-no-1", "kbpk-tmk"), ("si-no-2", "kbpk-zmk")] {
            let answer = client.sign_in(sign_in(id, terminal)).await;
            let code = Code::FailedPrecondition;
            assert_refused(answer, code, "KEY_USAGE_REFUSED", "terminal_key");
        }
        let answer = client.sign_in(sign_in("si-no-3", "kbpk-out")).await;
        let code = Code::FailedPrecondition;
        assert_refused(answer, code, "KEY_USAGE_REFUSED", "terminal_key");
        let not_protection = SignInRequest {
            protection_key: "kbpk-tdes".to_owned(),
            ..sign_in("si-no-4", "kbpk-tmk-double")
        };
        let answer = client.sign_in(not_protection).await;
        assert_refused(answer, code, "KEY_USAGE_REFUSED", "protection_key");
        // SM4 has no letter under this protection key.
        let no_letter = SignInRequest {
            protection_key: "kbpk-out".to_owned(),
            ..sign_in("si-no-5", "kbpk-tmk-sm4")
        };
        let answer = client.sign_in(no_letter).await;
        assert_refused(answer, code, "KEY_NOT_OFFERED", "terminal_key");
    });
}

#[test]
fn sign_in_refuses_that_its_pin_key_comes_back_as_a_track_key() {
    world().run(async |world| {
        let till = Till::sm4(world, "si-clulow").await;
        let pin_key = &till.answer.keys[0];
        let asked = |id: &str, cryptogram: &WorkingKey| ImportCryptogramRequest {
            request_id: id.to_owned(),
            parent_key: "kbpk-tmk-sm4".to_owned(),
            cryptogram: cryptogram.cryptogram.clone(),
            check_value: cryptogram.check_value.clone(),
            spec: Some(KeySpec {
                usage: "D0".to_owned(),
                mode: "D".to_owned(),
                algorithm: "SM4".to_owned(),
                ..KeySpec::default()
            }),
            protection_key: "kbpk-terminals".to_owned(),
        };
        let client = world.admin_client().await;
        let answer = client
            .import_cryptogram(asked("si-clulow-1", pin_key))
            .await;
        assert_refused(
            answer,
            Code::FailedPrecondition,
            "CRYPTOGRAM_REUSED",
            "cryptogram",
        );
        // The control: its track key is one, and comes in.
        let track = &till.answer.keys[2];
        let answer = client.import_cryptogram(asked("si-clulow-2", track)).await;
        answer.unwrap();
    });
}

#[test]
fn secure_message_accepts_a_sale_and_covers_the_translated_block_with_the_new_mac() {
    world().run(async |world| {
        for till in [
            Till::double(world, "sm-sale-1").await,
            Till::sm4(world, "sm-sale-2").await,
        ] {
            let client = world.client().await;
            let answer = client.secure_message(till.sale()).await.unwrap();
            assert!(answer.valid);
            assert!(answer.pin_block_format() == PinBlockFormat::Iso4);
            let pin = blocks::decipher("zpk-out-aes", Format::Iso4, PAN, &answer.pin_block);
            assert_eq!(pin.as_deref(), Some(PIN));
            let sent = [b"0200 sale [".as_slice(), &answer.pin_block, b"] tail"].concat();
            let asked = VerifyMacRequest {
                key: key("mac-cmac-aes"),
                message: sent,
                mac: answer.mac.clone(),
            };
            assert!(client.verify_mac(asked).await.unwrap().valid);
            let used = [
                answer.incoming_mac_key.unwrap().name,
                answer.source_key.unwrap().name,
                answer.destination_key.unwrap().name,
                answer.outgoing_mac_key.unwrap().name,
            ];
            let expected = [
                "kbpk-terminals",
                "kbpk-terminals",
                "zpk-out-aes",
                "mac-cmac-aes",
            ];
            assert_eq!(used, expected);
        }
    });
}

#[test]
fn secure_message_accepts_a_void_without_a_pin_and_the_way_back() {
    world().run(async |world| {
        let till = Till::double(world, "sm-void").await;
        let client = world.client().await;
        let void = SecureMessageRequest {
            incoming_message: b"0200 void".to_vec(),
            incoming_mac: till.mac(b"0200 void"),
            pin: None,
            outgoing_message: b"0200 void, acquirer".to_vec(),
            ..till.sale()
        };
        let answer = client.secure_message(void).await.unwrap();
        assert!(answer.valid && answer.pin_block.is_empty() && answer.source_key.is_none());
        let back = SecureMessageRequest {
            incoming_mac_key: key("mac-cmac-aes"),
            incoming_message: b"0200 void, acquirer".to_vec(),
            incoming_mac: answer.mac,
            pin: None,
            outgoing_mac_key: brought(&till.answer.keys[1]),
            outgoing_message: b"0210 approved".to_vec(),
        };
        let answer = client.secure_message(back).await.unwrap();
        assert!(answer.valid);
        assert_eq!(answer.mac, till.mac(b"0210 approved"));
    });
}

#[test]
fn secure_message_answers_nothing_but_false_where_the_mac_is_wrong() {
    world().run(async |world| {
        let till = Till::double(world, "sm-false").await;
        let client = world.client().await;
        let mut wrong = till.sale();
        wrong.incoming_mac[3] ^= 1;
        let answer = client.secure_message(wrong).await.unwrap();
        assert!(!answer.valid);
        assert!(answer.mac.is_empty() && answer.pin_block.is_empty());
        assert!(answer.outgoing_mac_key.is_none() && answer.destination_key.is_none());
        // Nor does the answer tell what the PIN block is like.
        let mut worse = till.sale();
        worse.incoming_mac[3] ^= 1;
        worse.pin.as_mut().unwrap().pin_block[0] ^= 1;
        assert!(client.secure_message(worse).await.unwrap() == answer);
    });
}

#[test]
fn secure_message_refuses_all_where_one_part_is_refused() {
    world().run(async |world| {
        let till = Till::double(world, "sm-refused").await;
        let client = world.client().await;
        let client = &client;
        let changed = |change: &dyn Fn(&mut SecureMessageRequest)| {
            let mut asked = till.sale();
            change(&mut asked);
            async move { client.secure_message(asked).await }
        };
        let invalid = Code::InvalidArgument;
        let answer = changed(&|asked| {
            let pin = asked.pin.as_mut().unwrap();
            pin.pin_block = vec![0x5A; 8];
        });
        assert_refused(answer.await, invalid, "PIN_BLOCK_REJECTED", "pin_block");
        for offset in [18, 33, u32::MAX] {
            let answer = changed(&|asked| {
                let pin = asked.pin.as_mut().unwrap();
                pin.place.as_mut().unwrap().offset = offset;
            });
            assert_refused(answer.await, invalid, "PIN_PLACE", "place");
        }
        let answer = changed(&|asked| {
            let pin = asked.pin.as_mut().unwrap();
            pin.place.as_mut().unwrap().encoding = PinEncoding::Unspecified.into();
        });
        assert_refused(answer.await, invalid, "MISSING_FIELD", "encoding");
        let answer = changed(&|asked| asked.incoming_mac.truncate(4));
        assert_refused(answer.await, invalid, "MAC_LENGTH", "mac");
        let answer = changed(&|asked| asked.outgoing_mac_key = key("mac-verify-only"));
        let failed = Code::FailedPrecondition;
        assert_refused(
            answer.await,
            failed,
            "KEY_USAGE_REFUSED",
            "outgoing_mac_key",
        );
        let answer = changed(&|asked| asked.incoming_mac_key = key("mac-generate-only"));
        assert_refused(
            answer.await,
            failed,
            "KEY_USAGE_REFUSED",
            "incoming_mac_key",
        );
        let answer = changed(&|asked| asked.outgoing_message = vec![0; 32 * 1024 + 1]);
        assert_eq!(refused(answer.await).reason, "MESSAGE_TOO_LARGE");
        // The control: unchanged, it passes.
        assert!(changed(&|_| {}).await.unwrap().valid);
    });
}

#[test]
fn the_track_key_of_a_sign_in_translates_tracks_and_shows_none() {
    use track::Layout::{UnionPayOneBlock, UnionPayWhole};
    // Track 2 of 39 characters, packed; the last half byte is fill.
    let clear = hex::decode("6230606601007726888D49121200000000000000").unwrap();
    world().run(async |world| {
        let client = world.client().await;
        for (terminal, zone, from, to) in [
            (
                "kbpk-tmk-double",
                "tdk-one",
                UnionPayOneBlock,
                UnionPayOneBlock,
            ),
            (
                "kbpk-tmk-double",
                "tdk-whole-sm4",
                UnionPayOneBlock,
                UnionPayWhole,
            ),
            ("kbpk-tmk-sm4", "tdk-whole", UnionPayWhole, UnionPayWhole),
        ] {
            let answer = signed_in(world, &format!("si-track-{terminal}-{zone}"), terminal).await;
            let tdk = &answer.keys[2];
            let value = decrypted(terminal, &tdk.cryptogram);
            let cipher = cipher(algorithm_of(&tdk.algorithm), &value);
            let framing = track::Framing {
                layout: from,
                cipher: &cipher,
            };
            let enciphered = track::encipher(framing, 39, &clear).unwrap();
            let asked = TranslateTrackRequest {
                source_key: brought(tdk),
                destination_key: key(zone),
                digits: 39,
                track: enciphered.clone(),
            };
            let translated = client.translate_track(asked).await.unwrap().track;
            let framing = track::Framing {
                layout: to,
                cipher: &blocks::cipher(zone),
            };
            let read = track::decipher(framing, 39, &translated).unwrap();
            assert_eq!(read.expose_secret(), &clear, "{terminal} to {zone}");
            // What a terminal sends is its card's track: nobody here reads it.
            let asked = DecryptDataRequest {
                key: brought(tdk),
                data: enciphered,
                ..DecryptDataRequest::default()
            };
            let answer = client.decrypt_data(asked).await;
            assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
            // And nothing is put under it.
            let asked = TranslateTrackRequest {
                source_key: key("tdk-one"),
                destination_key: brought(tdk),
                digits: 39,
                track: clear.clone(),
            };
            let answer = client.translate_track(asked).await;
            let (code, reason) = (Code::FailedPrecondition, "KEY_USAGE_REFUSED");
            assert_refused(answer, code, reason, "destination_key");
        }
    });
}
