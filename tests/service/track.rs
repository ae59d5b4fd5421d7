//! DataService: magnetic-stripe tracks.

use std::collections::HashSet;

use pintle::client::Client;
use pintle::domain::track::{self, Framing, Layout};
use pintle::service::pb::v1::{TrackLayout, TranslateTrackRequest, TranslateTrackResponse};
use tonic::Code;

use crate::blocks;
use crate::key_block::{block, brought};
use crate::refusal::{assert_refused, refused};
use crate::world::{key, world};

const ONE: Layout = Layout::UnionPayOneBlock;
const WHOLE: Layout = Layout::UnionPayWhole;

/// The track keys of `keys.toml` that encrypt and decrypt.
const KEYS: [(&str, Layout, TrackLayout); 4] = [
    ("tdk-one", ONE, TrackLayout::UnionpayOneBlock),
    ("tdk-one-sm4", ONE, TrackLayout::UnionpayOneBlock),
    ("tdk-whole", WHOLE, TrackLayout::UnionpayWhole),
    ("tdk-whole-sm4", WHOLE, TrackLayout::UnionpayWhole),
];

/// Track 2 of 37 digits and separators, packed, and filled with a 0.
const TRACK: &str = "1234567890123456789D050820178199168300";
const DIGITS: u32 = 37;

fn clear() -> Vec<u8> {
    hex::decode(TRACK).unwrap()
}

/// A track as a terminal enciphers it.
fn encipher(name: &str, layout: Layout, digits: u32, clear: &[u8]) -> Vec<u8> {
    let cipher = blocks::cipher(name);
    let framing = Framing {
        layout,
        cipher: &cipher,
    };
    track::encipher(framing, digits as usize, clear).unwrap()
}

/// The track that an issuer reads.
pub fn decipher(name: &str, layout: Layout, digits: u32, track: &[u8]) -> Vec<u8> {
    let cipher = blocks::cipher(name);
    let framing = Framing {
        layout,
        cipher: &cipher,
    };
    let opened = track::decipher(framing, digits as usize, track).unwrap();
    opened.expose_secret().clone()
}

fn asked(from: &str, to: &str, digits: u32, track: Vec<u8>) -> TranslateTrackRequest {
    TranslateTrackRequest {
        source_key: key(from),
        destination_key: key(to),
        digits,
        track,
    }
}

async fn translated(client: &Client, asked: TranslateTrackRequest) -> TranslateTrackResponse {
    client.translate_track(asked).await.unwrap()
}

#[test]
fn translate_track_accepts_every_layout_into_every_other() {
    world().run(async |world| {
        let client = world.client().await;
        for (from, layout, _) in KEYS {
            let track = encipher(from, layout, DIGITS, &clear());
            for (to, layout, named) in KEYS {
                let request = asked(from, to, DIGITS, track.clone());
                let answer = translated(&client, request).await;
                assert!(answer.layout() == named);
                assert_eq!(answer.source_key.unwrap().name, from);
                assert_eq!(answer.destination_key.unwrap().name, to);
                let read = decipher(to, layout, DIGITS, &answer.track);
                assert_eq!(read, clear(), "{from} → {to}");
            }
        }
    });
}

#[test]
fn translate_track_accepts_a_terminals_track_and_nothing_clear_but_what_was_comes_out() {
    world().run(async |world| {
        let client = world.client().await;
        let track = encipher("tdk-terminal", ONE, DIGITS, &clear());
        // The terminal left these in clear; the block between them is what the TDK hides.
        assert_eq!((&track[..10], track[18]), (&clear()[..10], 0));
        let request = asked("tdk-terminal", "tdk-one", DIGITS, track);
        let answer = translated(&client, request).await;
        assert_eq!((&answer.track[..10], answer.track[18]), (&clear()[..10], 0));
        assert_ne!(answer.track[10..18], clear()[10..18]);
        let track = encipher("tdk-terminal", ONE, DIGITS, &clear());
        let request = asked("tdk-terminal", "tdk-whole", DIGITS, track);
        let answer = translated(&client, request).await;
        assert!(
            !answer
                .track
                .windows(4)
                .any(|run| clear().windows(4).any(|part| part == run))
        );
    });
}

