//! `TranslatePins`: every item has its own keys, its own PAN and its own outcome.

use std::collections::HashSet;

use pintle::domain::pin_block::Format;
use pintle::limits::BATCH_ITEMS_MAX;
use pintle::service::pb::v1::pin_service_client::PinServiceClient;
use pintle::service::pb::v1::{
    TranslatePinRequest, TranslatePinsItem, TranslatePinsOutcome, TranslatePinsRequest,
    translate_pins_outcome,
};
use tonic::Code;

use crate::blocks::{decipher, encipher, wire};
use crate::refusal::{assert_refused, assert_refused_alike};
use crate::world::{key, world};

const PAN: &str = "6230606601007726888";

fn item(
    source: &str,
    format: Format,
    destination: &str,
    pin: &str,
    pan: &str,
) -> TranslatePinsItem {
    TranslatePinsItem {
        source_key: key(source),
        destination_key: key(destination),
        source_format: wire(format).into(),
        pan: pan.to_owned(),
        pin_block: encipher(source, format, pin, pan),
    }
}

fn good() -> TranslatePinsItem {
    item("tpk-tdes", Format::Iso0, "zpk-out-tdes-0", "123654", PAN)
}

/// Good items among bad ones, as many kinds of bad as there are.
fn mixed() -> Vec<TranslatePinsItem> {
    let bad = |spoil: fn(&mut TranslatePinsItem)| {
        let mut item = good();
        spoil(&mut item);
        item
    };
    vec![
        good(),
        bad(|it| it.source_key = None),
        bad(|it| it.destination_key = key("NO NAME")),
        bad(|it| it.source_key = key("tpk-nobody")),
        bad(|it| it.destination_key = key("zpk-nobody")),
        good(),
        bad(|it| it.source_key = key("mac-alg3")),
        bad(|it| it.destination_key = key("tpk-tdes")),
        bad(|it| it.source_format = 99),
        bad(|it| it.source_format = wire(Format::Iso1).into()),
        bad(|it| it.source_format = wire(Format::Iso4).into()),
        bad(|it| it.pan.clear()),
        bad(|it| it.pan = "62306066010077268".repeat(2)),
        bad(|it| it.pan = "62306O6601007726888".to_owned()),
        bad(|it| it.pin_block.clear()),
        bad(|it| it.pin_block = vec![7; 9]),
        bad(|it| it.pin_block = vec![7; 8]),
        bad(|it| it.pan = "6230606601007726898".to_owned()),
        bad(|it| it.source_key = key("tpk-nobody")),
        good(),
    ]
}

#[test]
fn translate_pins_accepts_items_among_refused_ones_and_answers_each_as_a_call_of_its_own() {
    world().run(async |world| {
        let client = world.client().await;
        let batch = TranslatePinsRequest { items: mixed() };
        let outcomes = client.translate_pins(batch).await.unwrap().outcomes;
        assert_eq!(outcomes.len(), mixed().len());
        let mut translated = 0;
        for (item, outcome) in mixed().into_iter().zip(outcomes) {
            let TranslatePinsItem {
                source_key,
                destination_key,
                source_format,
                pan,
                pin_block,
            } = item;
            let alone = TranslatePinRequest {
                source_key,
                destination_key,
                source_format,
                pan,
                pin_block,
            };
            let alone = client.translate_pin(alone).await;
            match outcome.outcome.unwrap() {
                translate_pins_outcome::Outcome::Translated(answer) => {
                    translated += 1;
                    // Format 0 has no fill: the same answer, byte for byte.
                    assert!(answer == alone.unwrap());
                }
                translate_pins_outcome::Outcome::Refused(refusal) => {
                    assert_refused_alike(&refusal, alone);
                }
            }
        }
        assert_eq!(translated, 3);
    });
}

#[test]
fn translate_pins_accepts_the_most_items_each_with_its_own_pin_and_pan() {
    world().run(async |world| {
        let client = world.client().await;
        let keys = [
            ("tpk-tdes", Format::Iso3, "zpk-out-tdes-0", Format::Iso0),
            (
                "tpk-sm4-16",
                Format::Sm4Unionpay16,
                "zpk-out-aes",
                Format::Iso4,
            ),
            (
                "tpk-no-pan",
                Format::X98NoPan,
                "zpk-out-sm4-8pad",
                Format::Sm4Unionpay8pad,
            ),
        ];
        let wanted = |at: usize| {
            let (pin, pan) = (format!("{:06}", at * 977), format!("62{:014}", at * 31_337));
            (keys[at % 3], pin, pan)
        };
        let items = (0..BATCH_ITEMS_MAX).map(|at| {
            let ((source, format, destination, _), pin, pan) = wanted(at);
            item(source, format, destination, &pin, &pan)
        });
        let items = items.collect();
        let answer = client.translate_pins(TranslatePinsRequest { items }).await;
        let outcomes = answer.unwrap().outcomes;
        assert_eq!(outcomes.len(), 1024);
        for (at, outcome) in outcomes.iter().enumerate() {
            let ((_, _, destination, to), pin, pan) = wanted(at);
            let out = decipher(destination, to, &pan, &block_of(outcome));
            assert_eq!(out, Some(pin), "item {at}");
        }
        let distinct: HashSet<_> = outcomes.iter().map(block_of).collect();
        assert_eq!(distinct.len(), 1024);
    });
}

#[test]
fn translate_pins_refuses_no_items_and_too_many() {
    world().run(async |world| {
        let client = world.client().await;
        let ask = async |count: usize| {
            let items = vec![good(); count];
            client.translate_pins(TranslatePinsRequest { items }).await
        };
        let answer = ask(0).await;
        assert_refused(answer, Code::InvalidArgument, "MISSING_FIELD", "items");
        let answer = ask(BATCH_ITEMS_MAX + 1).await;
        assert_refused(answer, Code::InvalidArgument, "ITEMS_TOO_MANY", "items");
    });
}

#[test]
fn the_record_of_a_batch_names_each_key_once_and_no_pan() {
    world().run(async |world| {
        let mut client = PinServiceClient::new(world.channel().await);
        let items = vec![good(); 100];
        let answer = client.translate_pins(TranslatePinsRequest { items }).await;
        let answer = answer.unwrap();
        let id = answer.metadata().get("x-request-id").unwrap().clone();
        let journal = std::fs::read_to_string(&world.journal).unwrap();
        let mut lines = journal
            .lines()
            .filter(|line| line.contains(id.to_str().unwrap()));
        let line = lines.next().unwrap();
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["keys"].as_array().unwrap().len(), 2, "{line}");
        assert!(lines.next().is_none() && !line.contains(PAN), "{line}");
    });
}

fn block_of(outcome: &TranslatePinsOutcome) -> Vec<u8> {
    match outcome.outcome.as_ref().unwrap() {
        translate_pins_outcome::Outcome::Translated(answer) => answer.pin_block.clone(),
        translate_pins_outcome::Outcome::Refused(refusal) => panic!("{}", refusal.reason),
    }
}
