//! Attacks on PIN translation (Clulow 2003; Berkman and Ostrovsky 2007; PCI PIN 3-3), each against
//! the service and against a control that it must break.
//!
//! The attacker here may make every call with every key that faces outwards, knows his own cards
//! and PINs, has blocks of other people's PINs with their PANs, and never sees a clear block.

use std::collections::{BTreeMap, BTreeSet};

use pintle::client::Client;
use pintle::domain::cipher::{BlockAlgorithm, PinCipher};
use pintle::domain::pan::Pan;
use pintle::domain::pin::Pin;
use pintle::domain::pin_block::{self, Format, Framing};
use pintle::service::pb;
use pintle::service::pb::v1::pin_service_client::PinServiceClient;
use pintle::service::pb::v1::{TranslatePinRequest, TranslatePinResponse};
use prost::Message;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use tonic::{Response, Status};

use crate::blocks::{cipher, close_8, decipher, encipher, open_8, wire};
use crate::weak_translator::{Form, Translator, Weak};
use crate::world::{World, channel_to, client_of, key, world};

/// A client of a server that keeps no journal: thousands of calls in turn would wait for the disk.
async fn unrecorded(world: &World) -> Client {
    client_of(world.server(|_| {}).await).await
}

/// People and hostile bytes, the same in every run.
struct Random(ChaCha20Rng);

impl Random {
    fn seeded(seed: u8) -> Self {
        Self(ChaCha20Rng::from_seed([seed; 32]))
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.0.next_u32() % bound
    }

    fn digits(&mut self, count: usize) -> String {
        let digits = (0..count).map(|_| char::from_digit(self.below(10), 10).unwrap());
        digits.collect()
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}

/// A PAN that is zero in all of its twelve digits but one.
fn probe(place: usize, digit: u8) -> String {
    let mut pan = [b'0'; 13];
    pan[place] = b'0' + digit;
    String::from_utf8(pan.to_vec()).unwrap()
}

const ZERO: &str = "0000000000000";

/// Clulow's attacker. Knows nothing of the translator but what it refuses; tries it on a PIN of
/// his own first, and gives up where no digit is ever refused.
struct Clulow<'a, T> {
    translator: &'a T,
}

impl<T: Translator> Clulow<'_, T> {
    async fn refuses(&self, from: Form, pan: &str, block: [u8; 8]) -> bool {
        let answer = self.translator.translate(from, Form::Iso0, pan, block);
        answer.await.is_none()
    }

    /// Whether a PAN digit over a PIN digit is ever seen: on his own card, PIN 9999.
    async fn has_an_oracle(&self, own: [u8; 8], own_pan: &str) -> bool {
        for digit in b'0'..=b'9' {
            // The first of the twelve digits lies over the third of the PIN.
            let mut pan = own_pan.as_bytes().to_vec();
            pan[0] = digit;
            let pan = String::from_utf8(pan).unwrap();
            if self.refuses(Form::Iso0, &pan, own).await {
                return true;
            }
        }
        false
    }

    /// The PIN of four digits in a victim's block; none where he learns nothing or not all of it.
    async fn recover(&self, block: [u8; 8], pan: &str) -> Option<String> {
        use Form::{Delimited, Iso0};
        let t = self.translator;
        // Out of the PAN's binding, and then read as what it is not: "04" and the PIN are six
        // digits, and all four digits of the PIN lie under digits of the PAN from here on.
        let free = t.translate(Iso0, Delimited, pan, block).await?;
        let four = t.translate(Delimited, Iso0, ZERO, free).await?;
        let six = t.translate(Delimited, Delimited, ZERO, four).await?;
        let under_zeros = t.translate(Delimited, Iso0, ZERO, six).await?;
        let mut pin = String::new();
        for place in 0..4 {
            let mut candidates: Vec<u8> = (0..=9).collect();
            for x in 0..=9 {
                let shifted = t
                    .translate(Iso0, Delimited, &probe(place, x), under_zeros)
                    .await;
                candidates.retain(|digit| (digit ^ x <= 9) == shifted.is_some());
                let Some(shifted) = shifted else { continue };
                for y in 0..=9 {
                    let pan = probe(place, y);
                    let bound = t.translate(Delimited, Iso0, &pan, shifted);
                    let cut = t.translate(Delimited, Delimited, ZERO, bound.await?).await;
                    // The delimiter tells the last bit that "above nine" leaves open.
                    candidates.retain(|digit| {
                        let read = digit ^ x ^ y;
                        (read <= 9 || read == 0xF) == cut.is_some()
                    });
                }
            }
            let [digit] = candidates[..] else { return None };
            pin.push(char::from(b'0' + digit));
        }
        Some(pin)
    }
}

