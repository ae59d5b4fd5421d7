//! The service against an empty tonic echo: the same listener, message sizes, runtime and client,
//! in one run. What is timed is the CPU of the server's threads per call (from the kernel's
//! schedule statistics), so neighbours on the machine move both figures alike; read the ratios.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use pintle::audit::{Journal, JournalOptions};
use pintle::hsm::{Module, Token, TokenConfig};
use pintle::keys::attributes::Environment;
use pintle::keys::catalogue::{Catalogue, CatalogueOptions};
use pintle::keys::import;
use pintle::keys::key_ref::KeyName;
use pintle::ops::context::Context;
use pintle::ops::fill::Fill;
use pintle::ops::pin_engine::HostPinEngine;
use pintle::ops::pin_verification::Issuer;
use pintle::secret::Secret;
use pintle::service::authorize::{self, Policy};
use pintle::service::caller::DANGER_DEV_PLAINTEXT;
use pintle::service::health::Health;
use pintle::service::pb::v1::pin_service_client::PinServiceClient;
use pintle::service::pb::v1::pin_service_server::{PinService, PinServiceServer};
use pintle::service::pb::v1::{
    GeneratePinReferenceRequest, GeneratePinReferenceResponse, GeneratePinRequest,
    GeneratePinResponse, KeyRef, PinBlockFormat, TranslatePinRequest, TranslatePinResponse,
    TranslatePinsRequest, TranslatePinsResponse, VerifyPinRequest, VerifyPinResponse,
};
use pintle::service::server::{Reflection, danger_serve_plaintext_on_loopback, data_routes};
use pintle::service::stack::{Audit, Options, Stack};
use pintle::{config, limits};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

type AnyError = Box<dyn std::error::Error>;

/// Calls in flight on the one connection.
const IN_FLIGHT: u64 = 32;
const TPK: &str = "0123456789ABCDEFFEDCBA9876543210";
/// 1234 for this PAN under that key, format 0.
const BLOCK: [u8; 8] = [0x2A, 0x3D, 0x40, 0x8A, 0x19, 0x77, 0xDD, 0xE9];
const PAN: &str = "4111111111111111";
const KEYS: &str = r#"
environment = "test"
[[key]]
name = "tpk"
usage = "pin_encryption"
mode = "decrypt"
side = "terminal"
algorithm = "TDES-2"
pin = { inputs = ["ISO_0"] }
value = "0123456789ABCDEFFEDCBA9876543210"
[[key]]
name = "zpk"
usage = "pin_encryption"
mode = "encrypt"
side = "zone"
algorithm = "AES-128"
pin = { output = "ISO_4" }
value = "C1D0F8FB4958670DBA40AB1F3752EF0D"
"#;

/// Answers at once, with an answer as large as a real one.
struct Echo;

#[tonic::async_trait]
impl PinService for Echo {
    async fn translate_pin(
        &self,
        request: Request<TranslatePinRequest>,
    ) -> Result<Response<TranslatePinResponse>, Status> {
        let asked = request.into_inner();
        let used = |key: Option<KeyRef>| {
            key.map(|key| pintle::service::pb::v1::KeyUse {
                name: key.name,
                version: 1,
                residence: 3,
                key_block_hash: Vec::new(),
            })
        };
        Ok(Response::new(TranslatePinResponse {
            pin_block: [asked.pin_block.as_slice(), asked.pin_block.as_slice()].concat(),
            format: PinBlockFormat::Iso4.into(),
            source_key: used(asked.source_key),
            destination_key: used(asked.destination_key),
        }))
    }

    async fn translate_pins(
        &self,
        _: Request<TranslatePinsRequest>,
    ) -> Result<Response<TranslatePinsResponse>, Status> {
        Err(Status::unimplemented("only one call is compared"))
    }

    async fn verify_pin(
        &self,
        _: Request<VerifyPinRequest>,
    ) -> Result<Response<VerifyPinResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn generate_pin_reference(
        &self,
        _: Request<GeneratePinReferenceRequest>,
    ) -> Result<Response<GeneratePinReferenceResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn generate_pin(
        &self,
        _: Request<GeneratePinRequest>,
    ) -> Result<Response<GeneratePinResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}

fn unary(c: &mut Criterion) {
    if let Err(error) = compare(c) {
        panic!("the bench could not be set up: {error}");
    }
}

fn compare(c: &mut Criterion) -> Result<(), AnyError> {
    let folder = tempfile::tempdir()?;
    let server = runtime("server", 2)?;
    let client = runtime("client", 1)?;
    let context = server.block_on(context(folder.path()))?;
    let journal = Journal::open(
        &folder.path().join("audit.jsonl"),
        JournalOptions::default(),
    )?;
    let listeners = [
        ("echo", server.block_on(listen(echo()))?),
        (
            "translate_pin, audit off",
            server.block_on(real(&context, Audit::DangerNone))?,
        ),
        (
            "translate_pin, audit on",
            server.block_on(real(&context, Audit::Journal(journal.into())))?,
        ),
    ];
    let mut group = c.benchmark_group("server CPU per unary call");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(8));
    for (name, address) in &listeners {
        let channel = client.block_on(connect(address))?;
        let calls = AtomicU64::new(0);
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter_custom(|iterations| {
                calls.fetch_add(iterations, Ordering::Relaxed);
                let before = server_cpu();
                client.block_on(load(&channel, iterations));
                server_cpu().saturating_sub(before)
            });
        });
    }
    group.finish();
    Ok(())
}

