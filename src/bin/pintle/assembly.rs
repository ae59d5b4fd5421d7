//! Puts a server together: token, store, catalogue, journal, request path, listeners. `serve` and
//! `dev` differ in what they hand in, not in how it is joined.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pintle::audit::Journal;
use pintle::audit::JournalOptions;
use pintle::config::policy::Policy as PolicyFile;
use pintle::config::server::{Acceptance, Environment, Limits};
use pintle::hsm;
use pintle::keys::act::now;
use pintle::keys::budget::BudgetRules;
use pintle::keys::catalogue::Catalogue;
use pintle::keys::lifecycle;
use pintle::keys::reconcile::reconcile;
use pintle::limits;
use pintle::ops::context::Context;
use pintle::ops::fill::Fill;
use pintle::ops::pin_engine::HostPinEngine;
use pintle::ops::pin_verification::Issuer;
use pintle::service::authorize::{Plane, Policy};
use pintle::service::exposition::Exposition;
use pintle::service::health::Health;
use pintle::service::metrics;
use pintle::service::stack::{Audit, Options, Stack};

use crate::exit::{Failure, Kind};
use crate::{catalogue, settings};

/// What a server is made of.
pub struct Parts<'a> {
    pub environment: Environment,
    pub acceptance: Option<&'a Acceptance>,
    pub catalogue: Catalogue,
    pub journal: &'a Path,
    pub callers: &'a PolicyFile,
    pub budgets: BudgetRules,
    pub limits: &'a Limits,
}

/// A server that only lacks its listeners.
pub struct Assembled {
    pub context: Context,
    pub stack: Stack,
    pub admin_stack: Stack,
    pub health: Health,
    pub exposition: Exposition,
}

/// Joins the parts and starts what runs beside the calls: polls, probes, reseeding.
pub async fn assemble(parts: Parts<'_>) -> Result<Assembled, Failure> {
    let deadline = Instant::now() + limits::COMMAND_TOKEN_WAIT;
    let unfinished = reconcile(&parts.catalogue)
        .await
        .map_err(catalogue::failure)?;
    if unfinished > 0 {
        tracing::warn!(
            unfinished,
            "a process died while it made keys; they were taken back"
        );
    }
    let fill = Fill::new(parts.catalogue.fleet(), deadline)
        .await
        .map_err(settings::token_failure)?;
    let engine = HostPinEngine::new(parts.environment, parts.acceptance, fill.clone())
        .map_err(|error| Failure::new(Kind::Usage, error))?;
    let journal = Journal::open(parts.journal, JournalOptions::default()).map_err(|error| {
        Failure::new(
            Kind::Conflict,
            format!("{}: {error}", parts.journal.display()),
        )
        .next("`pintle audit verify` names the first broken line; another server may hold it")
    })?;
    let policy = Policy::new(parts.callers)
        .map_err(|error| Failure::new(Kind::Usage, format!("policy file: {error}")))?;
    let (policy, journal) = (Arc::new(policy), Arc::new(journal));
    let options = |plane| Options {
        plane,
        policy: Arc::clone(&policy),
        audit: Audit::Journal(Arc::clone(&journal)),
        development: parts.environment == Environment::Development,
        calls_in_flight: parts.limits.calls_in_flight,
        deadline_default: Duration::from_millis(parts.limits.deadline_default_ms),
        deadline_max: Duration::from_millis(parts.limits.deadline_max_ms),
    };
    let stack = Stack::new(options(Plane::Data));
    let admin_stack = Stack::new(options(Plane::Admin));
    let context = Context {
        catalogue: parts.catalogue,
        pin_engine: Arc::new(engine),
        issuer: Issuer {
            budgets: parts.budgets,
            ..Issuer::default()
        },
        fill,
    };
    let health = Health::new().await;
    run_beside(&context, &stack, &health);
    let exposition = exposition(&context, &stack, &admin_stack);
    Ok(Assembled {
        context,
        stack,
        admin_stack,
        health,
        exposition,
    })
}

/// Everything that is counted: calls by listener, and each token.
fn exposition(context: &Context, stack: &Stack, admin_stack: &Stack) -> Exposition {
    let catalogue = context.catalogue.clone();
    let (data, admin) = (stack.clone(), admin_stack.clone());
    Exposition::new(move |text| {
        let listeners = [("data", data.metrics()), ("admin", admin.metrics())];
        metrics::write_series(&listeners, text);
        // Those that are at hand by now.
        let tokens: Vec<hsm::Token> = catalogue.fleet().tokens().cloned().collect();
        hsm::write_series(&tokens, text);
        metrics::write_countdowns(&catalogue, text);
    })
}

fn run_beside(context: &Context, stack: &Stack, health: &Health) {
    context.catalogue.spawn_poll();
    let (probe, probed, watched) = (health.clone(), context.clone(), stack.clone());
    tokio::spawn(async move { probe.probe_for_ever(&probed, &watched).await });
    context.catalogue.spawn_recruiting();
    let (fill, fleet) = (context.fill.clone(), context.catalogue.fleet().clone());
    tokio::spawn(async move { fill.reseed_for_ever(&fleet).await });
    let catalogue = context.catalogue.clone();
    tokio::spawn(async move { sweep_for_ever(&catalogue).await });
}

/// Writes down activations whose moment has come, and ends keys whose waiting period is over.
async fn sweep_for_ever(catalogue: &Catalogue) {
    let mut ticks = tokio::time::interval(limits::SWEEP_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match lifecycle::sweep_due(catalogue, now()).await {
            Ok(swept) => {
                for header in swept {
                    let (name, version) = (header.name.as_str(), header.version);
                    tracing::info!(name, version, state = %header.state, "its time had come");
                }
            }
            Err(error) => tracing::warn!(%error, "what is due was not done; tried again"),
        }
    }
}

/// Resolves when the process is told to stop.
pub async fn told_to_stop() {
    let mut terminate =
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(signal) => signal,
            Err(error) => {
                tracing::warn!(%error, "SIGTERM can't be watched; Ctrl-C still can");
                let _ = tokio::signal::ctrl_c().await;
                return;
            }
        };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
