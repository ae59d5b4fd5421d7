//! The forgers of MACs: short ones that are found by trying, CBC-MACs of lengths that vary, zeros at
//! the end, sums that do not tell the order of blocks. Each breaks a deliberately weak control of
//! this file or a key that says that it is weak, and gets nothing elsewhere.

use pintle::client::{Client, Error};
use pintle::domain::mac::{MacKey, Rule, Scheme, generate};
use pintle::service::pb::v1::{GenerateMacRequest, VerifyMacRequest};
use tonic::Code;

use crate::blocks;
use crate::mac::KEYS;
use crate::refusal::assert_refused;
use crate::world::{key, world};

async fn made(client: &Client, name: &str, message: &[u8]) -> Vec<u8> {
    let asked = GenerateMacRequest {
        key: key(name),
        message: message.to_vec(),
    };
    client.generate_mac(asked).await.unwrap().mac
}

/// Whether the service takes a MAC; a refusal is no.
async fn takes(client: &Client, name: &str, message: &[u8], mac: &[u8]) -> bool {
    let asked = VerifyMacRequest {
        key: key(name),
        message: message.to_vec(),
        mac: mac.to_vec(),
    };
    match client.verify_mac(asked).await {
        Ok(answer) => answer.valid,
        Err(Error::Refused(refused)) => {
            assert_eq!(refused.code, Code::InvalidArgument);
            false
        }
        Err(error) => panic!("{error}"),
    }
}

/// Tries every MAC of one byte; needs no MAC of anybody's.
async fn tries_one_byte(oracle: impl AsyncFn(&[u8]) -> bool) -> bool {
    for guess in 0..=u8::MAX {
        if oracle(&[guess]).await {
            return true;
        }
    }
    false
}

#[test]
fn a_forger_of_one_byte_gets_nothing_from_the_service_and_everything_from_a_lenient_verifier() {
    world().run(async |world| {
        let client = world.client().await;
        let message = b"0200 a million";
        let rule = Rule::new(Scheme::CmacAes, None, 16).unwrap();
        let value = MacKey::new(Scheme::CmacAes, &blocks::value("mac-cmac-aes")).unwrap();
        let full = generate(&value, &rule, message).unwrap();
        // The control compares as much as it was given.
        let lenient = async |mac: &[u8]| full.as_bytes().starts_with(mac);
        assert!(tries_one_byte(lenient).await);
        let service = async |mac: &[u8]| takes(&client, "mac-cmac-aes", message, mac).await;
        assert!(!tries_one_byte(service).await);
    });
}

#[test]
fn verify_mac_refuses_every_length_but_the_policys_for_every_scheme() {
    world().run(async |world| {
        let client = world.client().await;
        let message = b"0200 message";
        for (name, _, policy) in KEYS {
            let right = made(&client, name, message).await;
            assert_eq!(right.len(), policy);
            for length in 1..=policy.max(32) {
                // A true beginning, and past the end any byte.
                let mac: Vec<u8> = right.iter().copied().cycle().take(length).collect();
                let asked = VerifyMacRequest {
                    key: key(name),
                    message: message.to_vec(),
                    mac: mac.clone(),
                };
                let answer = client.verify_mac(asked).await;
                if length == policy {
                    assert!(answer.unwrap().valid, "{name}");
                } else {
                    assert_refused(answer, Code::InvalidArgument, "MAC_LENGTH", "mac");
                }
            }
        }
    });
}

/// A message whose MAC was never asked for, with that MAC.
type Forgery = (Vec<u8>, Vec<u8>);

/// Everything that the forgers make of the MACs of a few messages that they may ask for. `block` is
/// the cipher's.
async fn forgeries(oracle: impl AsyncFn(&[u8]) -> Vec<u8>, block: usize) -> Vec<Forgery> {
    let (one, two) = (vec![0x31; block], vec![0x32; block]);
    let (first, second) = (oracle(&one).await, oracle(&two).await);
    let mut forged = Vec::new();
    // m1 ‖ (m2 ⊕ t1) has the MAC of m2 where a MAC is the whole state of a chain …
    if first.len() == block {
        let joined: Vec<u8> = two
            .iter()
            .zip(&first)
            .map(|(two, first)| two ^ first)
            .collect();
        forged.push(([&one[..], &joined].concat(), second.clone()));
        // … and so with the padding bit, which the forger writes himself.
        let mut padded = vec![0; block];
        padded[0] = 0x80;
        forged.push(([&one[..], &padded, &joined].concat(), second.clone()));
    }
    // Zeros at the end, where messages are filled with zeros.
    let short = &one[..block - 1];
    forged.push(([short, &[0]].concat(), oracle(short).await));
    // Blocks in another order, where they are added up.
    let sum = oracle(&[&one[..], &two].concat()).await;
    forged.push(([two, one].concat(), sum));
    forged
}

/// The keys that fall: all but two say `weak = true`. The two are CBC-MACs with a property that the
/// manual names: whole blocks while lengths vary, and X9.19's own filling with zeros.
const FALL: [&str; 13] = [
    "mac-alg1-des",
    "mac-alg1-sm4",
    "mac-alg1-weak",
    "mac-sm4-online",
    "mac-sm4-pos-hex",
    "mac-sm4-pos-hex-lower",
    "mac-sm4-pos-raw",
    "mac-sm4-pos-raw-lower",
    "mac-unionpay-hex",
    "mac-unionpay-hex-des",
    "mac-unionpay-raw",
    "mac-x9-19",
    "mac-x9-9",
];

#[test]
fn forgers_get_nothing_from_cmac_hmac_and_the_retail_mac_and_everything_from_what_is_weak() {
    world().run(async |world| {
        let client = world.client().await;
        let mut fallen = Vec::new();
        for (name, _, _) in KEYS {
            let oracle = async |message: &[u8]| made(&client, name, message).await;
            let mut fell = false;
            for block in [8, 16] {
                for (message, mac) in forgeries(&oracle, block).await {
                    fell |= takes(&client, name, &message, &mac).await;
                }
            }
            if fell {
                fallen.push(name);
            }
        }
        fallen.sort_unstable();
        assert_eq!(fallen, FALL);
    });
}

#[test]
fn an_empty_message_is_refused_wherever_messages_are_filled_with_zeros() {
    world().run(async |world| {
        let client = world.client().await;
        for (name, _, length) in KEYS {
            let zeros = name.contains("unionpay")
                || name.contains("sm4-pos")
                || ["mac-x9-9", "mac-x9-19", "mac-alg1-weak", "mac-sm4-online"].contains(&name);
            let asked = VerifyMacRequest {
                key: key(name),
                message: Vec::new(),
                mac: vec![0; length],
            };
            let answer = client.verify_mac(asked).await;
            if zeros {
                assert_refused(answer, Code::InvalidArgument, "MESSAGE_EMPTY", "message");
            } else {
                assert!(!answer.unwrap().valid, "{name}");
            }
        }
    });
}
