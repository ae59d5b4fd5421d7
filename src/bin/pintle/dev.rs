//! `pintle dev`: one process, the embedded token, published test keys, plaintext on loopback.
//! Every answer is marked as development. Also what `pintle demo` runs on.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pintle::config::policy::Policy as PolicyFile;
use pintle::config::server::{Environment, Limits};
use pintle::hsm::{self, Module, Token, TokenConfig};
use pintle::keys::budget::BudgetRules;
use pintle::keys::catalogue::Catalogue;
use pintle::keys::template::Template;
use pintle::keys::{import, provision};
use pintle::secret::Secret;
use pintle::service::authorize;
use pintle::service::caller::DANGER_DEV_PLAINTEXT;
use pintle::service::server::{
    Reflection, admin_routes, danger_serve_plaintext_on_loopback, data_routes,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::assembly::{self, Parts};
use crate::cli::Dev;
use crate::exit::{Failure, Kind, Outcome};
use crate::{catalogue, serve, settings};

const TEMPLATE: &str = include_str!("../../../keys-template/dev.toml");
const TEST_KEYS: [(&str, &str); 5] = [
    ("test-keys.toml", include_str!("demo/test_keys.toml")),
    (
        "test_alipay_rsa.pem",
        include_str!("demo/test_alipay_rsa.pem"),
    ),
    (
        "test_alipay_sm2.pem",
        include_str!("demo/test_alipay_sm2.pem"),
    ),
    (
        "test_alipay_gateway_rsa_public.pem",
        include_str!("../../../examples/alipay_gateway/keys/test_alipay_rsa_public.pem"),
    ),
    (
        "test_alipay_gateway_sm2_public.pem",
        include_str!("../../../examples/alipay_gateway/keys/test_alipay_sm2_public.pem"),
    ),
];
/// The embedded token's PIN in development. It protects nothing: the folder is the secret.
const PIN: &str = "development";

/// A development server that runs.
pub struct DevServer {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub metrics: SocketAddr,
    #[cfg_attr(
        not(feature = "embedded-token"),
        expect(dead_code, reason = "the demo shows it")
    )]
    pub token: Token,
    pub catalogue: Catalogue,
    stop: watch::Sender<bool>,
    listeners: JoinHandle<Outcome>,
}

/// Serves until told to stop.
pub fn run(arguments: &Dev) -> Outcome {
    settings::log(false, "warn,pintle=info");
    let folder = Folder::new(arguments.folder.as_deref())?;
    let runtime = settings::runtime()?;
    runtime.block_on(async {
        let server = DevServer::start(&folder.path, arguments.danger_plaintext_listen).await?;
        print_welcome(&server, &folder).await?;
        assembly::told_to_stop().await;
        println!("\nstopping");
        server.stop().await
    })
}

impl DevServer {
    /// Makes what the folder lacks (token, keys), and listens.
    pub async fn start(folder: &Path, listen: SocketAddr) -> Result<Self, Failure> {
        refuse_without_embedded_token()?;
        if !listen.ip().is_loopback() {
            return Err(
                Failure::new(Kind::Usage, format!("{listen} is not loopback"))
                    .next("development is plaintext: 127.0.0.1 or [::1]; `pintle serve` has TLS"),
            );
        }
        let token = open_or_make_token(folder)?;
        let store = folder.join("store.sqlite");
        let catalogue = catalogue::open(&store, &token, Environment::Development, true)?;
        provide_keys(folder, &catalogue).await?;
        let assembled = assembly::assemble(Parts {
            environment: Environment::Development,
            acceptance: None,
            catalogue: catalogue.clone(),
            journal: &folder.join("audit.jsonl"),
            callers: &everything(),
            budgets: BudgetRules::default(),
            limits: &Limits::default(),
        })
        .await?;
        let other = |error| Failure::new(Kind::Other, error);
        let data = data_routes(
            &assembled.context,
            &assembled.stack,
            &assembled.health,
            Reflection::On,
        )
        .map_err(other)?;
        let admin_calls = admin_routes(
            &assembled.context,
            &assembled.admin_stack,
            &assembled.health,
            Reflection::On,
        )
        .map_err(other)?;
        let data_listener = serve::bind(listen).await?;
        let address = data_listener.local_addr()?;
        let admin_listener = serve::bind(SocketAddr::new(listen.ip(), 0)).await?;
        let admin = admin_listener.local_addr()?;
        let metrics_listener = serve::bind(SocketAddr::new(listen.ip(), 0)).await?;
        let metrics = metrics_listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let until = |mut stopped: watch::Receiver<bool>| async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let [first, second, third] = [stopped.clone(), stopped.clone(), stopped].map(until);
        let exposition = assembled.exposition;
        let listeners = tokio::spawn(async move {
            let (data, admin, metrics) = tokio::join!(
                danger_serve_plaintext_on_loopback(data_listener, data, first),
                danger_serve_plaintext_on_loopback(admin_listener, admin_calls, second),
                exposition.serve(metrics_listener, third),
            );
            data.and(admin).and(metrics).map_err(other)
        });
        Ok(Self {
            address,
            admin,
            metrics,
            token,
            catalogue,
            stop,
            listeners,
        })
    }

    /// Drains and ends.
    pub async fn stop(self) -> Outcome {
        let _ = self.stop.send(true);
        self.listeners
            .await
            .map_err(|error| Failure::new(Kind::Other, error))?
    }
}

