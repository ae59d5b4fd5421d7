//! Opening a sealed record through the pool, on the embedded token and on SoftHSM: one at a time
//! (with its thread round trips) and with 64 in flight. Both tokens in one run; SoftHSM reads its
//! configuration once, so the bench starts itself again with one of its own.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pintle::hsm::{Module, Token, TokenConfig};
use pintle::secret::Secret;

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
    Ok(())
}

criterion_group!(benches, open);
criterion_main!(benches);
