//! What a gateway of ten thousand merchants gets: requests signed and signatures checked as the service
//! does it (keys found in the catalogue, granted, used, every signature verified before it leaves),
//! against the token's own rate in a bare loop. Windows by turns, in one run: a busy neighbour takes
//! from all.
//!
//! `cargo bench --bench alipay -- [--output json] [--check] [--token SoftHSM] [--windows 9] [--millis 400]`
//! `--check` fails where a ratio is under its bar.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use pintle::hsm::{Module, Token, TokenConfig};
use pintle::keys::attributes::Environment;
use pintle::keys::catalogue::{Catalogue, CatalogueOptions};
use pintle::keys::import;
use pintle::keys::key_ref::{KeyName, KeyRef, NamedKey};
use pintle::keys::policy::CallerScope;
use pintle::ops::context::{Call, Context};
use pintle::ops::fill::Fill;
use pintle::ops::pin_engine::HostPinEngine;
use pintle::ops::pin_verification::Issuer;
use pintle::ops::{alipay, signing};
use pintle::secret::Secret;
use pintle::{config, limits};
use pkcs8::{LineEnding, SecretDocument};
use serde_json::json;
use tokio::runtime::Runtime;

use bare::Bare;
use rsa_variants::variants;
use windows::{Options, median};
use zipf::Zipf;

#[path = "pool/bare.rs"]
#[expect(dead_code, reason = "the pool's bench calls the rest of it")]
mod bare;
#[path = "../tests/support/rsa_variants.rs"]
mod rsa_variants;
#[path = "pool/windows.rs"]
mod windows;
#[path = "../tests/support/zipf.rs"]
mod zipf;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const LABEL: &str = "bench";
/// The bare loop's key, which is no record of the catalogue.
const BARE_KEY: [u8; 16] = [1; 16];
/// App ids of a large gateway.
const MERCHANTS: usize = 10_000;
/// Of one import file.
const CHUNK: usize = 1_000;
/// About as long as a request's string-to-sign.
const MESSAGE: [u8; 300] = [b'm'; 300];
const TEST_SM2: &str = include_str!("../src/bin/pintle/demo/test_alipay_sm2.pem");
/// Requests under way at once, for each core.
const TASKS: usize = 4;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the bench could not be run: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, AnyError> {
    let folder = match windows::folder()? {
        Ok(folder) => folder,
        Err(went_well) => return Ok(went_well),
    };
    let options = Options::read(9, 400)?;
    let mut rows = Vec::new();
    for (name, module) in options.tokens(&folder)? {
        rows.extend(measure(name, module, &folder, &options)?);
    }
    print(&rows, options.json);
    Ok(!options.check || rows.iter().all(Row::is_held))
}

