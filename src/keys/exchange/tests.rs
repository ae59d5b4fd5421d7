//! What comes in, what goes out, and what neither.

use std::sync::Arc;

use crate::domain::mac::{Rule, Scheme};
use crate::domain::pin_block::Format;
use crate::keys::attributes::{Origin, State};
use crate::keys::material::Material;
use crate::keys::open_key::OpenKey;
use crate::keys::policy::{self, CallerScope};
use crate::keys::record::Labels;

use super::*;

const KBPK_TDES: [u8; 24] = *b"protection key, 24 bytes";
const KBPK_AES: [u8; 32] = *b"a test protection key, 32 bytes.";
const NOW: u64 = 1_800_000_000;

/// The header of a protection key.
fn kbpk(algorithm: Algorithm, legacy_until: Option<u64>) -> Header {
    Header {
        environment: Environment::Test,
        tenant: KeyName::parse("default").unwrap(),
        name: KeyName::parse("kbpk").unwrap(),
        version: 1,
        usage: Usage::KeyBlockProtection,
        mode: Mode::EncryptAndDecrypt,
        side: None,
        algorithm,
        exportability: Exportability::NonExportable,
        residence: Residence::Process,
        origin: Origin::Generated,
        state: State::Active,
        state_epoch: 0,
        created: 0,
        expiry: None,
        check_value: None,
        public_key: None,
        token_object: None,
        policy: KeyPolicy {
            legacy_blocks_until: legacy_until,
            ..KeyPolicy::default()
        },
        activates: None,
        destroys: None,
        custodians: Vec::new(),
        parent: None,
        legacy: false,
        optional_blocks: None,
        labels: Labels::default(),
    }
}

struct Grants {
    unwrap: Grant<UnwrapKeyBlock>,
    wrap: Grant<WrapKeyBlock>,
}

fn grants(header: Header) -> Grants {
    let value: &[u8] = match header.algorithm {
        Algorithm::Aes256 => &KBPK_AES,
        Algorithm::Tdes3 => &KBPK_TDES,
        _ => &KBPK_AES[..16],
    };
    let Ok(material) = Material::open(&header, value) else {
        panic!("the protection key opens")
    };
    let key = Arc::new(OpenKey::new(header, material).unwrap());
    let scope = CallerScope::new("default", ["*"]).unwrap();
    Grants {
        unwrap: policy::grant(&scope, Arc::clone(&key)).unwrap(),
        wrap: policy::grant(&scope, key).unwrap(),
    }
}

fn aes() -> Grants {
    grants(kbpk(Algorithm::Aes256, None))
}

fn random() -> Secret<Vec<u8>> {
    Secret::new(vec![7; limits::KEY_BLOCK_RANDOM_BYTES])
}

const PIN_KEY: BlockAttributes = BlockAttributes {
    usage: Usage::PinEncryption,
    mode: Mode::EncryptAndDecrypt,
    algorithm: Algorithm::Aes128,
    exportability: Exportability::Exportable,
};

const VALUE: [u8; 16] = *b"\x01#Eg\x89\xab\xcd\xef\xfe\xdc\xba\x98vT2\x10";

fn outgoing(attributes: BlockAttributes) -> Outgoing<'static> {
    Outgoing {
        attributes,
        value: &VALUE,
        optional_blocks: None,
        profile: None,
    }
}

fn profile(tenant: &str) -> Profile {
    Profile {
        environment: Environment::Test,
        tenant: KeyName::parse(tenant).unwrap(),
        side: Some(Side::Terminal),
        policy: KeyPolicy {
            pin_inputs: [Format::Iso4].into_iter().collect(),
            ..KeyPolicy::default()
        },
    }
}

fn opened(grants: &Grants, outgoing: &Outgoing<'_>) -> Result<Opened, ExchangeError> {
    let block = wrap(&grants.wrap, outgoing, &random())?;
    open(&grants.unwrap, Environment::Test, &block, NOW)
}

fn wanted() -> Wanted {
    Wanted {
        name: KeyName::parse("zpk").unwrap(),
        usage: None,
        mode: None,
        side: Some(Side::Zone),
        algorithm: None,
        exportable: false,
        residence: None,
        policy: KeyPolicy {
            pin_inputs: [Format::Iso4].into_iter().collect(),
            pin_output: Some(Format::Iso4),
            ..KeyPolicy::default()
        },
    }
}

