//! One server for all tests: embedded token, store, catalogue and journal in a fresh folder, the
//! keys of `keys.toml` and `signing-keys.toml`, a plaintext and a mutual-TLS listener on loopback,
//! and the one runtime they live on.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use pintle::audit::{Journal, JournalOptions};
use pintle::client::Client;
use pintle::config::policy::{Approval, CallerRow, Policy as PolicyFile};
use pintle::config::server::Environment as ServerEnvironment;
use pintle::hsm::{Token, TokenConfig};
use pintle::keys::act::Act;
use pintle::keys::attributes::{Environment, State};
use pintle::keys::catalogue::{Catalogue, CatalogueOptions};
use pintle::keys::key_ref::KeyName;
use pintle::keys::lifecycle::{self, VersionOf};
use pintle::keys::template::Template;
use pintle::keys::{import, provision};
use pintle::limits;
use pintle::ops::context::Context;
use pintle::ops::fill::Fill;
use pintle::ops::pin_engine::HostPinEngine;
use pintle::ops::pin_verification::Issuer;
use pintle::secret::Secret;
use pintle::service::authorize::{Plane, Policy, RPCS};
use pintle::service::caller::DANGER_DEV_PLAINTEXT;
use pintle::service::health::Health;
use pintle::service::pb::v1::KeyRef;
use pintle::service::server::{
    Reflection, admin_routes, danger_serve_plaintext_on_loopback, data_routes, serve_with_tls,
};
use pintle::service::stack::{Audit, Options, Stack};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};

use crate::authority::Authority;
use crate::{blocks, softhsm};

/// A caller that may make every call with every key.
pub const EVERYTHING: &str = "spiffe://test/everything";
/// Another who may do the same: a second person.
pub const OFFICER: &str = "spiffe://test/officer";
/// A caller that may make MAC calls with the `mac-*` keys.
pub const MAC_ONLY: &str = "spiffe://test/mac-only";

/// What all tests share.
pub struct World {
    runtime: Runtime,
    /// Keys, token and engines.
    pub context: Context,
    /// The request path behind both listeners.
    pub stack: Stack,
    /// Readiness.
    pub health: Health,
    /// Where the store is.
    pub store: PathBuf,
    /// Where the journal is.
    pub journal: PathBuf,
    /// The plaintext listener.
    pub plaintext: SocketAddr,
    /// The mutual-TLS listener.
    pub tls: SocketAddr,
    /// Who signs certificates that the TLS listener believes.
    pub authority: Authority,
}

/// The world; the first test to ask makes it.
pub fn world() -> &'static World {
    static WORLD: LazyLock<World> = LazyLock::new(World::new);
    &WORLD
}

/// A key of the caller's tenant.
#[expect(
    clippy::unnecessary_wraps,
    reason = "it stands in a message's optional field"
)]
pub fn key(name: &str) -> Option<KeyRef> {
    Some(KeyRef {
        name: name.to_owned(),
        version: 0,
        ..KeyRef::default()
    })
}