/// One line of the table: a rate, and what part of another it is.
struct Row {
    token: &'static str,
    what: &'static str,
    rate: f64,
    /// Of which row, what part, and the least that it must be.
    part: Option<(&'static str, f64, Option<f64>)>,
}

impl Row {
    fn is_held(&self) -> bool {
        self.part
            .is_none_or(|(_, ratio, bar)| bar.is_none_or(|bar| ratio >= bar))
    }
}

fn measure(
    name: &'static str,
    module: Module,
    folder: &Path,
    options: &Options,
) -> Result<Vec<Row>, AnyError> {
    let library = match &module {
        Module::Embedded { .. } => None,
        Module::Library(path) => Some(path.clone()),
    };
    let cores = thread::available_parallelism()?.get();
    let config = TokenConfig {
        module,
        label: LABEL.to_owned(),
        pin: Arc::new(Secret::new("bench-user-pin".to_owned())),
        symmetric_workers: 1,
        asymmetric_workers: cores,
        call_timeout: limits::TOKEN_CALL_TIMEOUT,
        profile: None,
    };
    Token::initialize(&config, Some(&Secret::new("bench-so-pin".to_owned())))?;
    let token = Token::open(&config)?;
    token.generate_rsa(later(), BARE_KEY, 2048).wait()?;
    let bare = Bare::of(library.as_deref(), LABEL)?;
    let runtime = Runtime::new()?;
    let context = runtime.block_on(context(folder, name, token))?;
    let gateway = Arc::new(Gateway {
        context,
        scope: Arc::new(CallerScope::new("default", ["*"])?),
        names: names(),
    });
    let signed = runtime.block_on(gateway.signatures())?;
    let bench = Bench {
        name,
        bare,
        runtime,
        gateway,
        signed,
        cores,
        options,
    };
    bench.rows()
}

fn names() -> Vec<String> {
    (0..MERCHANTS).map(|n| format!("merchant-{n:05}")).collect()
}

/// A store of ten thousand merchants' wrapped keys, one resident key and one of SM2.
async fn context(folder: &Path, name: &str, token: Token) -> Result<Context, AnyError> {
    let folder = folder.join(format!("{name}-store"));
    std::fs::create_dir(&folder)?;
    let store = pintle::store::Store::open(&folder.join("store.sqlite"))?;
    let catalogue = Catalogue::open(store, token, CatalogueOptions::new(Environment::Test))?;
    catalogue.spawn_poll();
    let key = KeyPair::generate(KeySize::Rsa2048)?;
    let pkcs8 = AsDer::<Pkcs8V1Der<'static>>::as_der(&key)?;
    pem(&folder.join("hot.pem"), pkcs8.as_ref())?;
    std::fs::write(folder.join("sm2.pem"), TEST_SM2)?;
    let others = [
        entry("hot", "RSA-2048", "RSA2", "TOKEN", "hot.pem"),
        entry("sm2", "SM2", "SM2", "PROCESS", "sm2.pem"),
    ];
    import_all(&catalogue, &folder, &others).await?;
    let merchants: Vec<_> = names().into_iter().zip(variants(pkcs8.as_ref())).collect();
    for chunk in merchants.chunks(CHUNK) {
        let mut entries = Vec::with_capacity(chunk.len());
        for (name, pkcs8) in chunk {
            let file = format!("{name}.pem");
            pem(&folder.join(&file), pkcs8)?;
            entries.push(entry(name, "RSA-2048", "RSA2", "TOKEN_WRAPPED", &file));
        }
        import_all(&catalogue, &folder, &entries).await?;
    }
    let fill = Fill::new(catalogue.fleet(), later()).await?;
    let engine = HostPinEngine::new(config::server::Environment::Test, None, fill.clone())?;
    Ok(Context {
        catalogue,
        pin_engine: Arc::new(engine),
        issuer: Issuer::default(),
        fill,
    })
}

fn pem(path: &Path, pkcs8: &[u8]) -> Result<(), AnyError> {
    let document = SecretDocument::try_from(pkcs8)?;
    document.write_pem_file(path, "PRIVATE KEY", LineEnding::LF)?;
    Ok(())
}

fn entry(name: &str, algorithm: &str, scheme: &str, residence: &str, file: &str) -> String {
    format!(
        "[[key]]\nname = \"{name}\"\nusage = \"signature\"\nmode = \"sign\"\nalgorithm = \"{algorithm}\"\n\
         residence = \"{residence}\"\npkcs8 = \"{file}\"\n[key.signature]\nscheme = \"{scheme}\"\n"
    )
}

async fn import_all(
    catalogue: &Catalogue,
    folder: &Path,
    entries: &[String],
) -> Result<(), AnyError> {
    let file = folder.join("keys.toml");
    let text = format!("environment = \"test\"\n{}", entries.concat());
    std::fs::write(&file, text)?;
    import::import_file(catalogue, &file, &KeyName::parse("default")?).await?;
    Ok(())
}

/// Whoever calls: all that one call of the service does, but for the wire and the audit record.
struct Gateway {
    context: Context,
    scope: Arc<CallerScope>,
    names: Vec<String>,
}

impl Gateway {
    fn call(&self) -> Call {
        Call::new(Arc::from("bench"), Arc::clone(&self.scope), later())
    }

    async fn sign(&self, name: &str, sign_type: &str) -> Result<alipay::Signed, AnyError> {
        let parameters = [
            ("app_id", "2021000000000001"),
            ("method", "alipay.trade.pay"),
            ("charset", "utf-8"),
            ("sign_type", sign_type),
            ("timestamp", "2026-11-26 09:00:00"),
            ("version", "1.0"),
            (
                "biz_content",
                r#"{"out_trade_no":"1","total_amount":"600.00","extend_params":{"hb_fq_num":"3"}}"#,
            ),
        ];
        let key = reference(name)?;
        Ok(alipay::sign_request(&self.context, &self.call(), &key, parameters).await?)
    }

    async fn verify(&self, name: &str, signed: &alipay::Signed) -> Result<(), AnyError> {
        let (message, signature) = (&signed.string_to_sign, &signed.signature);
        let call = self.call();
        let (key, own) = (reference(name)?, signing::Encoding::Own);
        let verified = signing::verify(&self.context, &call, &key, message, signature, own).await?;
        if verified.valid {
            Ok(())
        } else {
            Err("a signature was not right".into())
        }
    }

    async fn signatures(&self) -> Result<Signatures, AnyError> {
        Ok(Signatures {
            rsa: self.sign("hot", "RSA2").await?,
            sm2: self.sign("sm2", "SM2").await?,
        })
    }

