//! `pintle bench`: what this machine does with a catalogue of many keys. Figures are of this
//! process alone, in process: no network, no audit.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pintle::config::server::Environment;
use pintle::domain::pin_block::Format;
use pintle::hsm::{self, Module, Token, TokenConfig};
use pintle::keys::catalogue::Catalogue;
use pintle::keys::key_ref::{KeyName, KeyRef, NamedKey};
use pintle::keys::policy::CallerScope;
use pintle::keys::template::Template;
use pintle::keys::{import, provision};
use pintle::limits;
use pintle::ops::context::{Call, Context};
use pintle::ops::fill::Fill;
use pintle::ops::pin::{self, TranslatePin};
use pintle::ops::pin_engine::HostPinEngine;
use pintle::ops::pin_verification::Issuer;
use pintle::secret::{Secret, slab};
use serde_json::json;

use crate::cli::{Bench, BenchCommand};
use crate::dev::Folder;
use crate::exit::{Failure, Kind, Outcome};
use crate::output::{Output, print};
use crate::{catalogue, progress, settings};

/// Measures.
pub fn run(arguments: &Bench, output: Output) -> Outcome {
    settings::log(false, "error");
    let BenchCommand::Catalogue {
        records,
        folder,
        library,
        seconds,
    } = &arguments.command;
    let folder = Folder::new(folder.as_deref())?;
    let token = open_or_make_token(&folder.path, library.as_deref())?;
    let store = folder.path.join("store.sqlite");
    let runtime = settings::runtime()?;
    let built = runtime.block_on(build(&folder.path, &store, &token, *records))?;
    let before = resident_kib();
    let begun = Instant::now();
    let opened = catalogue::open(&store, &token, Environment::Test, true)?;
    let start = begun.elapsed();
    let stats = opened.stats();
    let mut rows = vec![
        Row::new("keys", stats.records as f64, ""),
        Row::new("made", built, "keys/s"),
        Row::new("start, root checked", start.as_secs_f64(), "s"),
        Row::new(
            "index",
            stats.index_bytes as f64 / stats.records.max(1) as f64,
            "bytes/key",
        ),
        Row::new("resident before the start", before as f64 / 1024.0, "MiB"),
        Row::new("resident after it", resident_kib() as f64 / 1024.0, "MiB"),
        Row::new("keys that fit the locked slab", slab_keys() as f64, ""),
    ];
    let measure = Measure {
        opened,
        records: *records,
        time: Duration::from_secs(*seconds),
    };
    rows.extend(runtime.block_on(measure.all())?);
    rows.push(Row::new(
        "resident at the end",
        resident_kib() as f64 / 1024.0,
        "MiB",
    ));
    let documents: Vec<_> = rows
        .iter()
        .map(|row| json!({ "what": row.what, "value": row.value, "unit": row.unit }))
        .collect();
    let table = rows
        .iter()
        .map(|row| vec![row.what.clone(), figure(row.value), row.unit.to_owned()])
        .collect();
    print(output, &documents, &["measured", "value", "unit"], table);
    Ok(())
}

/// How often something was done.
struct Rate {
    done: u64,
    took: Duration,
    /// Of this thread alone: what neighbours on the machine do not change.
    cpu: Duration,
    loads: u64,
}

impl Rate {
    fn end(&mut self, done: u64, took: Duration, opened: &Catalogue) {
        self.done = done;
        self.took = took;
        self.cpu = cpu().saturating_sub(self.cpu);
        self.loads = opened.stats().loads - self.loads;
    }

    fn rows(&self, what: &str) -> [Row; 3] {
        let done = self.done.max(1) as f64;
        [
            Row::new(what, done / self.took.as_secs_f64(), "/s"),
            Row::new("  caller's CPU", self.cpu.as_secs_f64() * 1e6 / done, "µs"),
            Row::new("  cold", 100.0 * self.loads as f64 / done, "%"),
        ]
    }
}

struct Row {
    what: String,
    value: f64,
    unit: &'static str,
}

impl Row {
    fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            what: what.into(),
            value,
            unit,
        }
    }
}