fn refusal<T>(result: Result<T, ExchangeError>) -> ExchangeError {
    match result {
        Ok(_) => panic!("this must be refused"),
        Err(error) => error,
    }
}

#[test]
fn a_key_goes_out_and_comes_in_with_its_attributes_and_its_value() {
    let grants = aes();
    for algorithm in [Algorithm::Tdes2, Algorithm::Aes128] {
        let attributes = BlockAttributes {
            algorithm,
            ..PIN_KEY
        };
        let found = opened(&grants, &outgoing(attributes)).unwrap();
        assert_eq!(found.attributes, attributes);
        assert_eq!(found.value.expose_secret().as_slice(), VALUE);
        assert!(found.profile.is_none() && found.optional_blocks.is_none() && !found.legacy);
    }
    let hmac = BlockAttributes {
        usage: Usage::MacHmac,
        mode: Mode::Verify,
        algorithm: Algorithm::HmacSha256,
        exportability: Exportability::NonExportable,
    };
    let long = Outgoing {
        value: &KBPK_AES,
        ..outgoing(hmac)
    };
    assert_eq!(opened(&grants, &long).unwrap().attributes, hmac);
}

#[test]
fn mac_keys_go_by_their_hash_and_single_des_by_its_letter() {
    let grants = aes();
    let value: Vec<u8> = (1..=64).collect();
    for algorithm in Algorithm::ALL.iter().copied() {
        let usage = match (algorithm, algorithm.hash()) {
            (Algorithm::Des, _) => Usage::MacAlgorithm1,
            (_, Some(_)) => Usage::MacHmac,
            (_, None) => continue,
        };
        let attributes = BlockAttributes {
            usage,
            mode: Mode::GenerateAndVerify,
            algorithm,
            exportability: Exportability::NonExportable,
        };
        let key = Outgoing {
            value: &value[..algorithm.key_bytes().unwrap()],
            ..outgoing(attributes)
        };
        if algorithm == Algorithm::HmacSm3 {
            let refused = refusal(wrap(&grants.wrap, &key, &random()));
            assert_eq!(refused, ExchangeError::NotOffered);
        } else {
            assert_eq!(opened(&grants, &key).unwrap().attributes, attributes);
        }
    }
}

#[test]
fn sm4_goes_by_the_partners_letter_or_not_at_all() {
    let sm4 = BlockAttributes {
        algorithm: Algorithm::Sm4,
        ..PIN_KEY
    };
    assert_eq!(
        refusal(opened(&aes(), &outgoing(sm4))),
        ExchangeError::NotOffered
    );
    let with_letter = |code| {
        let mut header = kbpk(Algorithm::Aes256, None);
        header.policy.sm4_block_code = Some(code);
        grants(header)
    };
    let partner = with_letter(b'4');
    let block = wrap(&partner.wrap, &outgoing(sm4), &random()).unwrap();
    let open = |grants: &Grants| open(&grants.unwrap, Environment::Test, &block, NOW);
    assert_eq!(open(&partner).unwrap().attributes, sm4);
    assert_eq!(refusal(open(&with_letter(b'5'))), ExchangeError::NotOffered);
}

#[test]
fn a_block_of_this_service_carries_side_and_policy_and_opens_for_its_own_tenant_only() {
    let grants = aes();
    let terminal = BlockAttributes {
        mode: Mode::Decrypt,
        ..PIN_KEY
    };
    let own = |tenant| Outgoing {
        profile: Some(profile(tenant)),
        ..outgoing(terminal)
    };
    let found = opened(&grants, &own("default")).unwrap();
    assert_eq!(found.profile, Some(profile("default")));
    assert_eq!(
        refusal(opened(&grants, &own("other"))),
        ExchangeError::Rejected
    );
    let block = wrap(&grants.wrap, &own("default"), &random()).unwrap();
    let elsewhere = open(&grants.unwrap, Environment::Production, &block, NOW);
    assert_eq!(refusal(elsewhere), ExchangeError::Rejected);

    // Whatever an import says of side and policy: the block's own hold.
    let asked = Wanted {
        side: None,
        ..wanted()
    };
    let spec = narrowed(&found, asked).unwrap();
    assert_eq!(
        (spec.side, &spec.policy),
        (Some(Side::Terminal), &profile("default").policy)
    );
    assert_eq!(
        refusal(narrowed(&found, wanted())),
        ExchangeError::Attribute("side")
    );
}

