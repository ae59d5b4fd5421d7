//! The attackers of PIN verification (security of ISO 9564 and IBM 3624 systems after Bond and
//! Zieliński 2003 and Clulow 2003), against the service and against a weak control of the test's
//! own, which they break.

use std::sync::Arc;

use pintle::domain::cipher::Tdes;
use pintle::domain::pin::Pin;
use pintle::domain::pin_block::Format;
use pintle::domain::pin_verification::decimalisation::DecimalisationTable;
use pintle::domain::pin_verification::ibm3624::{natural_pin_of, offset, pin_of_offset};
use pintle::keys::act::now;
use pintle::keys::attributes::Environment;
use pintle::keys::budget::{BudgetRules, Reserved, Try};
use pintle::keys::catalogue::{Catalogue, CatalogueOptions};
use pintle::keys::error::Error as KeyError;
use pintle::ops::context::Context;
use pintle::ops::pin_verification::Issuer;
use pintle::service::pb;
use pintle::store::Store;
use prost::Message;
use subtle::ConstantTimeEq;
use tonic::Code;

use crate::blocks::{bound, cipher, close_8, encipher};
use crate::decimalisation::provide;
use crate::pin_verification::{pan, reference, verification};
use crate::refusal::assert_refused;
use crate::world::{World, world};

/// The usual table, which a bank has and an attacker knows.
const TABLE: &str = "0123456789012345";

/// A verification that takes the table from whoever asks: what the interface of an old HSM did.
struct WeakControl {
    key: Tdes,
    validation: [u8; 8],
    pin: Pin,
    questions: u32,
}

impl WeakControl {
    fn new(seed: u64) -> Self {
        let key = [seed, seed.rotate_left(17) ^ 0x5A5A_A5A5_0F0F_F0F0];
        let bytes = key.map(u64::to_be_bytes).concat();
        let pin = format!("{:04}", seed % 10_000);
        Self {
            key: Tdes::new(&bytes).unwrap(),
            validation: seed.rotate_left(40).to_be_bytes(),
            pin: Pin::parse(&pin).unwrap(),
            questions: 0,
        }
    }

    /// The offset on the card's record: no secret.
    fn offset(&self) -> Vec<u8> {
        let table = DecimalisationTable::parse(TABLE).unwrap();
        let natural = natural_pin_of(&self.key, &table, &self.validation, 4);
        digits(&offset(&natural, &self.pin).to_string())
    }

    /// Whether the card's PIN, whose block the attacker replays, fits table and offset.
    fn verifies(&mut self, table: &str, offset: &[u8]) -> bool {
        self.questions += 1;
        let table = DecimalisationTable::weak_parse(table).unwrap();
        let natural = natural_pin_of(&self.key, &table, &self.validation, 4);
        let text: String = offset.iter().map(|it| char::from(b'0' + it)).collect();
        let offset = pintle::domain::pin_verification::Reference::parse(&text).unwrap();
        pin_of_offset(&natural, &offset).ct_eq(&self.pin).into()
    }
}

/// The decimalisation attacker: adds one to every entry of one digit, and asks at which places the
/// offset must give it back.
fn attack(control: &mut WeakControl) -> String {
    let kept = control.offset();
    let mut natural = [None; 4];
    for digit in 0..10u8 {
        let open: Vec<usize> = (0..4).filter(|at| natural[*at].is_none()).collect();
        if open.is_empty() {
            break;
        }
        let entry = char::from(b'0' + digit);
        let next = char::from(b'0' + (digit + 1) % 10);
        let table: String = TABLE
            .chars()
            .map(|it| if it == entry { next } else { it })
            .collect();
        // The fewest places first: most digits stand nowhere.
        let mut sets: Vec<u32> = (0..1u32 << open.len()).collect();
        sets.sort_by_key(|set| set.count_ones());
        for set in sets {
            let mut asked = kept.clone();
            let places = open.iter().enumerate();
            let chosen: Vec<usize> = places
                .filter(|(bit, _)| set >> bit & 1 == 1)
                .map(|(_, at)| *at)
                .collect();
            for at in &chosen {
                asked[*at] = (asked[*at] + 9) % 10;
            }
            if control.verifies(&table, &asked) {
                chosen.iter().for_each(|at| natural[*at] = Some(digit));
                break;
            }
        }
    }
    let pin = natural.iter().zip(&kept);
    pin.map(|(natural, offset)| (natural.unwrap() + offset) % 10)
        .map(|digit| char::from(b'0' + digit))
        .collect()
}