/// Makes what the store lacks of `records` keys; answers keys made per second.
async fn build(folder: &Path, store: &Path, token: &Token, records: u64) -> Result<f64, Failure> {
    let opened = catalogue::open(store, token, Environment::Test, true)?;
    let tenant = catalogue::default_tenant()?;
    let there = opened.stats().records;
    if there == 0 {
        let file = folder.join("bench-keys.toml");
        std::fs::write(&file, SOURCE_KEY)?;
        import::import_file(&opened, &file, &tenant)
            .await
            .map_err(catalogue::failure)?;
    }
    let template = Template::parse(Path::new("bench"), TEMPLATE).map_err(catalogue::failure)?;
    let spec = template
        .keys()
        .first()
        .ok_or_else(|| Failure::new(Kind::Other, "the bench's own template is empty"))?;
    // One of the records is the source key.
    let first = there.max(1) - 1;
    let bar = progress::bar("making keys", records.saturating_sub(1));
    bar.set_position(first);
    let specs = (first..records.saturating_sub(1)).filter_map(|number| {
        let name = KeyName::parse(&name(number)).ok()?;
        Some(pintle::keys::spec::KeySpec {
            name,
            ..spec.clone()
        })
    });
    let begun = Instant::now();
    provision::make_many(&opened, &tenant, specs, |made| bar.inc(made as u64))
        .await
        .map_err(catalogue::failure)?;
    bar.finish_and_clear();
    let made = records.saturating_sub(1).saturating_sub(first);
    Ok(made as f64 / begun.elapsed().as_secs_f64())
}

struct Measure {
    opened: Catalogue,
    records: u64,
    time: Duration,
}

impl Measure {
    async fn all(&self) -> Result<Vec<Row>, Failure> {
        self.opened.spawn_poll();
        let deadline = Instant::now() + limits::COMMAND_TOKEN_WAIT;
        let fill = Fill::new(self.opened.fleet(), deadline)
            .await
            .map_err(settings::token_failure)?;
        let engine = HostPinEngine::new(Environment::Test, None, fill.clone())
            .map_err(|error| Failure::new(Kind::Other, error))?;
        let context = Context {
            catalogue: self.opened.clone(),
            pin_engine: Arc::new(engine),
            issuer: Issuer::default(),
            fill,
        };
        let scope = CallerScope::new("default", ["*"]);
        let scope = Arc::new(scope.map_err(|error| Failure::new(Kind::Other, error))?);
        let keys = self.records.saturating_sub(1).max(1);
        let small = keys.min(HOT_KEYS);
        let large = keys.min(slab_keys() as u64 * 4);
        let mut rows = Vec::new();
        // Cold first: a step that meets every key before it meets one again.
        let sets = [("cold", keys), ("small set", small), ("large set", large)];
        for (set, of) in sets {
            let rate = self.resolve(&scope, of, set == "cold").await?;
            rows.extend(rate.rows(&format!("find a key, {set} of {of}")));
        }
        for (set, of) in [("small set", small), ("large set", large)] {
            let rate = self.translate(&context, &scope, of).await?;
            rows.extend(rate.rows(&format!("TranslatePin, {set} of {of}")));
        }
        Ok(rows)
    }

    /// A rate that begins now.
    fn rate(&self) -> Rate {
        Rate {
            done: 0,
            took: Duration::ZERO,
            cpu: cpu(),
            loads: self.opened.stats().loads,
        }
    }

    async fn resolve(&self, scope: &CallerScope, of: u64, once: bool) -> Result<Rate, Failure> {
        let refs: Vec<NamedKey> = self.names(of).collect::<Result<_, _>>()?;
        if !once {
            self.warm(scope, &refs).await?;
        }
        let (mut done, mut rate, begun) = (0, self.rate(), Instant::now());
        for key in refs.iter().cycle() {
            if begun.elapsed() > self.time || (once && done == of) {
                break;
            }
            self.find(scope, key).await?;
            done += 1;
        }
        rate.end(done, begun.elapsed(), &self.opened);
        Ok(rate)
    }

