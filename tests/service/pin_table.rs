//! The translation table through the service: every format × source key × destination key, each
//! side, each cipher. What is refused never reaches the PIN engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pintle::domain::cipher::{BlockAlgorithm, PinCipher};
use pintle::domain::pan::Pan;
use pintle::domain::pin::Pin;
use pintle::domain::pin_block::{self, EncryptedPinBlock, Format, Framing};
use pintle::domain::pin_verification::Reference;
use pintle::keys::attributes::{Algorithm, Exportability, Mode, Residence, Side, Usage};
use pintle::keys::import;
use pintle::keys::key_policy::KeyPolicy;
use pintle::keys::key_ref::KeyName;
use pintle::keys::spec::KeySpec;
use pintle::ops::context::Context;
use pintle::ops::pin_engine::{
    Answer, Generation, PinEngine, Referencing, Translation, Verification,
};
use pintle::secret::Secret;
use pintle::service::pb::admin::v1::{KeyPolicy as WirePolicy, KeySpec as Wire};
use pintle::service::pb::v1::{
    TranslatePinRequest, TranslatePinsItem, TranslatePinsRequest, translate_pins_outcome,
};
use tonic::Code;

use crate::blocks::wire;
use crate::refusal::{assert_refused, assert_refused_alike, refused};
use crate::world::{World, client_of, key, world};

const PAN: &str = "5412345678901234567";
const PIN: &str = "40718";

/// The engine of the tests, and how often it was asked.
struct Counted {
    engine: Arc<dyn PinEngine>,
    asked: AtomicUsize,
}

impl PinEngine for Counted {
    fn translate<'a>(&'a self, translation: Translation<'a>) -> Answer<'a> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.engine.translate(translation)
    }

    fn verify<'a>(&'a self, verification: Verification<'a>) -> Answer<'a, bool> {
        self.engine.verify(verification)
    }

    fn make_reference<'a>(&'a self, referencing: Referencing<'a>) -> Answer<'a, Reference> {
        self.engine.make_reference(referencing)
    }

    fn generate<'a>(
        &'a self,
        generation: Generation<'a>,
    ) -> Answer<'a, (EncryptedPinBlock, Reference)> {
        self.engine.generate(generation)
    }
}

/// A key of the table.
struct Key {
    name: String,
    side: Side,
    value: [u8; 16],
    inputs: &'static [Format],
    output: Option<Format>,
}

impl Key {
    fn algorithm(&self) -> BlockAlgorithm {
        let first = self.output.or(self.inputs.first().copied());
        first.unwrap().algorithm()
    }

    /// What a block of this format would be under it; of the right length where it has no such.
    fn block(&self, format: Format) -> Vec<u8> {
        let cipher = PinCipher::new(self.algorithm(), &self.value).unwrap();
        let framing = Framing {
            format,
            cipher: &cipher,
        };
        let (pin, pan) = (Pin::parse(PIN).unwrap(), Pan::parse(PAN).unwrap());
        match pin_block::encipher(framing, &pin, &pan, &[0x5A; 8]) {
            Ok(block) => block.as_bytes().to_vec(),
            Err(_) => vec![7; format.block_bytes()],
        }
    }

    fn pin_in(&self, format: Format, block: &[u8]) -> Option<String> {
        let cipher = PinCipher::new(self.algorithm(), &self.value).unwrap();
        let framing = Framing {
            format,
            cipher: &cipher,
        };
        let pin = pin_block::decipher(framing, &Pan::parse(PAN).unwrap(), block).ok()?;
        Some(pin.expose_digits(|digits| String::from_utf8(digits.to_vec()).unwrap()))
    }

    async fn import(&self, world: &World) {
        let policy = KeyPolicy {
            pin_inputs: self.inputs.iter().copied().collect(),
            pin_output: self.output,
            weak: self.inputs.contains(&Format::X98NoPan),
            ..KeyPolicy::default()
        };
        let spec = KeySpec {
            name: KeyName::parse(&self.name).unwrap(),
            usage: Usage::PinEncryption,
            mode: match self.output {
                Some(_) => Mode::Encrypt,
                None => Mode::Decrypt,
            },
            side: Some(self.side),
            algorithm: match self.algorithm() {
                BlockAlgorithm::Tdes => Algorithm::Tdes2,
                BlockAlgorithm::Aes => Algorithm::Aes128,
                BlockAlgorithm::Sm4 => Algorithm::Sm4,
            },
            exportability: Exportability::NonExportable,
            residence: Residence::Process,
            policy,
        };
        let tenant = KeyName::parse("default").unwrap();
        let value = Secret::new(self.value.to_vec());
        import::import_test_value(&world.context.catalogue, &tenant, spec, value)
            .await
            .unwrap();
    }
}