fn digits(text: &str) -> Vec<u8> {
    text.bytes().map(|it| it - b'0').collect()
}

#[test]
fn the_decimalisation_attacker_finds_every_pin_of_the_weak_control() {
    let (mut questions, mut random) = (0, 0x2545_F491_4F6C_DD1D_u64);
    let cards = 300;
    for _ in 0..cards {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let mut control = WeakControl::new(random ^ (random >> 31));
        let found = attack(&mut control);
        let pin = control.pin.expose_digits(<[u8]>::to_vec);
        assert_eq!(found.as_bytes(), pin);
        questions += control.questions;
    }
    let average = questions / cards;
    assert!(average <= 30, "{average} questions a PIN");
}

#[test]
fn the_decimalisation_attacker_gets_no_handle_on_the_data_plane() {
    let descriptors = prost_types::FileDescriptorSet::decode(pb::DESCRIPTORS).unwrap();
    let data_plane = descriptors
        .file
        .iter()
        .filter(|file| file.package() == "pintle.v1");
    let mut fields = 0;
    for message in data_plane.flat_map(|file| &file.message_type) {
        for field in &message.field {
            fields += 1;
            let name = field.name().to_lowercase();
            let told = [
                "table",
                "decimali",
                "validation",
                "pvki",
                "check_length",
                "pin_length",
            ];
            let place = format!("{}.{name}", message.name());
            assert!(!told.iter().any(|word| name.contains(word)), "{place}");
        }
    }
    assert!(fields > 50, "the descriptors were read: {fields}");
}

#[test]
fn the_offset_sweeper_is_locked_out_after_five_of_ten_thousand_offsets() {
    world().run(async |world| {
        provide(world).await;
        let client = world.client().await;
        let pan = pan(20, 1);
        let kept = reference(&client, "ibm", "482193", &pan).await;
        // One known block, and every offset there is of its first places: one of them verifies.
        let block = encipher("tpk-tdes", Format::Iso0, "937193", &pan);
        let guesses = guesses();
        let (mut answered, mut found) = (0, false);
        for guess in 0..guesses {
            let offset = format!("{guess:04}{}", &kept[4..]);
            let request = verification("ibm", &pan, block.clone(), &offset);
            match client.verify_pin(request).await {
                Ok(answer) => {
                    answered += 1;
                    found |= answer.valid;
                }
                refused => {
                    assert_refused(refused, Code::ResourceExhausted, "PIN_TRIES_SPENT", None);
                }
            }
        }
        assert_eq!((answered, found), (5, false));
    });
}

/// Guesses of an attack; 10,000 for the whole of it.
fn guesses() -> u32 {
    std::env::var("PINTLE_GUESSES").map_or(120, |text| text.parse().unwrap())
}

/// Another server over the world's store, with a catalogue and a writer of its own.
async fn replica(world: &World) -> pintle::client::Client {
    let store = Store::open(&world.store).unwrap();
    let options = CatalogueOptions {
        allow_process_kek: true,
        ..CatalogueOptions::new(Environment::Test)
    };
    let token = world.context.catalogue.fleet().first().unwrap().clone();
    let catalogue = Catalogue::open(store, token, options).unwrap();
    catalogue.spawn_poll();
    let context = Context {
        catalogue,
        issuer: Issuer::default(),
        pin_engine: Arc::clone(&world.context.pin_engine),
        ..world.context.clone()
    };
    world.client_with(&context).await
}