#[test]
fn attributes_get_stricter_and_never_looser() {
    let found = opened(&aes(), &outgoing(PIN_KEY)).unwrap();
    let narrow = |change: &dyn Fn(&mut Wanted)| {
        let mut wanted = wanted();
        change(&mut wanted);
        narrowed(&found, wanted)
    };
    assert_eq!(
        narrow(&|_| {}).unwrap().exportability,
        Exportability::NonExportable
    );
    let kept = narrow(&|wanted| wanted.exportable = true).unwrap();
    assert_eq!(kept.exportability, Exportability::Exportable);
    let finer = narrow(&|wanted| {
        wanted.mode = Some(Mode::Encrypt);
        wanted.policy.pin_inputs = Default::default();
    });
    assert_eq!(finer.unwrap().mode, Mode::Encrypt);
    let other = |change: &dyn Fn(&mut Wanted)| refusal(narrow(change));
    let attribute = ExchangeError::Attribute;
    assert_eq!(
        other(&|w| w.usage = Some(Usage::DataEncryption)),
        attribute("usage")
    );
    assert_eq!(
        other(&|w| w.algorithm = Some(Algorithm::Aes192)),
        attribute("algorithm")
    );
    assert_eq!(
        other(&|w| w.mode = Some(Mode::NoRestriction)),
        attribute("mode")
    );

    let narrow_block = BlockAttributes {
        mode: Mode::Encrypt,
        exportability: Exportability::NonExportable,
        ..PIN_KEY
    };
    let found = opened(&aes(), &outgoing(narrow_block)).unwrap();
    let wider = Wanted {
        mode: Some(Mode::EncryptAndDecrypt),
        ..wanted()
    };
    assert_eq!(refusal(narrowed(&found, wider)), attribute("mode"));
    let freer = Wanted {
        exportable: true,
        ..wanted()
    };
    assert_eq!(refusal(narrowed(&found, freer)), attribute("exportable"));
}

#[test]
fn any_chain_of_imports_and_exports_only_narrows() {
    use proptest::prelude::*;
    let modes = prop::sample::select(Mode::ALL);
    let letters = prop::sample::select(Exportability::ALL);
    let steps = prop::collection::vec((modes, letters), 1..12);
    proptest!(|(steps in steps)| {
        let (mut mode, mut exportability) = (Mode::NoRestriction, Exportability::Exportable);
        for (next_mode, next) in steps {
            if next_mode == mode || is_stricter(next_mode, mode) {
                prop_assert!(!is_stricter(mode, next_mode), "a step and its reverse");
                mode = next_mode;
            }
            if may_leave_as(next, exportability) {
                prop_assert!(
                    exportability != Exportability::NonExportable
                        || next == Exportability::NonExportable
                );
                exportability = next;
            }
        }
    });
}

#[test]
fn mode_n_comes_in_only_narrowed_to_a_finer_one() {
    let any = BlockAttributes {
        mode: Mode::NoRestriction,
        ..PIN_KEY
    };
    let found = opened(&aes(), &outgoing(any)).unwrap();
    let asked = refusal(narrowed(&found, wanted()));
    assert!(
        matches!(asked, ExchangeError::Spec { field: "mode", .. }),
        "{asked:?}"
    );
    let finer = Wanted {
        mode: Some(Mode::EncryptAndDecrypt),
        ..wanted()
    };
    assert_eq!(
        narrowed(&found, finer).unwrap().mode,
        Mode::EncryptAndDecrypt
    );
}

#[test]
fn a_weaker_key_protects_no_stronger_one() {
    let weak = grants(kbpk(Algorithm::Aes128, None));
    let strong = BlockAttributes {
        algorithm: Algorithm::Aes256,
        ..PIN_KEY
    };
    let outgoing = Outgoing {
        value: &KBPK_AES,
        ..outgoing(strong)
    };
    assert_eq!(
        refusal(wrap(&weak.wrap, &outgoing, &random())),
        ExchangeError::Stronger
    );
    assert!(wrap(&aes().wrap, &outgoing, &random()).is_ok());
}