    async fn once(&self, what: What, signed: &Signatures, zipf: &mut Zipf) -> Result<(), AnyError> {
        match what {
            What::Hot => self.sign("hot", "RSA2").await.map(drop),
            What::Merchants => {
                let name = &self.names[zipf.draw()];
                self.sign(name, "RSA2").await.map(drop)
            }
            What::Sm2 => self.sign("sm2", "SM2").await.map(drop),
            What::VerifyRsa => self.verify("hot", &signed.rsa).await,
            What::VerifySm2 => self.verify("sm2", &signed.sm2).await,
        }
    }
}

struct Signatures {
    rsa: alipay::Signed,
    sm2: alipay::Signed,
}

#[derive(Clone, Copy)]
enum What {
    Hot,
    Merchants,
    Sm2,
    VerifyRsa,
    VerifySm2,
}

struct Bench<'a> {
    name: &'static str,
    bare: Bare,
    runtime: Runtime,
    gateway: Arc<Gateway>,
    signed: Signatures,
    cores: usize,
    options: &'a Options,
}

impl Bench<'_> {
    fn rows(self) -> Result<Vec<Row>, AnyError> {
        let signed = Arc::new(self.signed);
        let call = bare::Call::Sign {
            key: BARE_KEY,
            message: &MESSAGE,
        };
        let rate = |what, window| rate(&self.runtime, &self.gateway, &signed, what, window);
        // As many of the merchants' keys as fit are open before anything is measured.
        rate(What::Merchants, Duration::from_secs(5))?;
        let (mut bare, mut by_token, mut by_hot) = (Vec::new(), Vec::new(), Vec::new());
        let mut rates: [Vec<f64>; 5] = Default::default();
        let window = self.options.window;
        for _ in 0..self.options.windows {
            let token = self.bare.rate(call, self.cores, window)?;
            let of = WHATS.map(|what| rate(what, window));
            for (rates, rate) in rates.iter_mut().zip(of) {
                rates.push(rate?);
            }
            let last = |n: usize| rates[n].last().copied().unwrap_or_default();
            bare.push(token);
            by_token.push(last(0) / token);
            by_hot.push(last(1) / last(0));
        }
        let [hot, merchants, sm2, verify_rsa, verify_sm2] = rates.map(median);
        let row = |what, rate, part| Row {
            token: self.name,
            what,
            rate,
            part,
        };
        let by_token = ("of the token's own", median(by_token), None);
        let by_hot = ("of one key's", median(by_hot), Some(ZIPF_BAR));
        Ok(vec![
            row(
                "RSA-2048 signatures of the token, bare loop",
                median(bare),
                None,
            ),
            row("SignRequest RSA2, one key", hot, Some(by_token)),
            row(
                "SignRequest RSA2, 10,000 merchants by Zipf",
                merchants,
                Some(by_hot),
            ),
            row("SignRequest SM2", sm2, None),
            row("Verify RSA2", verify_rsa, None),
            row("Verify SM2", verify_sm2, None),
        ])
    }
}

const WHATS: [What; 5] = [
    What::Hot,
    What::Merchants,
    What::Sm2,
    What::VerifyRsa,
    What::VerifySm2,
];

/// Calls by some tasks, each waiting for its answer, in one window.
fn rate(
    runtime: &Runtime,
    gateway: &Arc<Gateway>,
    signed: &Arc<Signatures>,
    what: What,
    window: Duration,
) -> Result<f64, AnyError> {
    let (stop, count) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let begun = Instant::now();
    let cores = thread::available_parallelism()?.get();
    let tasks: Vec<_> = (1..)
        .take(TASKS * cores)
        .map(|seed| {
            let (gateway, signed) = (Arc::clone(gateway), Arc::clone(signed));
            let (stop, count) = (Arc::clone(&stop), Arc::clone(&count));
            runtime.spawn(async move {
                let mut zipf = Zipf::over(MERCHANTS, seed);
                while !stop.load(Ordering::Relaxed) {
                    let done = gateway.once(what, &signed, &mut zipf).await;
                    done.map_err(|error| error.to_string())?;
                    count.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
                Ok::<_, String>(())
            })
        })
        .collect();
    thread::sleep(window);
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        runtime.block_on(task)??;
    }
    Ok(count.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64())
}

fn reference(name: &str) -> Result<KeyRef, AnyError> {
    Ok(KeyRef::Named(NamedKey::parse(name, 0)?))
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn print(rows: &[Row], as_json: bool) {
    if as_json {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                json!({
                    "token": row.token, "what": row.what, "per_second": row.rate,
                    "ratio": row.part.map(|(_, ratio, _)| ratio),
                    "bar": row.part.and_then(|(.., bar)| bar), "held": row.is_held(),
                })
            })
            .collect();
        println!("{}", json!(rows));
        return;
    }
    for row in rows {
        let part = row.part.map_or_else(String::new, |(of, ratio, bar)| {
            let bar = bar.map_or_else(String::new, |bar| {
                let word = if row.is_held() { "held" } else { "MISSED" };
                format!(", ≥ {bar:.2} {word}")
            });
            format!("{ratio:.2} {of}{bar}")
        });
        println!(
            "{:9} {:45} {:>9.0} /s  {part}",
            row.token, row.what, row.rate
        );
    }
}

/// Ten thousand keys sign at nearly the rate of one.
const ZIPF_BAR: f64 = 0.7;