/// The service, under a key that works both ways. Its own form for what has no form here is none.
struct Service {
    client: Client,
}

const BOTH_WAYS: &str = "zpk-both-tdes";

impl Translator for Service {
    async fn translate(&self, from: Form, to: Form, pan: &str, block: [u8; 8]) -> Option<[u8; 8]> {
        // What comes out is the key's, whatever he would like.
        let (Form::Iso0 | Form::Delimited) = to;
        let formats = match from {
            Form::Iso0 => [Format::Iso0].iter(),
            // Whatever is bound to no PAN comes nearest.
            Form::Delimited => [Format::X98NoPan, Format::Iso1].iter(),
        };
        for format in formats {
            let request = ask(BOTH_WAYS, *format, BOTH_WAYS, pan, &block);
            if let Ok(answer) = self.client.translate_pin(request).await {
                return answer.pin_block.try_into().ok();
            }
        }
        None
    }
}

fn ask(source: &str, format: Format, to: &str, pan: &str, block: &[u8]) -> TranslatePinRequest {
    TranslatePinRequest {
        source_key: key(source),
        destination_key: key(to),
        source_format: wire(format).into(),
        pan: pan.to_owned(),
        pin_block: block.to_vec(),
    }
}

#[test]
fn clulows_attacker_gets_every_pin_from_a_translator_that_minds_digits_and_none_from_the_service() {
    world().run(async |world| {
        let mut random = Random::seeded(1);
        let weak = Weak::new([0x5E, 0xA1, 7, 9, 11, 13, 14, 16, 1, 2, 4, 8, 22, 32, 64, 19]);
        let attacker = Clulow { translator: &weak };
        assert!(
            attacker
                .has_an_oracle(weak.encipher("9999", ZERO), ZERO)
                .await
        );
        let (mut recovered, victims) = (0, 400);
        for _ in 0..victims {
            let (pin, pan) = (random.digits(4), random.digits(13));
            let found = attacker.recover(weak.encipher(&pin, &pan), &pan).await;
            recovered += u32::from(found.as_deref() == Some(&pin));
        }
        assert!(recovered * 100 >= victims * 99, "{recovered} of {victims}");

        let service = Service {
            client: unrecorded(world).await,
        };
        let attacker = Clulow {
            translator: &service,
        };
        let block = |pin: &str, pan: &str| {
            let block = encipher(BOTH_WAYS, Format::Iso0, pin, pan);
            <[u8; 8]>::try_from(block).unwrap()
        };
        assert!(!attacker.has_an_oracle(block("9999", ZERO), ZERO).await);
        for _ in 0..100 {
            let (pin, pan) = (random.digits(4), random.digits(13));
            let found = attacker.recover(block(&pin, &pan), &pan).await;
            assert_eq!(found, None);
        }
    });
}

/// What a victim's block gives for every change of one digit of the PAN: none where it is refused,
/// else which of the blocks that came out it is, in the order they first did. The blocks themselves
/// are ciphertext; which of them are equal is all they tell.
async fn sweep(client: &Client, format: Format, pin: &str, pan: &str) -> Vec<Option<usize>> {
    let block = encipher("tpk-tdes", format, pin, pan);
    let mut came_out = Vec::new();
    let mut answers = Vec::new();
    for place in 0..12 {
        for digit in b'0'..=b'9' {
            let mut other = pan.as_bytes().to_vec();
            other[place] = digit;
            let other = String::from_utf8(other).unwrap();
            let request = ask("tpk-tdes", format, "zpk-out-tdes-0", &other, &block);
            let answer = client.translate_pin(request).await.ok();
            answers.push(answer.map(|TranslatePinResponse { pin_block, .. }| {
                if !came_out.contains(&pin_block) {
                    came_out.push(pin_block.clone());
                }
                came_out.iter().position(|it| *it == pin_block).unwrap()
            }));
        }
    }
    answers
}