/// Everything that may come in, by key: each side, each cipher.
const SOURCES: [(Side, &[Format]); 8] = [
    (
        Side::Terminal,
        &[Format::Iso0, Format::Iso1, Format::Iso3, Format::X98NoPan],
    ),
    (Side::Zone, &[Format::Iso0, Format::Iso1, Format::Iso3]),
    (Side::Terminal, &[Format::Iso4]),
    (Side::Zone, &[Format::Iso4]),
    (Side::Terminal, &[Format::Iso4Pan12]),
    (Side::Zone, &[Format::Iso4Pan12]),
    (Side::Terminal, SM4),
    (Side::Zone, SM4),
];
const SM4: &[Format] = &[
    Format::Sm4Fmt4Layout,
    Format::Sm4Unionpay16,
    Format::Sm4Unionpay8pad,
];

/// Imports the keys of the table, with names of this beginning.
async fn keys(world: &World, stem: &str) -> (Vec<Key>, Vec<Key>) {
    let value = |seed: usize| {
        // Odd in every byte, no two halves alike.
        let digest = <sha2::Sha256 as sha2::Digest>::digest(format!("{stem} {seed}"));
        std::array::from_fn(|at| {
            let bits = digest[at] & 0xFE;
            bits | u8::from(bits.count_ones() % 2 == 0)
        })
    };
    let mut sources = Vec::new();
    for (at, (side, inputs)) in SOURCES.into_iter().enumerate() {
        sources.push(Key {
            name: format!("v-{stem}-in-{at}"),
            side,
            value: value(at),
            inputs,
            output: None,
        });
    }
    let mut destinations = Vec::new();
    for side in [Side::Zone, Side::Issuer] {
        for format in Format::ALL {
            if [Format::Iso1, Format::X98NoPan].contains(&format) {
                continue;
            }
            destinations.push(Key {
                name: format!("v-{stem}-out-{side}-{}", format as usize),
                side,
                value: value(100 + destinations.len()),
                inputs: &[],
                output: Some(format),
            });
        }
    }
    for key in sources.iter().chain(&destinations) {
        key.import(world).await;
    }
    (sources, destinations)
}

/// Why this is refused, by rules and not by a table; none where the PIN must come out.
fn refusal(source: &Key, format: Format, destination: &Key) -> Option<&'static str> {
    let own_cipher = format.algorithm() == source.algorithm();
    let stray = format == Format::X98NoPan && destination.side != Side::Zone;
    if !own_cipher || stray {
        Some("TRANSLATION_FORBIDDEN")
    } else if !source.inputs.contains(&format) {
        Some("PIN_FORMAT_REFUSED")
    } else {
        None
    }
}

fn every_call<'a>(
    sources: &'a [Key],
    destinations: &'a [Key],
) -> impl Iterator<Item = (&'a Key, Format, &'a Key, TranslatePinRequest)> {
    let pairs = sources.iter().flat_map(move |source| {
        let formats = Format::ALL.into_iter();
        formats.flat_map(move |format| destinations.iter().map(move |to| (source, format, to)))
    });
    pairs.map(|(source, format, destination)| {
        let request = TranslatePinRequest {
            source_key: key(&source.name),
            destination_key: key(&destination.name),
            source_format: wire(format).into(),
            pan: PAN.to_owned(),
            pin_block: source.block(format),
        };
        (source, format, destination, request)
    })
}

#[test]
fn every_pair_on_every_side_is_as_the_rules_say_and_refusals_never_reach_the_engine() {
    world().run(async |world| {
        let engine = Arc::new(Counted {
            engine: Arc::clone(&world.context.pin_engine),
            asked: AtomicUsize::new(0),
        });
        let context = Context {
            pin_engine: Arc::clone(&engine) as Arc<dyn PinEngine>,
            ..world.context.clone()
        };
        let client = client_of(world.server_over(&context, |_| {}).await).await;
        let (sources, destinations) = keys(world, "table").await;
        let (mut accepted, mut calls) = (0, 0);
        for (source, format, destination, request) in every_call(&sources, &destinations) {
            calls += 1;
            let answer = client.translate_pin(request).await;
            let place = format!("{} {format:?} to {}", source.name, destination.name);
            match refusal(source, format, destination) {
                Some(reason) => {
                    let refused = refused(answer);
                    assert_eq!(refused.code, Code::FailedPrecondition, "{place}");
                    assert_eq!(refused.reason, reason, "{place}");
                    assert_eq!(refused.field.as_deref(), Some("source_format"), "{place}");
                }
                None => {
                    accepted += 1;
                    let to = destination.output.unwrap();
                    let block = answer.unwrap().pin_block;
                    let pin = destination.pin_in(to, &block);
                    assert_eq!(pin.as_deref(), Some(PIN), "{place}");
                }
            }
            assert_eq!(engine.asked.load(Ordering::SeqCst), accepted, "{place}");
        }
        // 17 inputs by keys, 14 outputs, less X98_NO_PAN to seven issuer keys.
        assert_eq!((calls, accepted), (8 * 9 * 14, 17 * 14 - 7));
    });
}