/// CPU of every thread but the client's and the bench's own.
fn server_cpu() -> Duration {
    let mut nanoseconds = 0;
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
        return Duration::ZERO;
    };
    for task in tasks.flatten() {
        let read = |name| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let name = read("comm");
        if name.starts_with("server") || name.starts_with("audit") || name.starts_with("hsm") {
            let spent = read("schedstat");
            let spent = spent
                .split_whitespace()
                .next()
                .and_then(|ns| ns.parse::<u64>().ok());
            nanoseconds += spent.unwrap_or(0);
        }
    }
    Duration::from_nanos(nanoseconds)
}

/// Makes `calls` calls, [`IN_FLIGHT`] at a time, on one connection.
async fn load(channel: &Channel, calls: u64) {
    let mut lanes = Vec::new();
    for lane in 0..IN_FLIGHT.min(calls) {
        let mine = calls / IN_FLIGHT + u64::from(lane < calls % IN_FLIGHT);
        let mut client = PinServiceClient::new(channel.clone());
        lanes.push(tokio::spawn(async move {
            for _ in 0..mine {
                let answer = client.translate_pin(request()).await;
                assert!(answer.is_ok_and(|answer| answer.get_ref().pin_block.len() == 16));
            }
        }));
    }
    for lane in lanes {
        assert!(lane.await.is_ok(), "a call failed");
    }
}

fn request() -> TranslatePinRequest {
    let key = |name: &str| {
        Some(KeyRef {
            name: name.to_owned(),
            version: 0,
            ..KeyRef::default()
        })
    };
    TranslatePinRequest {
        source_key: key("tpk"),
        destination_key: key("zpk"),
        source_format: PinBlockFormat::Iso0.into(),
        pan: PAN.to_owned(),
        pin_block: BLOCK.to_vec(),
    }
}

fn runtime(name: &str, workers: usize) -> Result<Runtime, AnyError> {
    Ok(Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name(name)
        .enable_all()
        .build()?)
}

fn echo() -> Routes {
    Routes::new(PinServiceServer::new(Echo))
}

async fn real(context: &Context, audit: Audit) -> Result<String, AnyError> {
    let stack = Stack::new(Options {
        plane: authorize::Plane::Data,
        policy: Policy::new(&authorize::danger_everything_for(DANGER_DEV_PLAINTEXT))?.into(),
        audit,
        development: false,
        calls_in_flight: limits::CALLS_IN_FLIGHT_MAX,
        deadline_default: limits::DEADLINE_DEFAULT,
        deadline_max: limits::DEADLINE_MAX,
    });
    let health = Health::new().await;
    listen(data_routes(context, &stack, &health, Reflection::Off)?).await
}

async fn listen(routes: Routes) -> Result<String, AnyError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    tokio::spawn(danger_serve_plaintext_on_loopback(
        listener,
        routes,
        std::future::pending(),
    ));
    Ok(address)
}

async fn connect(address: &str) -> Result<Channel, AnyError> {
    Ok(Endpoint::from_shared(address.to_owned())?
        .tcp_nodelay(true)
        .connect()
        .await?)
}

async fn context(folder: &Path) -> Result<Context, AnyError> {
    debug_assert!(KEYS.contains(TPK));
    let config = TokenConfig {
        module: Module::Embedded {
            dir: folder.join("token"),
        },
        label: "bench".to_owned(),
        pin: Arc::new(Secret::new("bench-user-pin".to_owned())),
        symmetric_workers: 1,
        asymmetric_workers: 1,
        call_timeout: limits::TOKEN_CALL_TIMEOUT,
        profile: None,
    };
    Token::initialize(&config, None)?;
    let token = Token::open(&config)?;
    let store = pintle::store::Store::open(&folder.join("store.sqlite"))?;
    let catalogue = Catalogue::open(store, token, CatalogueOptions::new(Environment::Test))?;
    catalogue.spawn_poll();
    let keys = folder.join("keys.toml");
    std::fs::write(&keys, KEYS)?;
    import::import_file(&catalogue, &keys, &KeyName::parse("default")?).await?;
    let fill = Fill::new(catalogue.fleet(), Instant::now() + limits::DEADLINE_MAX).await?;
    let engine = HostPinEngine::new(config::server::Environment::Test, None, fill.clone())?;
    Ok(Context {
        catalogue,
        pin_engine: Arc::new(engine),
        issuer: Issuer::default(),
        fill,
    })
}

criterion_group!(benches, unary);
criterion_main!(benches);