#[test]
fn what_is_refused_and_what_comes_out_is_the_same_for_every_pin_of_a_length() {
    world().run(async |world| {
        let client = unrecorded(world).await;
        let mut random = Random::seeded(2);
        for (format, length) in [
            (Format::Iso0, 4),
            (Format::Iso0, 6),
            (Format::Iso0, 12),
            // The tests' own terminal fills every block alike.
            (Format::Iso3, 4),
        ] {
            let pan = random.digits(13);
            let mut pins: Vec<String> = ["0", "5", "9"].map(|it| it.repeat(length)).into();
            pins.extend((0..5).map(|_| random.digits(length)));
            let mut patterns = BTreeSet::new();
            for pin in pins {
                patterns.insert(sweep(&client, format, &pin, &pan).await);
            }
            assert_eq!(patterns.len(), 1, "{format:?}, {length} digits");
            let pattern = patterns.pop_first().unwrap();
            assert!(pattern.iter().any(Option::is_some));
            // In format 0 a PAN that is changed goes in and out again: what was not refused is what
            // the true PAN would have given.
            let same = pattern.iter().flatten().all(|which| *which == 0);
            assert!(
                same || format != Format::Iso0,
                "{length} digits: {pattern:?}"
            );
        }
    });
}

/// All of an answer that its caller can tell from another: code, text, details, every header and
/// trailer but the two that differ in each call, and whether anything follows.
fn seen(answer: Result<Response<TranslatePinResponse>, Status>) -> Option<Vec<u8>> {
    let status = answer.err()?;
    let mut metadata: Vec<String> = status
        .metadata()
        .clone()
        .into_headers()
        .iter()
        .filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {value:?}"))
        .collect();
    metadata.sort();
    let mut bytes = format!("{:?} {} {metadata:?}", status.code(), status.message()).into_bytes();
    bytes.extend_from_slice(status.details());
    Some(bytes)
}

/// Hostile requests: all of the right form, none with a good block for its PAN and format, most
/// with a good one for another.
fn hostile(random: &mut Random) -> TranslatePinRequest {
    let sources = [
        ("tpk-tdes", Format::Iso0),
        ("tpk-tdes", Format::Iso3),
        ("tpk-tdes-iso1", Format::Iso1),
        ("tpk-no-pan", Format::X98NoPan),
        ("tpk-aes", Format::Iso4),
        ("tpk-aes-pan12", Format::Iso4Pan12),
        ("tpk-sm4", Format::Sm4Fmt4Layout),
        ("tpk-sm4-16", Format::Sm4Unionpay16),
        ("tpk-sm4-8pad", Format::Sm4Unionpay8pad),
    ];
    let (source, format) = sources[random.below(9) as usize];
    let to = ["zpk-out-tdes-0", "zpk-out-aes", "zpk-out-sm4-16"][random.below(3) as usize];
    let (pan, length) = (random.digits(16), 4 + random.below(9) as usize);
    let pin = random.digits(length);
    let mut block = encipher(source, format, &pin, &pan);
    let mut other = pan.clone();
    match random.below(4) {
        // Another PAN.
        0 => other = random.digits(16),
        // One digit of it.
        1 => {
            let place = 3 + random.below(12) as usize;
            let digit = random.digits(1);
            other.replace_range(place..=place, &digit);
        }
        // A bit of the ciphertext.
        2 => {
            let bit = random.below(u32::try_from(8 * block.len()).unwrap());
            block[bit as usize / 8] ^= 1 << (bit % 8);
        }
        // Anything.
        _ => block = random.bytes(block.len()),
    }
    ask(source, format, to, &other, &block)
}

