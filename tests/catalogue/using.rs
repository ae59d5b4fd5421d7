//! Finding, opening and using keys.

use std::sync::Arc;
use std::time::Instant;

use pintle::domain::cipher::PinCipher;
use pintle::domain::pan::Pan;
use pintle::domain::pin_block::{Format, Framing, translate};
use pintle::domain::{mac, rsa, sm2};
use pintle::hsm::RsaHash;
use pintle::keys::attributes::{Environment, Mode, Side, Usage};
use pintle::keys::catalogue::{Catalogue, CatalogueOptions};
use pintle::keys::error::Error;
use pintle::keys::grant::{
    DecryptPin, EncryptPin, GenerateMac, ReadPublicKey, Sign, Signer, VerifyMac, VerifySignature,
};
use pintle::keys::key_ref::NamedKey;
use pintle::keys::open_key::{OpenKey, PublicKey};
use pintle::keys::policy::{CallerScope, grant};
use pintle::store::Store;

use crate::desk::{Desk, dev_template, everything, refusal, soon};
use crate::place::Place;

pub fn a_cold_key_costs_one_load_however_many_ask(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let cold = desk.fresh();
    let key = NamedKey::parse("zpk-acquirer-aes", 0).unwrap();
    desk.runtime.block_on(async {
        let calls: Vec<_> = (0..200)
            .map(|_| {
                let (cold, key) = (cold.clone(), key.clone());
                tokio::spawn(async move { cold.resolve(&everything(), &key, soon()).await.is_ok() })
            })
            .collect();
        for call in calls {
            assert!(call.await.unwrap());
        }
    });
    assert_eq!(cold.stats().loads, 1);
    // By its version it is the same open key.
    assert!(desk.resolve_version(&cold, "zpk-acquirer-aes", 1).is_ok());
    assert_eq!((cold.stats().loads, cold.stats().open_keys), (1, 1));
}

pub fn a_key_outside_the_scope_is_as_unknown_as_an_absent_one(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let cold = desk.fresh();
    let resolve = |scope: &CallerScope, name: &str| {
        let key = NamedKey::parse(name, 0).unwrap();
        desk.runtime.block_on(cold.resolve(scope, &key, soon()))
    };
    let narrow = CallerScope::new("default", ["tpk-*"]).unwrap();
    assert!(matches!(
        refusal(resolve(&narrow, "zak-acquirer")),
        Error::UnknownKey
    ));
    assert!(matches!(
        refusal(resolve(&narrow, "absent")),
        Error::UnknownKey
    ));
    assert_eq!(cold.stats().loads, 0, "neither was looked for");
    let elsewhere = CallerScope::new("other", ["*"]).unwrap();
    assert!(matches!(
        refusal(resolve(&elsewhere, "zak-acquirer")),
        Error::UnknownKey
    ));
    // Nor does a key that somebody else opened become usable.
    let open = resolve(&everything(), "zak-acquirer").unwrap();
    assert!(matches!(
        refusal(resolve(&narrow, "zak-acquirer")),
        Error::UnknownKey
    ));
    assert!(matches!(
        refusal(grant::<VerifyMac>(&narrow, open)),
        Error::UnknownKey
    ));
    let error = refusal(desk.resolve_version(&cold, "zak-acquirer", 2));
    assert!(matches!(error, Error::UnknownKey), "{error}");
}

pub fn each_key_of_the_template_does_its_work_and_nothing_else(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    for spec in dev_template().keys() {
        let key = desk.resolve(&desk.catalogue, spec.name.as_str()).unwrap();
        let mac = matches!(
            spec.usage,
            Usage::MacAlgorithm1 | Usage::MacAlgorithm3 | Usage::MacCmac | Usage::MacHmac
        );
        let signs = spec.usage == Usage::Signature;
        let pin = spec.usage == Usage::PinEncryption;
        let granted = [
            may::<DecryptPin>(&key) == (pin && spec.mode == Mode::Decrypt),
            may::<EncryptPin>(&key) == (pin && spec.mode == Mode::Encrypt),
            may::<GenerateMac>(&key) == mac,
            may::<VerifyMac>(&key) == mac,
            may::<Sign>(&key) == signs,
            may::<VerifySignature>(&key) == signs,
            may::<ReadPublicKey>(&key) == signs,
        ];
        assert_eq!(granted, [true; 7], "{}", spec.name);
        if spec.side == Some(Side::Terminal) {
            assert!(!may::<EncryptPin>(&key), "{}", spec.name);
        }
        if mac {
            check_mac(&key);
        }
        if signs {
            check_signature(&key);
        }
    }
    check_pin(&desk);
}

pub fn a_full_cache_still_opens_every_key(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let options = CatalogueOptions {
        open_keys_max: 1,
        ..CatalogueOptions::new(Environment::Test)
    };
    let store = Store::open(&desk.path).unwrap();
    let small = Catalogue::open(store, desk.token.clone(), options).unwrap();
    for _ in 0..3 {
        for spec in dev_template().keys() {
            assert!(desk.resolve(&small, spec.name.as_str()).is_ok());
        }
    }
    println!("{:?}", small.stats());
    assert!(small.stats().open_keys <= 16, "one per shard at most");
}