#[test]
fn a_batch_of_every_pair_answers_each_as_a_call_of_its_own() {
    world().run(async |world| {
        let client = client_of(world.server(|_| {}).await).await;
        let (sources, destinations) = keys(world, "batch").await;
        let asked: Vec<_> = every_call(&sources, &destinations).collect();
        let items = asked.iter().map(|(.., request)| item(request.clone()));
        let batch = TranslatePinsRequest {
            items: items.collect(),
        };
        let outcomes = client.translate_pins(batch).await.unwrap().outcomes;
        assert_eq!(outcomes.len(), asked.len());
        for ((.., destination, request), outcome) in asked.into_iter().zip(outcomes) {
            let alone = client.translate_pin(request).await;
            match outcome.outcome.unwrap() {
                translate_pins_outcome::Outcome::Translated(answer) => {
                    let pin = destination.pin_in(destination.output.unwrap(), &answer.pin_block);
                    assert_eq!(pin.as_deref(), Some(PIN));
                    let alone = alone.unwrap();
                    assert!(answer.source_key == alone.source_key);
                    assert!(answer.destination_key == alone.destination_key);
                    assert_eq!(answer.format, alone.format);
                }
                translate_pins_outcome::Outcome::Refused(refusal) => {
                    assert_refused_alike(&refusal, alone);
                }
            }
        }
    });
}

fn item(request: TranslatePinRequest) -> TranslatePinsItem {
    let TranslatePinRequest {
        source_key,
        destination_key,
        source_format,
        pan,
        pin_block,
    } = request;
    TranslatePinsItem {
        source_key,
        destination_key,
        source_format,
        pan,
        pin_block,
    }
}

/// Mode, side, the one input and the output of a key, and whether it says weak.
type Asked = (&'static str, &'static str, &'static str, &'static str, bool);

/// TDES keys that nobody can make, and the field at fault.
const NO_KEYS: [(Asked, &str); 7] = [
    (("E", "zone", "", "ISO_1", false), "pin.output"),
    (("E", "zone", "", "X98_NO_PAN", false), "pin.output"),
    (("E", "issuer", "", "X98_NO_PAN", true), "pin.output"),
    (("D", "zone", "X98_NO_PAN", "", true), "pin.inputs"),
    (("D", "terminal", "X98_NO_PAN", "", false), "weak"),
    (("D", "terminal", "ISO_0", "", true), "weak"),
    (
        ("D", "terminal", "SM4_UNIONPAY_16", "", false),
        "pin.inputs",
    ),
];

#[test]
fn no_key_puts_out_what_is_bound_to_no_pan_or_takes_it_in_without_the_word_weak() {
    world().run(async |world| {
        let client = world.admin_client().await;
        let some = |word: &str| match word {
            "" => vec![],
            _ => vec![word.to_owned()],
        };
        let create = async |name: &str, algorithm: &str, mode: &str, side: &str, policy| {
            let spec = Wire {
                name: name.to_owned(),
                usage: "P0".to_owned(),
                mode: mode.to_owned(),
                side: side.to_owned(),
                algorithm: algorithm.to_owned(),
                policy: Some(policy),
                ..Wire::default()
            };
            client.create_key(crate::keys::create(spec)).await
        };
        for (at, ((mode, side, input, output, weak), field)) in NO_KEYS.into_iter().enumerate() {
            let policy = WirePolicy {
                pin_inputs: some(input),
                pin_output: output.to_owned(),
                weak,
                ..WirePolicy::default()
            };
            let name = format!("adm-no-such-{at}");
            let answer = create(&name, "TDES-2", mode, side, policy).await;
            assert_refused(answer, Code::InvalidArgument, "KEY_SPEC_REFUSED", field);
        }
        let both = WirePolicy {
            pin_inputs: vec!["ISO_4".to_owned(), "ISO_4_PAN12".to_owned()],
            ..WirePolicy::default()
        };
        let answer = create("adm-both-4", "AES-128", "D", "terminal", both).await;
        assert_refused(
            answer,
            Code::InvalidArgument,
            "KEY_SPEC_REFUSED",
            "pin.inputs",
        );
        let weak = WirePolicy {
            pin_inputs: vec!["ISO_0".to_owned(), "X98_NO_PAN".to_owned()],
            weak: true,
            ..WirePolicy::default()
        };
        create("adm-x98", "TDES-2", "D", "terminal", weak)
            .await
            .unwrap();
    });
}