#[test]
fn what_is_not_offered_or_no_key_is_refused_after_the_mac_alone() {
    let grants = aes();
    let halves = Outgoing {
        value: &[0x13; 16],
        ..outgoing(BlockAttributes {
            algorithm: Algorithm::Tdes2,
            ..PIN_KEY
        })
    };
    assert_eq!(refusal(opened(&grants, &halves)), ExchangeError::Rejected);
    let good = wrap(&grants.wrap, &outgoing(PIN_KEY), &random()).unwrap();
    let open = |block: &str| open(&grants.unwrap, Environment::Test, block, NOW);
    for bad in [
        String::new(),
        good.replace("P0", "K0"),
        good.replace("P0", "Z9"),
        good[..good.len() - 2].to_owned(),
        format!("B{}", &good[1..]),
    ] {
        assert_eq!(refusal(open(&bad)), ExchangeError::Rejected, "{bad}");
    }
}

#[test]
fn versions_a_and_c_come_in_under_a_policy_that_has_a_day_for_them_and_until_it() {
    // github knovichikhin/psec tests/test_tr31.py, a third party's known value.
    let vectors = include_str!("../../../tests/vectors/key_block/tr31.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
    let old = vectors.as_array().unwrap().iter().find(|case| {
        let inputs = &case["inputs"];
        inputs["key_block"]
            .as_str()
            .is_some_and(|block| block.starts_with("A0088P0TE00E0000"))
            && inputs["kbpk"].as_str().is_some_and(|kbpk| kbpk.len() == 32)
            && case["expect"]["key"].is_string()
    });
    let old = old.unwrap();
    let block = old["inputs"]["key_block"].as_str().unwrap();
    let value = hex::decode(old["inputs"]["kbpk"].as_str().unwrap()).unwrap();
    let open_at = |until: Option<u64>, now| {
        let header = kbpk(Algorithm::Tdes2, until);
        let Ok(material) = Material::open(&header, &value) else {
            panic!("the protection key opens")
        };
        let key = Arc::new(OpenKey::new(header, material).unwrap());
        let scope = CallerScope::new("default", ["*"]).unwrap();
        let grant: Grant<UnwrapKeyBlock> = policy::grant(&scope, key).unwrap();
        open(&grant, Environment::Test, block, now)
    };
    let found = open_at(Some(NOW + 1), NOW).unwrap();
    assert!(found.legacy);
    let expected = hex::decode(old["expect"]["key"].as_str().unwrap()).unwrap();
    let but_for_parity = |key: &[u8]| key.iter().map(|byte| byte | 1).collect::<Vec<_>>();
    assert_eq!(
        but_for_parity(found.value.expose_secret()),
        but_for_parity(&expected)
    );
    for (until, now) in [(None, NOW), (Some(NOW), NOW), (Some(NOW), NOW + 1)] {
        assert_eq!(refusal(open_at(until, now)), ExchangeError::LegacyVersion);
    }
}

#[test]
fn optional_blocks_stay_with_the_key_but_for_those_said_anew() {
    let grants = aes();
    let kept = profile::write_blocks(&[
        (*b"KS", "00604B120F9292800000".to_owned()),
        (*b"KC", "0108793E25AB".to_owned()),
        (*b"LB", "till 7".to_owned()),
    ]);
    let with_blocks = Outgoing {
        optional_blocks: Some(&kept),
        ..outgoing(PIN_KEY)
    };
    let found = opened(&grants, &with_blocks).unwrap();
    let blocks = profile::read_blocks(&found.optional_blocks.unwrap()).unwrap();
    let ids: Vec<_> = blocks.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [*b"KS", *b"LB"]);
}

#[test]
fn a_mac_key_keeps_its_rule_through_a_block_of_this_service() {
    let rule = Rule::new(Scheme::CmacAes, None, 8).unwrap();
    let policy = KeyPolicy {
        mac: Some(rule),
        ..KeyPolicy::default()
    };
    let attributes = BlockAttributes {
        usage: Usage::MacCmac,
        mode: Mode::GenerateAndVerify,
        ..PIN_KEY
    };
    let own = Outgoing {
        profile: Some(Profile {
            side: None,
            policy: policy.clone(),
            ..profile("default")
        }),
        ..outgoing(attributes)
    };
    let found = opened(&aes(), &own).unwrap();
    let spec = narrowed(
        &found,
        Wanted {
            side: None,
            ..wanted()
        },
    )
    .unwrap();
    assert_eq!(spec.policy, policy);
}