impl World {
    /// Runs one test on the shared runtime.
    pub fn run<'a, F>(&'a self, test: impl FnOnce(&'a Self) -> F)
    where
        F: Future<Output = ()> + 'a,
    {
        self.runtime.block_on(test(self));
    }

    /// A client of the plaintext listener.
    pub async fn client(&self) -> Client {
        client_of(self.plaintext).await
    }

    /// A bare connection to the plaintext listener.
    pub async fn channel(&self) -> Channel {
        channel_to(self.plaintext).await
    }

    /// Another plaintext server over the same keys, with other options.
    pub async fn server(&self, edit: impl FnOnce(&mut Options)) -> SocketAddr {
        self.server_over(&self.context, edit).await
    }

    /// The same over another context: another engine, for one.
    pub async fn server_over(
        &self,
        context: &Context,
        edit: impl FnOnce(&mut Options),
    ) -> SocketAddr {
        let mut options = options(Audit::DangerNone);
        edit(&mut options);
        let routes = data_routes(context, &Stack::new(options), &self.health, Reflection::Off);
        let listener = bind().await;
        let address = listener.local_addr().unwrap();
        let stop = std::future::pending();
        tokio::spawn(danger_serve_plaintext_on_loopback(
            listener,
            routes.unwrap(),
            stop,
        ));
        address
    }

    /// A client of another plaintext server, with keys and budgets of its own.
    pub async fn client_with(&self, context: &Context) -> Client {
        client_of(self.server_over(context, |_| ()).await).await
    }

    /// A client of the control plane over plaintext.
    pub async fn admin_client(&self) -> Client {
        client_of(self.admin().await).await
    }

    /// A bare connection to a mutual-TLS listener, as this caller.
    pub async fn admin_channel(&self, address: &str, caller: &str) -> Channel {
        let tls = self
            .authority
            .client(&[crate::authority::uri(caller)], &self.authority);
        let config = tonic::transport::ClientTlsConfig::new()
            .ca_certificate(tonic::transport::Certificate::from_pem(&tls.server_ca))
            .identity(tonic::transport::Identity::from_pem(
                &tls.certificate,
                tls.private_key.expose_secret(),
            ))
            .domain_name(&tls.server_name);
        let endpoint = Endpoint::from_shared(address.to_owned()).unwrap();
        endpoint
            .tls_config(config)
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    /// A control-plane listener over mutual TLS, where these calls need a second person.
    pub async fn approving(&self, calls: &[&str]) -> SocketAddr {
        let mut options = options(Audit::DangerNone);
        options.plane = Plane::Admin;
        options.policy = Arc::new(Policy::new(&policy_file(calls)).unwrap());
        let stack = Stack::new(options);
        let routes = admin_routes(&self.context, &stack, &self.health, Reflection::Off).unwrap();
        let listener = bind().await;
        let address = listener.local_addr().unwrap();
        let tls = self.authority.server();
        let stop = std::future::pending();
        tokio::spawn(async move { serve_with_tls(listener, &tls, routes, stop).await });
        address
    }

    /// An admin listener, with reflection.
    pub async fn admin(&self) -> SocketAddr {
        let mut options = options(Audit::DangerNone);
        options.plane = Plane::Admin;
        let stack = Stack::new(options);
        let routes = admin_routes(&self.context, &stack, &self.health, Reflection::On).unwrap();
        let listener = bind().await;
        let address = listener.local_addr().unwrap();
        tokio::spawn(danger_serve_plaintext_on_loopback(
            listener,
            routes,
            std::future::pending(),
        ));
        address
    }

    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let folder = match std::env::var_os(softhsm::FOLDER) {
            Some(folder) => Path::new(&folder).join("world"),
            None => Path::new(env!("CARGO_TARGET_TMPDIR")).join("service-tests"),
        };
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let (context, stack, health, journal) = runtime.block_on(async {
            let context = context(&folder).await;
            let journal = folder.join("audit.jsonl");
            let records = Journal::open(&journal, JournalOptions::default()).unwrap();
            let stack = Stack::new(options(Audit::Journal(Arc::new(records))));
            let health = Health::new().await;
            let (probe, probed, watched) = (health.clone(), context.clone(), stack.clone());
            tokio::spawn(async move { probe.probe_for_ever(&probed, &watched).await });
            (context, stack, health, journal)
        });
        let authority = Authority::new("tests");
        let (plaintext, tls) = runtime.block_on(async {
            let routes = || data_routes(&context, &stack, &health, Reflection::On).unwrap();
            let (plain, secure) = (bind().await, bind().await);
            let addresses = (plain.local_addr().unwrap(), secure.local_addr().unwrap());
            let stop = std::future::pending;
            tokio::spawn(danger_serve_plaintext_on_loopback(plain, routes(), stop()));
            let (tls, routes) = (authority.server(), routes());
            tokio::spawn(async move { serve_with_tls(secure, &tls, routes, stop()).await });
            addresses
        });
        Self {
            runtime,
            context,
            stack,
            health,
            store: folder.join("store.sqlite"),
            journal,
            plaintext,
            tls,
            authority,
        }
    }
}

/// A client of a plaintext listener.
pub async fn client_of(address: SocketAddr) -> Client {
    Client::danger_connect_plaintext(&format!("http://{address}"))
        .await
        .unwrap()
}

/// A bare connection to a plaintext listener.
pub async fn channel_to(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    endpoint.connect().await.unwrap()
}

/// The policy of the tests; these calls need a second person.
fn policy_file(approved: &[&str]) -> PolicyFile {
    let row = |uri: &str, calls: &[&str], keys: &[&str]| CallerRow {
        uri: uri.to_owned(),
        tenant: "default".to_owned(),
        calls: calls.iter().map(|call| (*call).to_owned()).collect(),
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
    };
    let every: Vec<&str> = RPCS.iter().map(|row| row.name()).collect();
    PolicyFile {
        approval: Approval {
            calls: approved.iter().map(|call| (*call).to_owned()).collect(),
        },
        caller: vec![
            row(EVERYTHING, &every, &["*"]),
            row(OFFICER, &every, &["*"]),
            row(MAC_ONLY, &["pintle.v1.MacService/*"], &["mac-*"]),
            row(
                DANGER_DEV_PLAINTEXT,
                &every,
                &[
                    "tpk-*", "zpk-*", "mac-*", "sign-*", "v-*", "kbpk-*", "adm-*", "pvk-*",
                    "bdk-*", "data-*", "tdk-*", "zdk-*",
                ],
            ),
        ],
    }
}

/// The policy of the tests and the usual limits.
pub fn options(audit: Audit) -> Options {
    Options {
        plane: Plane::Data,
        policy: Arc::new(Policy::new(&policy_file(&[])).unwrap()),
        audit,
        development: true,
        calls_in_flight: limits::CALLS_IN_FLIGHT_MAX,
        deadline_default: Duration::from_secs(5),
        deadline_max: limits::DEADLINE_MAX,
    }
}

async fn context(folder: &Path) -> Context {
    let config = TokenConfig {
        module: softhsm::module(folder),
        label: "service-tests".to_owned(),
        pin: Arc::new(Secret::new("test-user-pin".to_owned())),
        symmetric_workers: 1,
        asymmetric_workers: 1,
        call_timeout: limits::TOKEN_CALL_TIMEOUT,
        profile: softhsm::profile(folder),
    };
    let so_pin = Secret::new("test-so-pin".to_owned());
    Token::initialize(&config, Some(&so_pin)).unwrap();
    let token = Token::open(&config).unwrap();
    let store = pintle::store::Store::open(&folder.join("store.sqlite")).unwrap();
    let options = CatalogueOptions {
        allow_process_kek: true,
        ..CatalogueOptions::new(Environment::Test)
    };
    let catalogue = Catalogue::open(store, token, options).unwrap();
    catalogue.spawn_poll();
    provide_keys(folder, &catalogue).await;
    let fill = Fill::new(catalogue.fleet(), Instant::now() + limits::DEADLINE_MAX)
        .await
        .unwrap();
    let engine = HostPinEngine::new(ServerEnvironment::Test, None, fill.clone()).unwrap();
    Context {
        catalogue,
        pin_engine: Arc::new(engine),
        issuer: Issuer::default(),
        fill,
    }
}

async fn provide_keys(folder: &Path, catalogue: &Catalogue) {
    let tenant = KeyName::parse("default").unwrap();
    let file = folder.join("keys.toml");
    std::fs::write(&file, blocks::KEYS).unwrap();
    import::import_file(catalogue, &file, &tenant)
        .await
        .unwrap();
    let template = include_str!("signing-keys.toml");
    let template = Template::parse(Path::new("signing-keys.toml"), template).unwrap();
    provision::apply(catalogue, &template, &tenant)
        .await
        .unwrap();
    let disabled = KeyName::parse("mac-disabled").unwrap();
    let disabled = VersionOf {
        tenant: &tenant,
        name: &disabled,
        version: 1,
    };
    lifecycle::set_state(catalogue, disabled, State::Disabled, &Act::operator())
        .await
        .unwrap();
}

async fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}