pub fn the_cost_of_finding_a_key_is_printed(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let names: Vec<_> = dev_template()
        .keys()
        .iter()
        .map(|spec| spec.name.to_string())
        .collect();
    let rounds = 10;
    let started = Instant::now();
    for _ in 0..rounds {
        let cold = desk.fresh();
        let opening = Instant::now();
        assert!(desk.resolve(&cold, &names[0]).is_ok());
        println!("{:?}: cold key {:?}", place.kind, opening.elapsed());
    }
    println!(
        "{:?}: {rounds} catalogues {:?}",
        place.kind,
        started.elapsed()
    );
    let key = NamedKey::parse(&names[0], 0).unwrap();
    let (scope, calls) = (everything(), 200_000);
    let elapsed = desk.runtime.block_on(async {
        desk.catalogue.resolve(&scope, &key, soon()).await.unwrap();
        let started = Instant::now();
        for _ in 0..calls {
            let key = desk.catalogue.resolve(&scope, &key, soon()).await.unwrap();
            assert!(grant::<DecryptPin>(&scope, key).is_ok());
        }
        started.elapsed()
    });
    println!("{:?}: hot key and grant {:?}", place.kind, elapsed / calls);
    println!(
        "bytes of a PIN key {}, a MAC key {}, an SM2 key {}",
        size_of::<PinCipher>(),
        size_of::<mac::MacKey>(),
        size_of::<sm2::PrivateKey>()
    );
}

fn may<Op: pintle::keys::grant::Operation>(key: &Arc<OpenKey>) -> bool {
    match grant::<Op>(&everything(), Arc::clone(key)) {
        Ok(_) => true,
        Err(Error::UsageRefused { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

fn check_mac(key: &Arc<OpenKey>) {
    let make = grant::<GenerateMac>(&everything(), Arc::clone(key)).unwrap();
    let check = grant::<VerifyMac>(&everything(), Arc::clone(key)).unwrap();
    let tag = mac::generate(make.key(), make.rule(), b"message").unwrap();
    assert_eq!(tag.as_bytes().len(), usize::from(make.rule().length));
    assert!(mac::verify(check.key(), check.rule(), b"message", tag.as_bytes()).is_ok());
    assert!(mac::verify(check.key(), check.rule(), b"messagE", tag.as_bytes()).is_err());
}

fn check_signature(key: &Arc<OpenKey>) {
    let message = b"app_id=2021&charset=utf-8";
    let grant = grant::<Sign>(&everything(), Arc::clone(key)).unwrap();
    match (grant.signer(), grant.public_key()) {
        (Signer::Rsa { key, hash }, PublicKey::Rsa(public)) => {
            let signed = key.sign(soon(), hash, message.to_vec()).wait().unwrap();
            let hash = match hash {
                RsaHash::Sha1 => rsa::Hash::Sha1,
                RsaHash::Sha256 => rsa::Hash::Sha256,
            };
            assert_eq!(grant.scheme().rsa_hash(), Some(hash));
            assert!(rsa::verify(public, hash, message, &signed).is_ok());
        }
        (Signer::Sm2(private), PublicKey::Sm2(public)) => {
            let signed = sm2::sign(private, sm2::ID_DEFAULT, message, &[7; 32]);
            assert!(sm2::verify(public, sm2::ID_DEFAULT, message, &signed).is_ok());
        }
        _ => panic!("the halves do not go together"),
    }
}

/// Zone to zone and back, under three ciphers.
fn check_pin(desk: &Desk) {
    let open = |name: &str| desk.resolve(&desk.catalogue, name).unwrap();
    let from = grant::<DecryptPin>(&everything(), open("tpk-pos-0001")).unwrap();
    assert!(from.formats().contains(Format::Iso0) && !from.formats().contains(Format::Iso1));
    let pan = Pan::parse("6230606601007726888").unwrap();
    let fill = [0x5A; 8];
    let framing = Framing {
        format: Format::Iso0,
        cipher: from.cipher(),
    };
    let pin = pintle::domain::pin::Pin::parse("123654").unwrap();
    let block = pintle::domain::pin_block::encipher(framing, &pin, &pan, &fill).unwrap();
    for name in ["zpk-acquirer-aes", "zpk-acquirer-sm4", "zpk-acquirer-tdes"] {
        let to = grant::<EncryptPin>(&everything(), open(name)).unwrap();
        let out = Framing {
            format: to.format(),
            cipher: to.cipher(),
        };
        let translated = translate(framing, out, &pan, block.as_bytes(), &fill).unwrap();
        let back = translate(out, framing, &pan, translated.as_bytes(), &fill).unwrap();
        assert_eq!(back.as_bytes(), block.as_bytes(), "{name}");
    }
    assert_eq!(from.key_use().name, "tpk-pos-0001");
}