/// A folder that stays, or one that goes when the server does.
pub struct Folder {
    pub path: PathBuf,
    temporary: bool,
}

impl Folder {
    /// The given folder, made where missing; a temporary one without it.
    pub fn new(given: Option<&Path>) -> Result<Self, Failure> {
        use std::os::unix::fs::DirBuilderExt;
        let path = match given {
            Some(path) => path.to_owned(),
            None => {
                let name = format!("pintle-dev-{}", std::process::id());
                std::env::temp_dir().join(name)
            }
        };
        let make = std::fs::DirBuilder::new()
            .mode(0o700)
            .recursive(given.is_some())
            .create(&path);
        make.map_err(|error| Failure::new(Kind::Other, format!("{}: {error}", path.display())))?;
        Ok(Self {
            path,
            temporary: given.is_none(),
        })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary && std::fs::remove_dir_all(&self.path).is_err() {
            eprintln!("pintle: {} could not be removed", self.path.display());
        }
    }
}

/// Without the feature there is no token to develop on: say how to get one.
pub fn refuse_without_embedded_token() -> Outcome {
    if cfg!(feature = "embedded-token") {
        return Ok(());
    }
    Err(
        Failure::new(Kind::Usage, "this build has no embedded token")
            .next("cargo run --release --features embedded-token -- dev   (or: make demo)"),
    )
}

fn open_or_make_token(folder: &Path) -> Result<Token, Failure> {
    let config = TokenConfig {
        module: Module::Embedded {
            dir: folder.join("token"),
        },
        label: "pintle-dev".to_owned(),
        pin: Arc::new(Secret::new(PIN.to_owned())),
        symmetric_workers: 1,
        asymmetric_workers: 1,
        call_timeout: pintle::limits::TOKEN_CALL_TIMEOUT,
        profile: None,
    };
    match Token::open(&config) {
        Err(hsm::Error::TokenMissing { .. }) => {
            Token::initialize(&config, None).map_err(settings::token_failure)?;
            settings::open_token(&config)
        }
        opened => opened.map_err(settings::token_failure),
    }
}

/// Published test keys first, then whatever else the template asks for, made in the token.
async fn provide_keys(folder: &Path, catalogue: &Catalogue) -> Outcome {
    let tenant = catalogue::default_tenant()?;
    if catalogue::list(catalogue).await?.is_empty() {
        for (name, text) in TEST_KEYS {
            std::fs::write(folder.join(name), text)?;
        }
        import::import_file(catalogue, &folder.join(TEST_KEYS[0].0), &tenant)
            .await
            .map_err(catalogue::failure)?;
    }
    let template = Template::parse(Path::new("keys-template/dev.toml"), TEMPLATE)
        .map_err(catalogue::failure)?;
    provision::apply(catalogue, &template, &tenant)
        .await
        .map_err(catalogue::failure)?;
    Ok(())
}

fn everything() -> PolicyFile {
    authorize::danger_everything_for(DANGER_DEV_PLAINTEXT)
}

async fn print_welcome(server: &DevServer, folder: &Folder) -> Outcome {
    let DevServer {
        address,
        admin,
        metrics,
        ..
    } = server;
    println!("pintle dev — DEVELOPMENT: plaintext, loopback, published test keys\n");
    println!("  data     {address}   gRPC with reflection and health");
    println!("  admin    {admin}   health");
    println!("  metrics  http://{metrics}/metrics");
    let kept = if folder.temporary {
        "removed at the end"
    } else {
        "kept"
    };
    println!("  folder   {}   {kept}\n", folder.path.display());
    let keys = catalogue::list(&server.catalogue)
        .await?
        .iter()
        .map(catalogue::row)
        .collect();
    println!("{}\n", crate::output::table(&catalogue::HEAD, keys));
    println!("Ready to paste:\n");
    for (service, call, json) in CALLS {
        println!("  grpcurl -plaintext -d '{json}' \\\n    {address} pintle.v1.{service}/{call}\n");
    }
    println!("Ctrl-C stops it.");
    Ok(())
}

/// Calls that work as they stand. The PIN block is 1234 for this PAN under the published TPK.
const CALLS: [(&str, &str, &str); 4] = [
    ("RandomService", "GenerateRandom", r#"{"length": 16}"#),
    (
        "PinService",
        "TranslatePin",
        concat!(
            r#"{"source_key": {"name": "tpk-pos-0001"}, "source_format": "PIN_BLOCK_FORMAT_ISO_0", "#,
            r#""destination_key": {"name": "zpk-acquirer-aes"}, "pan": "4111111111111111", "#,
            r#""pin_block": "Kj1Aihl33ek="}"#
        ),
    ),
    (
        "MacService",
        "GenerateMac",
        r#"{"key": {"name": "tak-pos-0001"}, "message": "MDIwMA=="}"#,
    ),
    (
        "AlipayService",
        "SignRequest",
        concat!(
            r#"{"key": {"name": "alipay-app-rsa2"}, "return_string_to_sign": true, "#,
            r#""parameters": {"app_id": "2021000000000001", "method": "alipay.trade.query", "#,
            r#""sign_type": "RSA2", "charset": "utf-8", "biz_content": "{}"}}"#
        ),
    ),
];
