//! An open-loop load: each call is sent at its scheduled moment, whatever became of those before it.
//! One call in four opens a sealed key that is not open (more keys than the locked memory holds, in
//! turn), one in sixteen is an RSA signature in the token, one in sixteen takes random bytes from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pintle::client::{Client, Error};
use pintle::service::pb::v1::{
    GenerateMacRequest, GenerateRandomRequest, KeyRef, PinBlockFormat, SignRequestRequest,
    TranslatePinRequest,
};
use tonic::Code;

/// Calls a second.
pub const RATE: u32 = 500;
/// Keys that are opened in turn.
pub const COLD_KEYS: usize = 400;
/// ISO format 0 of PIN 1234 and [`PAN`] under the key of `site`, by psec.
const PIN_BLOCK: [u8; 8] = [0xd5, 0x2b, 0x10, 0xbd, 0x6d, 0x58, 0xa3, 0x7d];
const PAN: &str = "4929123456789012";

/// What a call needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A key that is open: no token.
    Hot,
    /// A record opened by the token.
    Cold,
    /// A signature in the token.
    Sign,
    /// The token's generator.
    Random,
}

impl Kind {
    /// Of the call of this number.
    fn of(number: u32) -> Self {
        match number % 16 {
            0 => Self::Sign,
            1 => Self::Random,
            2 | 6 | 10 | 14 => Self::Cold,
            _ => Self::Hot,
        }
    }

    /// Whether it can't be answered without the token.
    pub fn needs_token(self) -> bool {
        self != Self::Hot
    }
}

/// One call's end.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub kind: Kind,
    /// When it was to be sent.
    pub scheduled: Instant,
    /// From then to its answer.
    pub took: Duration,
    /// The code and the reason of a refusal.
    pub refused: Option<(Code, String)>,
}

/// A load under way, on a thread of its own.
pub struct Load {
    stop: Arc<AtomicBool>,
    driver: std::thread::JoinHandle<Vec<Outcome>>,
}

impl Load {
    /// Starts it.
    pub fn start(client: &Client) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (client, stopped) = (client.clone().with_tries(1), Arc::clone(&stop));
        let driver = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().unwrap();
            tokio::task::LocalSet::new().block_on(&runtime, drive(client, stopped))
        });
        Self { stop, driver }
    }

    /// Ends it when every call is answered, and tells what became of each.
    pub async fn stop(self) -> Vec<Outcome> {
        self.stop.store(true, Ordering::Relaxed);
        let joined = tokio::task::spawn_blocking(|| self.driver.join().unwrap());
        joined.await.unwrap()
    }
}

async fn drive(client: Client, stop: Arc<AtomicBool>) -> Vec<Outcome> {
    let start = Instant::now();
    let mut under_way = tokio::task::JoinSet::new();
    let mut outcomes = Vec::new();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let scheduled = start + Duration::from_secs(1) * number / RATE;
        tokio::time::sleep_until(scheduled.into()).await;
        let client = client.clone();
        under_way.spawn_local(async move {
            let kind = Kind::of(number);
            let refused = match ask(&client, kind, number).await {
                Ok(()) => None,
                Err(Error::Refused(refused)) => Some((refused.code, refused.reason)),
                Err(error) => panic!("{error}"),
            };
            let took = scheduled.elapsed();
            Outcome {
                kind,
                scheduled,
                took,
                refused,
            }
        });
        number += 1;
        while let Some(ended) = under_way.try_join_next() {
            outcomes.push(ended.unwrap());
        }
    }
    while let Some(ended) = under_way.join_next().await {
        outcomes.push(ended.unwrap());
    }
    outcomes
}

/// One call of a kind.
pub async fn ask(client: &Client, kind: Kind, number: u32) -> Result<(), Error> {
    match kind {
        Kind::Hot if number.is_multiple_of(2) => client.translate_pin(translate()).await.map(drop),
        Kind::Hot => client
            .generate_mac(mac("mac-hot".to_owned()))
            .await
            .map(drop),
        Kind::Cold => {
            let turn = number as usize / 4 % COLD_KEYS;
            client.generate_mac(mac(cold(turn))).await.map(drop)
        }
        Kind::Sign => {
            // One key that stays in the token, one that is unwrapped there.
            let name = ["app-rsa2", "app-wrapped"][number as usize / 16 % 2];
            client.sign_request(sign(name)).await.map(drop)
        }
        Kind::Random => {
            let random = GenerateRandomRequest { length: 16 };
            client.generate_random(random).await.map(drop)
        }
    }
}

/// The name of a key that is opened in its turn.
pub fn cold(turn: usize) -> String {
    format!("mac-cold-{turn:03}")
}

fn key(name: String) -> Option<KeyRef> {
    Some(KeyRef {
        name,
        ..KeyRef::default()
    })
}

fn mac(name: String) -> GenerateMacRequest {
    GenerateMacRequest {
        key: key(name),
        message: b"0200 and what follows".to_vec(),
    }
}

fn translate() -> TranslatePinRequest {
    TranslatePinRequest {
        source_key: key("tpk".to_owned()),
        destination_key: key("zpk".to_owned()),
        source_format: PinBlockFormat::Iso0.into(),
        pan: PAN.to_owned(),
        pin_block: PIN_BLOCK.to_vec(),
    }
}

fn sign(name: &str) -> SignRequestRequest {
    let parameters = [
        ("app_id", "2021000000000001"),
        ("method", "alipay.trade.query"),
        ("charset", "utf-8"),
        ("sign_type", "RSA2"),
        ("timestamp", "2026-11-26 09:00:00"),
        ("version", "1.0"),
        ("biz_content", r#"{"out_trade_no":"1"}"#),
    ];
    let text = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    SignRequestRequest {
        key: key(name.to_owned()),
        parameters: parameters.map(text).into(),
        return_string_to_sign: false,
    }
}

/// The share of refused calls among those of some kinds.
pub fn refused_share(outcomes: &[Outcome]) -> f64 {
    let refused = outcomes.iter().filter(|outcome| outcome.refused.is_some());
    #[expect(clippy::cast_precision_loss, reason = "some thousand calls")]
    let share = refused.count() as f64 / outcomes.len().max(1) as f64;
    share
}

/// The given quantile of some times.
pub fn quantile(mut times: Vec<Duration>, of_1000: usize) -> Duration {
    times.sort_unstable();
    let at = times.len() * of_1000 / 1000;
    times
        .get(at.min(times.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}
