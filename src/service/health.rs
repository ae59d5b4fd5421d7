//! Readiness (grpc.health.v1): a real operation under `seal`, tried again and again. A token that
//! opens sessions but does no work is not ready; of several tokens one is enough. Nor is a
//! server ready whose journal has failed.

use std::time::Instant;

use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use crate::limits;
use crate::ops;
use crate::ops::context::Context;
use crate::service::pb::v1::alipay_service_server::AlipayServiceServer;
use crate::service::pb::v1::data_service_server::DataServiceServer;
use crate::service::pb::v1::mac_service_server::MacServiceServer;
use crate::service::pb::v1::pin_service_server::PinServiceServer;
use crate::service::pb::v1::random_service_server::RandomServiceServer;
use crate::service::pb::v1::signing_service_server::SigningServiceServer;
use crate::service::pb::v1::terminal_service_server::TerminalServiceServer;
use crate::service::pb::v1::union_pay_gateway_service_server::UnionPayGatewayServiceServer;
use crate::service::pb::v1::wechat_pay_service_server::WechatPayServiceServer;
use crate::service::stack::Stack;

/// What the listeners answer to health checks. Not serving until the first probe succeeds.
#[derive(Clone)]
pub struct Health(HealthReporter);

impl Health {
    /// Not serving.
    pub async fn new() -> Self {
        let health = Self(HealthReporter::new());
        health.set(ServingStatus::NotServing).await;
        health
    }

    /// Probes until dropped; each change is one line in the log.
    pub async fn probe_for_ever(&self, context: &Context, stack: &Stack) {
        let mut serving = false;
        loop {
            let probe = self.probe(context, stack).await;
            if serving != probe.is_ok() {
                serving = !serving;
                match &probe {
                    Ok(()) => tracing::info!("serving"),
                    Err(why) => tracing::error!(cause = %why, "not serving"),
                }
                self.set(if serving {
                    ServingStatus::Serving
                } else {
                    ServingStatus::NotServing
                })
                .await;
            }
            tokio::time::sleep(limits::PROBE_INTERVAL).await;
        }
    }

    /// Says that no more calls are wanted; used before a drain.
    pub async fn leave(&self) {
        self.set(ServingStatus::NotServing).await;
    }

    /// The service that answers.
    pub(in crate::service) fn server(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.0.clone()))
            .max_decoding_message_size(limits::SMALL_MESSAGE_BYTES_MAX)
    }

    async fn probe(&self, context: &Context, stack: &Stack) -> Result<(), NotReady> {
        context
            .probe(Instant::now() + limits::PROBE_DEADLINE)
            .await?;
        if stack.journal_has_failed() {
            return Err(NotReady::Journal);
        }
        Ok(())
    }

    async fn set(&self, status: ServingStatus) {
        for service in SERVICES {
            self.0.set_service_status(service, status).await;
        }
    }
}

/// Why a server is not ready.
#[derive(Debug, thiserror::Error)]
enum NotReady {
    #[error(transparent)]
    Operation(#[from] ops::Error),
    #[error("the audit journal has failed")]
    Journal,
}

/// The server as a whole, and each service.
const SERVICES: [&str; 10] = [
    "",
    PinServiceServer::<()>::NAME,
    MacServiceServer::<()>::NAME,
    TerminalServiceServer::<()>::NAME,
    DataServiceServer::<()>::NAME,
    SigningServiceServer::<()>::NAME,
    AlipayServiceServer::<()>::NAME,
    WechatPayServiceServer::<()>::NAME,
    UnionPayGatewayServiceServer::<()>::NAME,
    RandomServiceServer::<()>::NAME,
];