#[test]
fn ten_thousand_hostile_blocks_are_refused_in_one_way() {
    world().run(async |world| {
        let server = world.server(|_| {}).await;
        let mut client = PinServiceClient::new(channel_to(server).await);
        let mut random = Random::seeded(3);
        let mut answers = BTreeSet::new();
        let (mut refused, mut sent) = (0, 0);
        while refused < 10_000 {
            sent += 1;
            let answer = client.translate_pin(hostile(&mut random)).await;
            if let Some(seen) = seen(answer) {
                refused += 1;
                answers.insert(seen);
            }
        }
        assert_eq!(answers.len(), 1, "of {sent}: {answers:?}");
        // What was translated was a PIN of its PAN, or one whose digits nobody looked at.
        assert!(sent < 20_000, "{sent}: most must be refused");
    });
}

#[test]
fn no_request_can_express_a_change_of_pan_or_the_form_that_comes_out() {
    let set = prost_types::FileDescriptorSet::decode(pb::DESCRIPTORS).unwrap();
    let messages: BTreeMap<_, _> = set
        .file
        .iter()
        .flat_map(|file| &file.message_type)
        .map(|message| (message.name().to_owned(), message))
        .collect();
    for name in ["TranslatePinRequest", "TranslatePinsItem"] {
        let fields: Vec<_> = messages[name].field.iter().map(|it| it.name()).collect();
        let with = |part: &str| fields.iter().filter(|it| it.contains(part)).count();
        assert_eq!(with("pan") + with("account"), 1, "{fields:?}");
        assert_eq!(
            (with("format"), with("source_format")),
            (1, 1),
            "{fields:?}"
        );
        assert_eq!(
            fields.len(),
            5,
            "a new field: what could it change? {fields:?}"
        );
    }
    let batch: Vec<_> = messages["TranslatePinsRequest"].field.iter().collect();
    assert_eq!(batch.len(), 1, "a batch says nothing that an item does not");
}

/// Moves a PIN to another account through a block that is bound to none, as a service could whose
/// table let format 0 become format 1 and come back.
fn carried(pin: &str, from: &str, to: &str) -> Option<String> {
    let weak = PinCipher::new(BlockAlgorithm::Tdes, &[7, 3].repeat(8)).unwrap();
    let framing = |format| Framing {
        format,
        cipher: &weak,
    };
    let (from, to) = (Pan::parse(from).unwrap(), Pan::parse(to).unwrap());
    let pin = Pin::parse(pin).unwrap();
    let block = pin_block::encipher(framing(Format::Iso0), &pin, &from, &[1; 8]).ok()?;
    let pin = pin_block::decipher(framing(Format::Iso0), &from, block.as_bytes()).ok()?;
    let block = pin_block::encipher(framing(Format::Iso1), &pin, &from, &[1; 8]).ok()?;
    let pin = pin_block::decipher(framing(Format::Iso1), &to, block.as_bytes()).ok()?;
    let block = pin_block::encipher(framing(Format::Iso0), &pin, &to, &[1; 8]).ok()?;
    let pin = pin_block::decipher(framing(Format::Iso0), &to, block.as_bytes()).ok()?;
    Some(pin.expose_digits(|digits| String::from_utf8(digits.to_vec()).unwrap()))
}

#[test]
fn no_call_carries_a_pin_to_another_account() {
    world().run(async |world| {
        let client = unrecorded(world).await;
        let mut random = Random::seeded(4);
        for _ in 0..100 {
            let (pin, victim, own) = (random.digits(4), random.digits(16), random.digits(16));
            assert_eq!(carried(&pin, &victim, &own).as_ref(), Some(&pin));
            for (source, format) in [
                ("tpk-tdes", Format::Iso0),
                ("tpk-tdes", Format::Iso3),
                ("tpk-aes", Format::Iso4),
                ("tpk-aes-pan12", Format::Iso4Pan12),
                ("tpk-sm4", Format::Sm4Fmt4Layout),
                ("tpk-sm4-16", Format::Sm4Unionpay16),
                ("tpk-sm4-8pad", Format::Sm4Unionpay8pad),
            ] {
                let block = encipher(source, format, &pin, &victim);
                for as_format in Format::ALL {
                    let request = ask(source, as_format, "zpk-out-tdes-0", &own, &block);
                    let Ok(answer) = client.translate_pin(request).await else {
                        continue;
                    };
                    let out = decipher("zpk-out-tdes-0", Format::Iso0, &own, &answer.pin_block);
                    assert_ne!(out.as_ref(), Some(&pin), "{format:?} as {as_format:?}");
                }
            }
        }
    });
}

