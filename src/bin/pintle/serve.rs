//! `pintle serve`: mutual TLS on both listeners, the callers of the policy file, no plaintext.

use pintle::config::policy::Policy as PolicyFile;
use pintle::config::server::{Environment, Listen, Server};
use pintle::keys::budget::BudgetRules;
use pintle::service::server::{Reflection, admin_routes, data_routes, serve_with_tls};
use pintle::service::tls::Tls;
use tokio::net::TcpListener;

use crate::assembly::{self, Assembled, Parts};
use crate::cli::Serve;
use crate::exit::{Failure, Kind, Outcome};
use crate::{catalogue, settings, verify};

/// Serves until told to stop.
pub fn run(arguments: &Serve) -> Outcome {
    settings::log(true, "info");
    let server = settings::load(&arguments.configured.config)?;
    settings::runtime()?.block_on(serve(&server))
}

async fn serve(server: &Server) -> Outcome {
    let catalogue = catalogue::open_fleet(server)?;
    verify::against_checkpoint(&catalogue, server).await?;
    if server.environment == Environment::Production {
        catalogue::refuse_single_token(&catalogue, server.single_token_keys.as_ref())?;
    }
    let callers =
        PolicyFile::load(&server.policy.path).map_err(|error| Failure::new(Kind::Usage, error))?;
    let listen = &server.listen;
    let tls = Tls::load(&listen.certificate, &listen.private_key, &listen.client_ca)
        .map_err(|error| Failure::new(Kind::Usage, error))?;
    let assembled = assembly::assemble(Parts {
        environment: server.environment,
        acceptance: server.host_pin_processing.as_ref(),
        catalogue,
        journal: &server.audit.path,
        callers: &callers,
        budgets: BudgetRules {
            pan_failures_day: server.pin_verification.failures_per_pan_day,
            caller_failures_minute: server.pin_verification.failures_per_caller_minute,
        },
        limits: &server.limits,
    })
    .await?;
    listen_all(listen, &tls, &assembled).await
}

/// The listeners, until told to stop.
async fn listen_all(listen: &Listen, tls: &Tls, assembled: &Assembled) -> Outcome {
    let reflection = if listen.reflection {
        Reflection::On
    } else {
        Reflection::Off
    };
    let data = data_routes(
        &assembled.context,
        &assembled.stack,
        &assembled.health,
        reflection,
    )
    .map_err(|error| Failure::new(Kind::Other, error))?;
    let admin = admin_routes(
        &assembled.context,
        &assembled.admin_stack,
        &assembled.health,
        Reflection::Off,
    )
    .map_err(|error| Failure::new(Kind::Other, error))?;
    let data_listener = bind(listen.data).await?;
    let admin_listener = bind(listen.admin).await?;
    let metrics_listener = match listen.metrics {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    tracing::info!(data = %listen.data, admin = %listen.admin, "listening, mutual TLS");
    let leave = || async {
        assembly::told_to_stop().await;
        assembled.health.leave().await;
    };
    let metrics = async {
        match metrics_listener {
            Some(listener) => {
                let exposition = assembled.exposition.clone();
                exposition.serve(listener, assembly::told_to_stop()).await
            }
            None => Ok(()),
        }
    };
    let (data, admin, metrics) = tokio::join!(
        serve_with_tls(data_listener, tls, data, leave()),
        serve_with_tls(admin_listener, tls, admin, leave()),
        metrics,
    );
    data.and(admin)
        .and(metrics)
        .map_err(|error| Failure::new(Kind::Other, error))
}

/// Binds, or says who else may have the port.
pub async fn bind(address: std::net::SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::new(Kind::Conflict, format!("{address}: {error}"))
            .next("another process may listen there: choose another address")
    })
}
