//! What the pool costs: the same calls through it and in a bare loop, in short windows by turns, so
//! that a busy neighbour takes from both; the embedded token and SoftHSM in one run. And whether
//! either falls off with 4,000 sessions open or 5,000 objects on the token.
//!
//! `cargo bench --bench pool -- [--output json] [--check] [--token SoftHSM] [--signatures] [--windows 15]
//! [--millis 300]`: `--signatures` measures these alone, and `--check` fails where a ratio is under its bar.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pintle::hsm::{Module, RsaHash, Sealed, Token, TokenConfig};
use pintle::limits;
use pintle::secret::Secret;
use serde_json::json;
use tokio::runtime::Runtime;

use bare::{Bare, Call};
use windows::{Options, median};

#[path = "pool/bare.rs"]
mod bare;
#[path = "pool/windows.rs"]
mod windows;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const LABEL: &str = "bench";
const RSA_KEY: [u8; 16] = [1; 16];
/// About as long as a record's header.
const AAD: [u8; 200] = [7; 200];
const IN_FLIGHT: usize = 64;
const SESSIONS: usize = 4_000;
const OBJECTS: u32 = 5_000;
const UNARY_CALLS: usize = 2_000;

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
    let options = Options::read(15, 300)?;
    let mut rows = Vec::new();
    for (name, module) in options.tokens(&folder)? {
        let bar = if name == "embedded" { 0.5 } else { 0.8 };
        rows.extend(measure(name, module, bar, &options)?);
    }
    print(&rows, options.json);
    Ok(!options.check || rows.iter().all(Row::is_held))
}

/// One line of the table: the pool against the bare loop.
struct Row {
    token: &'static str,
    what: String,
    unit: &'static str,
    bare: f64,
    pool: f64,
    ratio: f64,
    bar: Option<f64>,
}

impl Row {
    fn is_held(&self) -> bool {
        self.bar.is_none_or(|bar| self.ratio >= bar)
    }
}

struct Bench<'a> {
    name: &'static str,
    token: Token,
    bare: Bare,
    sealed: Sealed,
    runtime: Runtime,
    options: &'a Options,
}

