//! Opening a sealed record and signing with RSA through the pool, on the embedded token and on SoftHSM: one at a time
//! (with its thread round trips) and with 64 in flight. Both tokens in one run; SoftHSM reads its
//! configuration once, so the bench starts itself again with one of its own.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pintle::hsm::{Module, RsaHash, Token, TokenConfig, Wrapped};
use pintle::limits;
use pintle::secret::Secret;

use rsa_variants::variants;
use zipf::Zipf;

#[path = "../tests/support/rsa_variants.rs"]
mod rsa_variants;
#[path = "../tests/support/zipf.rs"]
mod zipf;

type AnyError = Box<dyn std::error::Error>;

const FOLDER: &str = "PINTLE_BENCH_FOLDER";
/// About as long as a record's header.
const AAD: [u8; 200] = [7; 200];

fn open(c: &mut Criterion) {
    if let Err(error) = both(c) {
        panic!("the bench could not be set up: {error}");
    }
}

fn both(c: &mut Criterion) -> Result<(), AnyError> {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return again();
    };
    let folder = Path::new(&folder);
    let library = Module::softhsm().ok_or("SoftHSM is missing: run `make setup`")?;
    one(
        c,
        "embedded",
        Module::Embedded {
            dir: folder.join("embedded"),
        },
    )?;
    one(c, "SoftHSM", library)
}

fn again() -> Result<(), AnyError> {
    let folder = tempfile::tempdir()?;
    std::fs::create_dir(folder.path().join("tokens"))?;
    let configuration = folder.path().join("softhsm2.conf");
    let tokens = folder.path().join("tokens");
    std::fs::write(
        &configuration,
        format!("directories.tokendir = {}\n", tokens.display()),
    )?;
    let status = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env("SOFTHSM2_CONF", configuration)
        .env(FOLDER, folder.path())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err("the bench failed".into())
    }
}

fn one(c: &mut Criterion, name: &str, module: Module) -> Result<(), AnyError> {
    let config = TokenConfig {
        module,
        label: "bench".to_owned(),
        pin: Arc::new(Secret::new("bench-user-pin".to_owned())),
        symmetric_workers: 1,
        asymmetric_workers: 1,
        call_timeout: limits::TOKEN_CALL_TIMEOUT,
        profile: None,
    };
    Token::initialize(&config, Some(&Secret::new("bench-so-pin".to_owned())))?;
    let token = Token::open(&config)?;
    let later = || Instant::now() + Duration::from_secs(10);
    let sealed = token
        .seal(later(), AAD.to_vec(), Secret::new(vec![9; 32]))
        .wait()?;
    let open = || token.unseal(later(), AAD.to_vec(), sealed.clone());
    let mut group = c.benchmark_group(format!("open a sealed record, {name}"));
    group.throughput(Throughput::Elements(1));
    group.bench_function("one at a time", |b| {
        b.iter(|| assert!(open().wait().is_ok()))
    });
    group.throughput(Throughput::Elements(64));
    group.bench_function("64 in flight", |b| {
        b.iter(|| {
            let jobs: Vec<_> = (0..64).map(|_| open()).collect();
            for job in jobs {
                assert!(job.wait().is_ok());
            }
        });
    });
    group.finish();
    sign(c, name, &token)
}

/// The same key in the token; wrapped and open; wrapped, one of ten thousand by Zipf's law; and wrapped
/// and to be opened at each call: more keys than may be open, in turn.
fn sign(c: &mut Criterion, name: &str, token: &Token) -> Result<(), AnyError> {
    let later = || Instant::now() + Duration::from_secs(10);
    let key = KeyPair::generate(KeySize::Rsa2048)?;
    let pkcs8 = AsDer::<Pkcs8V1Der<'static>>::as_der(&key)?;
    let pkcs8 = pkcs8.as_ref();
    let resident = token.import_rsa(later(), [1; 16], Secret::new(pkcs8.to_vec()));
    resident.wait()?;
    let mut keys = Vec::new();
    for pkcs8 in variants(pkcs8).take(MERCHANTS) {
        let import = token.import_wrapped_rsa(later(), Secret::new(pkcs8));
        keys.push(import.wait()?.1);
    }
    let signed = |key: &Wrapped| {
        let job = token.sign_wrapped_rsa(later(), key.clone(), RsaHash::Sha256, AAD.to_vec());
        assert!(job.wait().is_ok());
    };
    let mut group = c.benchmark_group(format!("sign with RSA-2048, {name}"));
    group.throughput(Throughput::Elements(1));
    group.bench_function("resident", |b| {
        b.iter(|| {
            let job = token.sign_rsa(later(), [1; 16], RsaHash::Sha256, AAD.to_vec());
            assert!(job.wait().is_ok());
        });
    });
    group.bench_function("wrapped, open", |b| b.iter(|| signed(&keys[0])));
    let mut zipf = Zipf::over(keys.len(), 1);
    // As many as fit are open before anything is measured.
    (0..2 * limits::WRAPPED_KEYS_OPEN_MAX).for_each(|_| signed(&keys[zipf.draw()]));
    group.bench_function("wrapped, Zipf over 10,000", |b| {
        b.iter(|| signed(&keys[zipf.draw()]));
    });
    let mut turn = keys.iter().cycle();
    group.bench_function("wrapped, to be opened", |b| {
        b.iter(|| turn.next().map(signed));
    });
    group.finish();
    Ok(())
}

/// App ids of a large gateway.
const MERCHANTS: usize = 10_000;

criterion_group!(benches, open);
criterion_main!(benches);