#[test]
fn format_1_comes_in_by_the_keys_that_list_it_only_and_is_no_other_format_read_otherwise() {
    world().run(async |world| {
        let client = unrecorded(world).await;
        let pan = "4012345678909";
        // A block of format 0 said to be of format 1, under a key that lists both.
        let zero = encipher("tpk-tdes-iso1", Format::Iso0, "1234", pan);
        let request = ask("tpk-tdes-iso1", Format::Iso1, "zpk-out-tdes-0", pan, &zero);
        let refused = crate::refusal::refused(client.translate_pin(request).await);
        assert_eq!(refused.reason, "PIN_BLOCK_REJECTED");
        // The same bytes in clear under a key that does not list it.
        let one = open_8(
            "tpk-tdes-iso1",
            &encipher("tpk-tdes-iso1", Format::Iso1, "1234", pan),
        );
        let block = close_8("tpk-tdes", one);
        let request = ask("tpk-tdes", Format::Iso1, "zpk-out-tdes-0", pan, &block);
        let refused = crate::refusal::refused(client.translate_pin(request).await);
        assert_eq!(refused.reason, "PIN_FORMAT_REFUSED");
    });
}

/// The statistic of Pearson's test that all counts come from one even distribution.
fn chi_squared(counts: &[u32]) -> f64 {
    let total: u32 = counts.iter().sum();
    let expected = f64::from(total) / f64::from(u32::try_from(counts.len()).unwrap());
    let square = |count: &u32| (f64::from(*count) - expected).powi(2) / expected;
    counts.iter().map(square).sum()
}

#[test]
fn the_fill_of_formats_3_and_4_is_even_and_hides_that_a_pin_is_the_same() {
    const ROUNDS: usize = 100_000;
    let world = world();
    let fill = &world.context.fill;
    let (pin, pan) = (
        Pin::parse("1234").unwrap(),
        Pan::parse("4012345678909").unwrap(),
    );
    let (tdes, aes) = (cipher("tpk-tdes"), cipher("tpk-aes"));
    let three = Framing {
        format: Format::Iso3,
        cipher: &tdes,
    };
    let four = Framing {
        format: Format::Iso4,
        cipher: &aes,
    };
    let field = pan.field12().unwrap();
    let (mut threes, mut fours) = (BTreeSet::new(), BTreeSet::new());
    let mut counts = [[0u32; 6]; 10];
    for _ in 0..ROUNDS {
        let block = pin_block::encipher(three, &pin, &pan, &fill.draw().unwrap()).unwrap();
        let clear = u64::from_be_bytes(open_8("tpk-tdes", block.as_bytes()));
        let clear = clear ^ u64::from_be_bytes(field);
        for (place, counts) in counts.iter_mut().enumerate() {
            let nibble = usize::try_from((clear >> (4 * place)) & 0xF).unwrap();
            counts[nibble - 10] += 1;
        }
        threes.insert(block.as_bytes().to_vec());
        let block = pin_block::encipher(four, &pin, &pan, &fill.draw().unwrap()).unwrap();
        fours.insert(block.as_bytes().to_vec());
    }
    // 5 degrees of freedom: above 32 once in 150,000 even sources, and there are ten.
    for (place, counts) in counts.iter().enumerate() {
        let statistic = chi_squared(counts);
        assert!(statistic < 32.0, "place {place}: {statistic} of {counts:?}");
    }
    // The control: a nibble drawn modulo 6 from a byte's half is not even.
    let mut uneven = [0u32; 6];
    for _ in 0..ROUNDS {
        let [byte] = fill.draw::<1>().unwrap();
        uneven[usize::from(byte & 0xF) % 6] += 1;
    }
    assert!(chi_squared(&uneven) > 32.0, "{uneven:?}");
    // 6¹⁰ fills: 82.7 pairs of 10⁵ blocks are expected to meet, give or take 9.1.
    let met = ROUNDS - threes.len();
    assert!(
        (37..=128).contains(&met),
        "{met} blocks of format 3 repeated"
    );
    assert_eq!(fours.len(), ROUNDS, "blocks of format 4 never meet");
}