fn measure(
    name: &'static str,
    module: Module,
    open_bar: f64,
    options: &Options,
) -> Result<Vec<Row>, AnyError> {
    let cores = thread::available_parallelism()?.get();
    let library = match &module {
        Module::Embedded { .. } => None,
        Module::Library(path) => Some(path.clone()),
    };
    let mut config = TokenConfig {
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
    token.generate_rsa(later(), RSA_KEY, 2048).wait()?;
    let clear = Secret::new(vec![9; 32]);
    let sealed = token.seal(later(), AAD.to_vec(), clear).wait()?;
    let mut bench = Bench {
        name,
        bare: Bare::of(library.as_deref(), LABEL)?,
        token,
        sealed,
        runtime: Runtime::new()?,
        options,
    };
    let mut rows = Vec::new();
    rows.push(bench.sign(cores, IN_FLIGHT, Some(0.95))?);
    // Few enough that each hand-over empties the queue.
    rows.push(bench.sign(cores, 4 * cores, None)?);
    if options.signatures {
        return Ok(rows);
    }
    // One worker is what is configured where nobody says otherwise: the same loop in one thread.
    rows.push(bench.open(1, 1, open_bar)?);
    rows.extend(bench.unary()?);
    rows.extend(bench.crowded(1, open_bar)?);
    if cores > 1 {
        config.symmetric_workers = cores;
        drop(bench.token);
        bench.token = Token::open(&config)?;
        // Here the callers have no core of their own.
        rows.push(bench.open(cores, cores, 0.0)?);
    }
    Ok(rows)
}

impl Bench<'_> {
    fn call(&self) -> Call<'_> {
        Call::Open {
            key: self.sealed.seal_key_id,
            iv: self.sealed.iv,
            aad: &AAD,
            bytes: &self.sealed.bytes,
        }
    }

    fn by_turns(
        &self,
        mut bare: impl FnMut() -> Result<f64, AnyError>,
        mut pool: impl FnMut() -> Result<f64, AnyError>,
    ) -> Result<[f64; 3], AnyError> {
        let mut rates = [Vec::new(), Vec::new(), Vec::new()];
        for window in 0..self.options.windows {
            // Either goes first as often: what the other leaves behind evens out.
            let (one, other) = if window % 2 == 0 {
                let one = bare()?;
                (one, pool()?)
            } else {
                let other = pool()?;
                (bare()?, other)
            };
            rates[0].push(one);
            rates[1].push(other);
            rates[2].push(other / one);
        }
        Ok(rates.map(median))
    }

    fn sign(&self, cores: usize, in_flight: usize, bar: Option<f64>) -> Result<Row, AnyError> {
        let call = Call::Sign {
            key: RSA_KEY,
            message: &AAD,
        };
        let [bare, pool, ratio] = self.by_turns(
            || self.bare.rate(call, cores, self.options.window),
            || self.rate(in_flight, sign_once),
        )?;
        Ok(Row {
            token: self.name,
            what: format!("RSA-2048 signatures, {in_flight} in flight, {cores} workers"),
            unit: "/s",
            bare,
            pool,
            ratio,
            bar,
        })
    }

    fn open(&self, threads: usize, workers: usize, bar: f64) -> Result<Row, AnyError> {
        let [bare, pool, ratio] = self.by_turns(
            || self.bare.rate(self.call(), threads, self.options.window),
            || self.rate(IN_FLIGHT, open_once),
        )?;
        Ok(Row {
            token: self.name,
            what: format!(
                "opened records, {IN_FLIGHT} in flight, {workers} workers; bare loop in {threads} threads"
            ),
            unit: "/s",
            bare,
            pool,
            ratio,
            bar: (bar > 0.0).then_some(bar),
        })
    }

    /// One call at a time: from a thread, and from a task as in the service.
    fn unary(&self) -> Result<Vec<Row>, AnyError> {
        let bare = micros(self.bare.times(self.call(), UNARY_CALLS)?);
        let mut times = Vec::new();
        for _ in 0..UNARY_CALLS {
            let begun = Instant::now();
            self.token
                .unseal(later(), AAD.to_vec(), self.sealed.clone())
                .wait()?;
            times.push(begun.elapsed());
        }
        let thread = micros(times);
        let (token, sealed) = (self.token.clone(), self.sealed.clone());
        let task = self.runtime.spawn(async move {
            let mut times = Vec::new();
            for _ in 0..UNARY_CALLS {
                let begun = Instant::now();
                let opened = token.unseal(later(), AAD.to_vec(), sealed.clone());
                opened.await?;
                times.push(begun.elapsed());
            }
            Ok::<_, pintle::hsm::Error>(times)
        });
        let task = micros(self.runtime.block_on(task)??);
        let row = |what: &str, pool: f64| Row {
            token: self.name,
            what: format!("one opened record, {what}"),
            unit: "µs",
            bare,
            pool,
            ratio: bare / pool,
            bar: None,
        };
        Ok(vec![row("from a thread", thread), row("from a task", task)])
    }

    /// What is left of both rates with very many sessions open, and with very many objects on the
    /// token: where the token itself gets slower the bare loop does too, and the pool no more than it.
    fn crowded(&self, threads: usize, bar: f64) -> Result<Vec<Row>, AnyError> {
        let before = self.open(threads, 1, bar)?;
        let mut sessions = Vec::with_capacity(SESSIONS);
        for _ in 0..SESSIONS {
            sessions.push(self.bare.session()?);
        }
        let during = self.open(threads, 1, bar)?;
        for session in sessions {
            self.bare.close(session)?;
        }
        let between = self.open(threads, 1, bar)?;
        let session = self.bare.session()?;
        for number in 0..OBJECTS {
            self.bare.make_object(session, number)?;
        }
        self.bare.close(session)?;
        let after = self.open(threads, 1, bar)?;
        let kept = |what: String, before: &Row, after: &Row| Row {
            token: self.name,
            what,
            unit: "%",
            bare: 100.0 * after.bare / before.bare,
            pool: 100.0 * after.pool / before.pool,
            ratio: after.ratio / before.ratio,
            bar: Some(KEPT_BAR),
        };
        let sessions = format!("kept of the rate with {SESSIONS} sessions open");
        let objects = format!("kept of the rate with {OBJECTS} more objects");
        Ok(vec![
            kept(sessions, &before, &during),
            kept(objects, &between, &after),
        ])
    }

    /// Calls through the pool by `tasks` tasks, each waiting for its answer, in one window.
    fn rate<F>(&self, tasks: usize, once: fn(Token, Sealed) -> F) -> Result<f64, AnyError>
    where
        F: Future<Output = Result<(), pintle::hsm::Error>> + Send + 'static,
    {
        let (stop, count) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let begun = Instant::now();
        let tasks: Vec<_> = (0..tasks)
            .map(|_| {
                let (token, sealed) = (self.token.clone(), self.sealed.clone());
                let (stop, count) = (Arc::clone(&stop), Arc::clone(&count));
                self.runtime.spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        once(token.clone(), sealed.clone()).await?;
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok::<_, pintle::hsm::Error>(())
                })
            })
            .collect();
        thread::sleep(self.options.window);
        stop.store(true, Ordering::Relaxed);
        for task in tasks {
            self.runtime.block_on(task)??;
        }
        Ok(count.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64())
    }
}

async fn open_once(token: Token, sealed: Sealed) -> Result<(), pintle::hsm::Error> {
    token.unseal(later(), AAD.to_vec(), sealed).await?;
    Ok(())
}

async fn sign_once(token: Token, _: Sealed) -> Result<(), pintle::hsm::Error> {
    let signed = token.sign_rsa(later(), RSA_KEY, RsaHash::Sha256, AAD.to_vec());
    signed.await?;
    Ok(())
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn micros(times: Vec<Duration>) -> f64 {
    median(times.iter().map(|time| time.as_secs_f64() * 1e6).collect())
}

fn print(rows: &[Row], as_json: bool) {
    if as_json {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                json!({
                    "token": row.token, "what": row.what, "unit": row.unit,
                    "bare": row.bare, "pool": row.pool, "ratio": row.ratio,
                    "bar": row.bar, "held": row.is_held(),
                })
            })
            .collect();
        println!("{}", json!(rows));
        return;
    }
    for row in rows {
        let bar = row.bar.map_or_else(String::new, |bar| {
            let word = if row.is_held() { "held" } else { "MISSED" };
            format!("≥ {bar:.2} {word}")
        });
        let Row {
            token,
            what,
            unit,
            bare,
            pool,
            ratio,
            ..
        } = row;
        println!("{token:9} {what:75} {bare:>9.0} {pool:>9.0} {unit:3} {ratio:5.2} {bar}");
    }
}

/// The pool keeps nearly as much of its rate as the bare loop of its own.
const KEPT_BAR: f64 = 0.8;