#[test]
fn translate_track_accepts_a_terminals_key_in_a_block() {
    world().run(async |world| {
        let client = world.client().await;
        let protection = "kbpk-tracks";
        let track = encipher("tdk-terminal", ONE, DIGITS, &clear());
        let request = TranslateTrackRequest {
            source_key: brought(protection, &block(protection, b"D0TDN", "tdk-terminal")),
            ..asked("", "tdk-whole-sm4", DIGITS, track)
        };
        let answer = translated(&client, request).await;
        let read = decipher("tdk-whole-sm4", WHOLE, DIGITS, &answer.track);
        assert_eq!(read, clear());
    });
}

#[test]
fn translate_track_refuses_lengths_that_are_not_the_layouts() {
    world().run(async |world| {
        let client = world.client().await;
        let ask = async |from: &str, to: &str, digits: u32, bytes: usize| {
            let request = asked(from, to, digits, vec![0x11; bytes]);
            client.translate_track(request).await
        };
        for digits in [1, 16, 105, u32::MAX] {
            let answer = ask("tdk-one", "tdk-whole", digits, 19).await;
            assert_refused(answer, Code::InvalidArgument, "TRACK_LENGTH", "digits");
        }
        // One block of SM4 and a byte behind it need 33 digits, coming and going.
        for (from, to) in [("tdk-one", "tdk-one-sm4"), ("tdk-one-sm4", "tdk-one")] {
            let answer = ask(from, to, 32, 16).await;
            assert_refused(answer, Code::InvalidArgument, "TRACK_LENGTH", "digits");
        }
        for (from, bytes) in [("tdk-one", 18), ("tdk-one", 24), ("tdk-whole", 19)] {
            let answer = ask(from, "tdk-one", DIGITS, bytes).await;
            assert_refused(answer, Code::InvalidArgument, "TRACK_LENGTH", "track");
        }
        let answer = ask("tdk-one", "tdk-one", DIGITS, 0).await;
        assert_refused(answer, Code::InvalidArgument, "MISSING_FIELD", "track");
        let answer = ask("tdk-one", "tdk-one", 0, 19).await;
        assert_refused(answer, Code::InvalidArgument, "MISSING_FIELD", "digits");
    });
}

#[test]
fn translate_track_refuses_keys_of_another_usage_mode_or_policy() {
    world().run(async |world| {
        let client = world.client().await;
        let track = encipher("tdk-one", ONE, DIGITS, &clear());
        let code = Code::FailedPrecondition;
        // A PIN key as a track key would decrypt PIN blocks; a data key would let the track out.
        for other in ["tpk-tdes", "data-ecb-sm4", "data-gcm-aes", "data-no-mode"] {
            let request = asked(other, "tdk-one", DIGITS, track.clone());
            let answer = client.translate_track(request).await;
            assert_refused(answer, code, "KEY_USAGE_REFUSED", "source_key");
        }
        for other in ["zpk-out-tdes-0", "data-partner", "tdk-terminal"] {
            let request = asked("tdk-one", other, DIGITS, track.clone());
            let answer = client.translate_track(request).await;
            assert_refused(answer, code, "KEY_USAGE_REFUSED", "destination_key");
        }
    });
}

#[test]
fn translate_track_refuses_every_wrong_fill_with_one_answer_and_looks_at_no_digit() {
    world().run(async |world| {
        let client = world.client().await;
        let cipher = blocks::cipher("tdk-whole");
        // 48 half bytes as one likes, under the terminal's key.
        let whole = Framing {
            layout: WHOLE,
            cipher: &cipher,
        };
        let mut answers = HashSet::new();
        for half in 0..48usize {
            let mut track =
                hex::decode("1234567890123456789D05082017819991683FFFFFFFFFFF").unwrap();
            track[half / 2] ^= if half % 2 == 0 { 0x80 } else { 0x08 };
            let track = track::encipher(whole, 48, &track).unwrap();
            let request = asked("tdk-whole", "tdk-one", DIGITS, track);
            let answer = client.translate_track(request).await;
            if half < 37 {
                answer.unwrap();
            } else {
                answers.insert(format!("{:?}", refused(answer)));
            }
        }
        assert_eq!(answers.len(), 1, "{answers:#?}");
        let all = |word| answers.iter().all(|answer: &String| answer.contains(word));
        assert!(all("TRACK_REJECTED"));
    });
}
