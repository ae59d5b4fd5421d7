//! The listeners: which services stand on which, and the HTTP/2 bounds of both. tonic's defaults
//! bound nothing that matters here (streams, header lists, connections, handshakes, drain), so
//! every bound is set.
//!
//! Not here: per-call deadlines, which the stack sets, and the process around the listeners.

use std::future::Future;

use thiserror::Error as ThisError;
use tokio::net::TcpListener;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport;

use crate::limits;
use crate::ops::context::Context;
use crate::service::accept::connections;
use crate::service::alipay::Alipay;
use crate::service::approval::Approvals;
use crate::service::authorize::RpcRow;
use crate::service::caller::Peer;
use crate::service::data::Data;
use crate::service::decimalisation::Decimalisation;
use crate::service::health::Health;
use crate::service::keys::Keys;
use crate::service::mac::Mac;
use crate::service::pb;
use crate::service::pb::admin::v1::approval_service_server::ApprovalServiceServer;
use crate::service::pb::admin::v1::decimalisation_service_server::DecimalisationServiceServer;
use crate::service::pb::admin::v1::key_service_server::KeyServiceServer;
use crate::service::pb::v1::alipay_service_server::AlipayServiceServer;
use crate::service::pb::v1::data_service_server::DataServiceServer;
use crate::service::pb::v1::mac_service_server::MacServiceServer;
use crate::service::pb::v1::pin_service_server::PinServiceServer;
use crate::service::pb::v1::random_service_server::RandomServiceServer;
use crate::service::pb::v1::signing_service_server::SigningServiceServer;
use crate::service::pb::v1::terminal_service_server::TerminalServiceServer;
use crate::service::pb::v1::union_pay_gateway_service_server::UnionPayGatewayServiceServer;
use crate::service::pb::v1::wechat_pay_service_server::WechatPayServiceServer;
use crate::service::pin::Pin;
use crate::service::random::Random;
use crate::service::signing::Signing;
use crate::service::stack::Stack;
use crate::service::terminal::Terminal;
use crate::service::tls::Tls;
use crate::service::union_pay_gateway::UnionPayGateway;
use crate::service::wechat_pay::WechatPay;

/// Whether a listener tells strangers what it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reflection {
    /// grpc.reflection.v1 and v1alpha are served.
    On,
    /// It is not.
    Off,
}