    async fn translate(
        &self,
        context: &Context,
        scope: &Arc<CallerScope>,
        of: u64,
    ) -> Result<Rate, Failure> {
        let refs: Vec<NamedKey> = self.names(of).collect::<Result<_, _>>()?;
        self.warm(scope, &refs).await?;
        let source = key_ref("source")?;
        let (mut done, mut rate, begun) = (0, self.rate(), Instant::now());
        for key in refs.iter().cycle() {
            if begun.elapsed() > self.time {
                break;
            }
            let call = Call::new(
                Arc::from("bench"),
                Arc::clone(scope),
                Instant::now() + limits::DEADLINE_MAX,
            );
            let asked = TranslatePin {
                source_key: KeyRef::Named(source.clone()),
                destination_key: KeyRef::Named(key.clone()),
                source_format: Format::Iso0,
                pan: Secret::new(PAN.to_owned()),
                pin_block: Secret::new(BLOCK.to_vec()),
            };
            pin::translate(context, &call, asked)
                .await
                .map_err(|error| Failure::new(Kind::Other, error))?;
            done += 1;
        }
        rate.end(done, begun.elapsed(), &self.opened);
        Ok(rate)
    }

    /// Names in an order that neither the store nor the index has.
    fn names(&self, of: u64) -> impl Iterator<Item = Result<NamedKey, Failure>> {
        let step = STEP % of.max(1);
        let step = if gcd(step, of) == 1 { step } else { 1 };
        (0..of).map(move |number| key_ref(&name(number * step % of)))
    }

    async fn warm(&self, scope: &CallerScope, refs: &[NamedKey]) -> Outcome {
        let begun = Instant::now();
        for key in refs {
            if begun.elapsed() > self.time {
                break;
            }
            self.find(scope, key).await?;
        }
        Ok(())
    }

    async fn find(&self, scope: &CallerScope, key: &NamedKey) -> Outcome {
        let deadline = Instant::now() + limits::DEADLINE_MAX;
        let found = self.opened.resolve(scope, key, deadline).await;
        found.map(drop).map_err(catalogue::failure)
    }
}

fn open_or_make_token(folder: &Path, library: Option<&Path>) -> Result<Token, Failure> {
    let config = TokenConfig {
        module: match library {
            Some(library) => Module::Library(library.to_owned()),
            None => Module::Embedded {
                dir: folder.join("token"),
            },
        },
        label: "pintle-bench".to_owned(),
        pin: Arc::new(Secret::new("bench-user-pin".to_owned())),
        symmetric_workers: 1,
        asymmetric_workers: 1,
        call_timeout: limits::TOKEN_CALL_TIMEOUT,
        profile: None,
    };
    match Token::open(&config) {
        Err(hsm::Error::TokenMissing { .. }) => {
            let so_pin = Secret::new("bench-so-pin".to_owned());
            let so_pin = library.map(|_| &so_pin);
            Token::initialize(&config, so_pin).map_err(settings::token_failure)?;
            settings::open_token(&config)
        }
        opened => opened.map_err(settings::token_failure),
    }
}

fn key_ref(name: &str) -> Result<NamedKey, Failure> {
    NamedKey::parse(name, 0).map_err(|error| Failure::new(Kind::Other, error))
}

fn name(number: u64) -> String {
    format!("k{number:07}")
}

fn figure(value: f64) -> String {
    if value.fract() == 0.0 || value >= 1000.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.3}")
    }
}

/// AES-128 keys of the bench that the locked slab holds, as the cache would have them.
fn slab_keys() -> usize {
    slab().room_for::<[u8; 512]>().min(limits::OPEN_KEYS_MAX)
}

/// This process's resident memory, KiB; 0 where the system does not say.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Time this thread was on a processor; zero where the system does not say.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split_whitespace().next();
    Duration::from_nanos(nanos.and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The small hot set.
const HOT_KEYS: u64 = 1000;
/// A prime, so that steps of it meet every key.
const STEP: u64 = 7_368_787;
const PAN: &str = "4111111111111111";
/// 1234 for this PAN under the source key, format 0.
const BLOCK: [u8; 8] = [0x2A, 0x3D, 0x40, 0x8A, 0x19, 0x77, 0xDD, 0xE9];
const SOURCE_KEY: &str = r#"
environment = "test"
[[key]]
name = "source"
usage = "pin_encryption"
mode = "decrypt"
side = "terminal"
algorithm = "TDES-2"
pin = { inputs = ["ISO_0"] }
value = "0123456789ABCDEFFEDCBA9876543210"
"#;
const TEMPLATE: &str = r#"
[[key]]
name = "k"
usage = "pin_encryption"
mode = "encrypt"
side = "zone"
algorithm = "AES-128"
pin = { output = "ISO_4" }
"#;