#[test]
fn three_servers_of_one_store_admit_one_budget_of_wrong_pins() {
    world().run(async |world| {
        provide(world).await;
        let pan = pan(21, 1);
        let kept = reference(&world.client().await, "visa", "4821", &pan).await;
        let attack = async |server: u32| {
            let client = replica(world).await;
            let mut admitted = 0;
            for guess in 0..guesses() / 3 {
                let pin = format!("{:04}", 5000 + (guess * 3 + server) % 5000);
                let block = encipher("tpk-tdes", Format::Iso0, &pin, &pan);
                let request = verification("visa", &pan, block, &kept);
                match client.verify_pin(request).await {
                    Ok(_) => admitted += 1,
                    refused => {
                        let spent = "PIN_TRIES_SPENT";
                        assert_refused(refused, Code::ResourceExhausted, spent, None);
                    }
                }
            }
            admitted
        };
        let (one, two, three) = tokio::join!(attack(0), attack(1), attack(2));
        let admitted: u32 = one + two + three;
        assert_eq!(admitted, 5);
    });
}

#[test]
fn a_caller_has_so_many_wrong_pins_in_a_minute_whatever_the_cards() {
    world().run(async |world| {
        let catalogue = &world.context.catalogue;
        let rules = BudgetRules {
            pan_failures_day: 5,
            caller_failures_minute: 3,
        };
        let until = || std::time::Instant::now() + std::time::Duration::from_secs(5);
        // Again, with another caller, where the minute turned on the way.
        for run in 0.. {
            let caller = format!("spiffe://test/guesser-{run}");
            let began = now() / 60;
            let mut answers = Vec::new();
            for card in 0..6 {
                let pan = pintle::domain::pan::Pan::parse(&pan(22, run * 10 + card)).unwrap();
                let of = Try {
                    tenant: "default",
                    caller: &caller,
                    key: "pvk-visa-v",
                    pan: &pan,
                };
                let tried = Reserved::for_verification(catalogue, rules, of, until()).await;
                // The third is given back, so that one more is possible and then none.
                answers.push(match tried {
                    Ok(reserved) if card == 2 => {
                        reserved.give_back(catalogue);
                        true
                    }
                    Ok(_) => true,
                    Err(KeyError::BudgetSpent) => false,
                    Err(error) => panic!("{error}"),
                });
            }
            if now() / 60 == began {
                assert_eq!(answers, [true, true, true, true, false, false]);
                break;
            }
        }
    });
}

#[test]
fn a_verification_that_did_not_bind_the_pan_would_carry_one_pin_to_every_card() {
    // The control: a block without a PAN in it decodes for any card.
    let clear: [u8; 8] = hex::decode("144821FFFFFFFFFF").unwrap().try_into().unwrap();
    let block = close_8("tpk-tdes-iso1", clear);
    let opened = crate::blocks::open_8("tpk-tdes-iso1", &block);
    let carried = pintle::domain::pin_block::format_1::decode(&opened).unwrap();
    assert_eq!(carried.expose_digits(<[u8]>::to_vec), b"4821");
    // Formats that verify do not: for another card the same block is none, or another PIN.
    let (mine, other) = (pan(23, 1), pan(23, 77));
    assert_ne!(
        bound("044821FFFFFFFFFF", &mine),
        bound("044821FFFFFFFFFF", &other)
    );
    let block = encipher("tpk-tdes", Format::Iso0, "4821", &mine);
    let cipher = cipher("tpk-tdes");
    let from = pintle::domain::pin_block::Framing {
        format: Format::Iso0,
        cipher: &cipher,
    };
    let other = pintle::domain::pan::Pan::parse(&other).unwrap();
    assert!(pintle::domain::pin_block::decipher(from, &other, &block).is_err());
}