/// Why a listener ended.
#[derive(Debug, ThisError)]
pub enum ServeError {
    /// A certificate or key file, or the transport.
    #[error("the listener failed")]
    Transport(#[from] transport::Error),
    /// The listener's own address.
    #[error("the listener has no address")]
    Address(#[source] std::io::Error),
    /// A plaintext listener that others than this machine could reach.
    #[error("plaintext is served on loopback addresses only, and {0} is none")]
    NotLoopback(std::net::SocketAddr),
    /// Connections were still open when the drain time had passed.
    #[error("connections were still open after the drain time")]
    DrainOverdue,
    /// The descriptors built into this program do not decode.
    #[error("the descriptors do not decode")]
    Descriptors(#[from] tonic_reflection::server::Error),
}

/// One of tonic's generated servers over a handler, behind a stack.
macro_rules! guarded {
    ($stack:expr, $context:expr, $server:ident, $handler:ident) => {
        $stack.before({
            let largest = RpcRow::largest_message(<$server<$handler> as NamedService>::NAME);
            $server::new($handler($context.clone()))
                .max_decoding_message_size(largest)
                .max_encoding_message_size(largest)
        })
    };
}

/// The data plane: every service behind the stack, and health.
///
/// # Errors
/// [`ServeError::Descriptors`].
pub fn data_routes(
    context: &Context,
    stack: &Stack,
    health: &Health,
    reflection: Reflection,
) -> Result<Routes, ServeError> {
    let routes = Routes::new(health.server())
        .add_service(guarded!(stack, context, PinServiceServer, Pin))
        .add_service(guarded!(stack, context, MacServiceServer, Mac))
        .add_service(guarded!(stack, context, TerminalServiceServer, Terminal))
        .add_service(guarded!(stack, context, DataServiceServer, Data))
        .add_service(guarded!(stack, context, SigningServiceServer, Signing))
        .add_service(guarded!(stack, context, AlipayServiceServer, Alipay))
        .add_service(guarded!(stack, context, WechatPayServiceServer, WechatPay))
        .add_service(guarded!(
            stack,
            context,
            UnionPayGatewayServiceServer,
            UnionPayGateway
        ))
        .add_service(guarded!(stack, context, RandomServiceServer, Random));
    with_reflection(routes, reflection)
}

/// The control plane: every service behind its own stack, and health.
///
/// # Errors
/// [`ServeError::Descriptors`].
pub fn admin_routes(
    context: &Context,
    stack: &Stack,
    health: &Health,
    reflection: Reflection,
) -> Result<Routes, ServeError> {
    let routes = Routes::new(health.server())
        .add_service(guarded!(stack, context, KeyServiceServer, Keys))
        .add_service(guarded!(stack, context, ApprovalServiceServer, Approvals))
        .add_service(guarded!(
            stack,
            context,
            DecimalisationServiceServer,
            Decimalisation
        ));
    with_reflection(routes, reflection)
}

/// Serves over mutual TLS until `stop`, then drains.
///
/// # Errors
/// When the certificates are unusable, the transport fails or the drain takes too long.
pub async fn serve_with_tls(
    listener: TcpListener,
    tls: &Tls,
    routes: Routes,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let server = http2().tls_config(tls.server_config())?;
    serve(server, listener, Peer::over_tls, routes, stop).await
}

/// Serves in plaintext until `stop`, then drains. Whoever reaches the port is the caller
/// [`DANGER_DEV_PLAINTEXT`](crate::service::caller::DANGER_DEV_PLAINTEXT): development only.
///
/// # Errors
/// On an address that is not loopback, when the transport fails or the drain takes too long.
pub async fn danger_serve_plaintext_on_loopback(
    listener: TcpListener,
    routes: Routes,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let address = listener.local_addr().map_err(ServeError::Address)?;
    if !address.ip().is_loopback() {
        return Err(ServeError::NotLoopback(address));
    }
    serve(http2(), listener, Peer::danger_over_plaintext, routes, stop).await
}

async fn serve(
    mut server: transport::Server,
    listener: TcpListener,
    peer: fn() -> Peer,
    routes: Routes,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let (stopping, stopped) = tokio::sync::oneshot::channel();
    let stop = async {
        stop.await;
        let _ = stopping.send(());
    };
    let overdue = async {
        match stopped.await {
            Ok(()) => tokio::time::sleep(limits::DRAIN_MAX).await,
            Err(_) => std::future::pending().await,
        }
    };
    let serving = server
        .add_routes(routes)
        .serve_with_incoming_shutdown(connections(listener, peer), stop);
    tokio::select! {
        served = serving => Ok(served?),
        () = overdue => Err(ServeError::DrainOverdue),
    }
}

/// HTTP/2 with every bound set. No connection-age grace: tonic 0.14 then never says GOAWAY and
/// cuts the connection instead.
fn http2() -> transport::Server {
    transport::Server::builder()
        .max_concurrent_streams(limits::HTTP2_STREAMS_MAX)
        .http2_max_header_list_size(limits::HTTP2_HEADER_BYTES_MAX)
        .http2_max_pending_accept_reset_streams(Some(limits::HTTP2_PENDING_RESET_MAX))
        .http2_max_local_error_reset_streams(Some(limits::HTTP2_LOCAL_RESET_MAX))
        .http2_keepalive_interval(Some(limits::HTTP2_KEEPALIVE))
        .http2_keepalive_timeout(Some(limits::HTTP2_KEEPALIVE_TIMEOUT))
        .initial_stream_window_size(limits::HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::HTTP2_CONNECTION_WINDOW_BYTES)
        .max_connection_age(limits::CONNECTION_AGE_MAX)
}

fn with_reflection(routes: Routes, reflection: Reflection) -> Result<Routes, ServeError> {
    match reflection {
        Reflection::Off => Ok(routes),
        Reflection::On => {
            let described = || {
                tonic_reflection::server::Builder::configure()
                    .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
                    .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            };
            let size = limits::SMALL_MESSAGE_BYTES_MAX;
            // Python's grpcio-reflection and older grpcurl speak v1alpha alone.
            let older = described().build_v1alpha()?.max_decoding_message_size(size);
            let reflection = described().build_v1()?.max_decoding_message_size(size);
            Ok(routes.add_service(reflection).add_service(older))
        }
    }
}
