//! A thin Rust client: connect, a deadline on every call, and a few tries where the server says
//! UNAVAILABLE. Every call is safe to repeat: those that change something by their request id.
//!
//! Not here: balancing over several servers, caching, or any decision of the caller's.

use std::time::Duration;

use tokio_stream::Stream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt;

use crate::limits;
use crate::secret::Secret;
use crate::service::pb::admin::v1 as admin;
use crate::service::pb::admin::v1::approval_service_client::ApprovalServiceClient;
use crate::service::pb::admin::v1::decimalisation_service_client::DecimalisationServiceClient;
use crate::service::pb::admin::v1::key_service_client::KeyServiceClient;
use crate::service::pb::v1 as pb;
use crate::service::pb::v1::alipay_service_client::AlipayServiceClient;
use crate::service::pb::v1::data_service_client::DataServiceClient;
use crate::service::pb::v1::mac_service_client::MacServiceClient;
use crate::service::pb::v1::pin_service_client::PinServiceClient;
use crate::service::pb::v1::random_service_client::RandomServiceClient;
use crate::service::pb::v1::signing_service_client::SigningServiceClient;
use crate::service::pb::v1::terminal_service_client::TerminalServiceClient;
use crate::service::pb::v1::union_pay_gateway_service_client::UnionPayGatewayServiceClient;
use crate::service::pb::v1::wechat_pay_service_client::WechatPayServiceClient;

/// One connection to one server.
#[derive(Clone)]
pub struct Client {
    channel: Channel,
    deadline: Duration,
    tries: u32,
}

/// What the client shows, and whom it believes. PEM.
pub struct Tls {
    /// The authorities of the server's certificate.
    pub server_ca: Vec<u8>,
    /// The client's certificate chain.
    pub certificate: Vec<u8>,
    /// Its private key, PKCS #8.
    pub private_key: Secret<Vec<u8>>,
    /// The name the server's certificate must have.
    pub server_name: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection: the address, the network or a certificate.
    #[error("no connection to the server")]
    Connect(#[from] tonic::transport::Error),
    /// The server refused the call.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// A refusal, as `google.rpc.ErrorInfo` and `google.rpc.BadRequest` tell it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code:?} {reason}: {message}")]
pub struct Refused {
    /// The canonical code.
    pub code: Code,
    /// `ErrorInfo.reason`; empty where the answer did not come from Pintle.
    pub reason: String,
    /// The field to mend, where there is one.
    pub field: Option<String>,
    /// The server's text.
    pub message: String,
}

/// The calls of a client, one function per RPC.
macro_rules! calls {
    ($pb:ident; $($(#[$about:meta])* $call:ident: $service:ident, $asked:ident => $answered:ident;)*) => {
        impl Client {
            $(
                $(#[$about])*
                ///
                /// # Errors
                /// [`Error::Refused`].
                pub async fn $call(&self, asked: $pb::$asked) -> Result<$pb::$answered, Error> {
                    self.call(&asked, |request| {
                        let mut service = $service::new(self.channel.clone());
                        async move { service.$call(request).await }
                    })
                    .await
                }
            )*
        }
    };
}

calls! {
    pb;
    /// `PinService.TranslatePin`
    translate_pin: PinServiceClient, TranslatePinRequest => TranslatePinResponse;
    /// `PinService.TranslatePins`
    translate_pins: PinServiceClient, TranslatePinsRequest => TranslatePinsResponse;
    /// `PinService.VerifyPin`
    verify_pin: PinServiceClient, VerifyPinRequest => VerifyPinResponse;
    /// `PinService.GeneratePinReference`
    generate_pin_reference: PinServiceClient,
        GeneratePinReferenceRequest => GeneratePinReferenceResponse;
    /// `PinService.GeneratePin`
    generate_pin: PinServiceClient, GeneratePinRequest => GeneratePinResponse;
    /// `MacService.GenerateMac`
    generate_mac: MacServiceClient, GenerateMacRequest => GenerateMacResponse;
    /// `MacService.VerifyMac`
    verify_mac: MacServiceClient, VerifyMacRequest => VerifyMacResponse;
    /// `TerminalService.SignIn`
    sign_in: TerminalServiceClient, SignInRequest => SignInResponse;
    /// `TerminalService.SecureMessage`
    secure_message: TerminalServiceClient, SecureMessageRequest => SecureMessageResponse;
    /// `MacService.GenerateMacs`
    generate_macs: MacServiceClient, GenerateMacsRequest => GenerateMacsResponse;
    /// `MacService.VerifyMacs`
    verify_macs: MacServiceClient, VerifyMacsRequest => VerifyMacsResponse;
    /// `DataService.EncryptData`
    encrypt_data: DataServiceClient, EncryptDataRequest => EncryptDataResponse;
    /// `DataService.DecryptData`
    decrypt_data: DataServiceClient, DecryptDataRequest => DecryptDataResponse;
    /// `DataService.TranslateData`
    translate_data: DataServiceClient, TranslateDataRequest => TranslateDataResponse;
    /// `DataService.TranslateTrack`
    translate_track: DataServiceClient, TranslateTrackRequest => TranslateTrackResponse;
    /// `SigningService.Sign`
    sign: SigningServiceClient, SignRequest => SignResponse;
    /// `SigningService.Verify`
    verify: SigningServiceClient, VerifyRequest => VerifyResponse;
    /// `SigningService.CreateCertificateRequest`
    create_certificate_request: SigningServiceClient,
        CreateCertificateRequestRequest => CreateCertificateRequestResponse;
    /// `SigningService.GetPublicKey`
    get_public_key: SigningServiceClient, GetPublicKeyRequest => GetPublicKeyResponse;
    /// `AlipayService.SignRequest`
    sign_request: AlipayServiceClient, SignRequestRequest => SignRequestResponse;
    /// `AlipayService.SignPagePay`
    sign_page_pay: AlipayServiceClient, SignPagePayRequest => SignPagePayResponse;
    /// `AlipayService.SignAppPay`
    sign_app_pay: AlipayServiceClient, SignAppPayRequest => SignAppPayResponse;
    /// `AlipayService.EncryptContent`
    encrypt_content: AlipayServiceClient, EncryptContentRequest => EncryptContentResponse;
    /// `AlipayService.DecryptContent`
    decrypt_content: AlipayServiceClient, DecryptContentRequest => DecryptContentResponse;
    /// `AlipayService.ComputeCertificateSerial`
    compute_certificate_serial: AlipayServiceClient,
        ComputeCertificateSerialRequest => ComputeCertificateSerialResponse;
    /// `AlipayService.CheckCertificateChain`
    check_certificate_chain: AlipayServiceClient,
        CheckCertificateChainRequest => CheckCertificateChainResponse;
    /// `AlipayService.VerifyResponse`
    verify_response: AlipayServiceClient, VerifyResponseRequest => VerifyResponseResponse;
    /// `AlipayService.SignV3Request`
    sign_v3_request: AlipayServiceClient, SignV3RequestRequest => SignV3RequestResponse;
    /// `AlipayService.VerifyV3Response`
    verify_v3_response: AlipayServiceClient, VerifyV3ResponseRequest => VerifyV3ResponseResponse;
    /// `AlipayService.VerifyNotification`
    verify_notification: AlipayServiceClient,
        VerifyNotificationRequest => VerifyNotificationResponse;
    /// `AlipayService.DiffSignString`
    diff_sign_string: AlipayServiceClient, DiffSignStringRequest => DiffSignStringResponse;
    /// `AlipayService.CheckProfile`
    check_profile: AlipayServiceClient, CheckProfileRequest => CheckProfileResponse;
    /// `WechatPayService.SignWechatRequest`
    sign_wechat_request: WechatPayServiceClient,
        SignWechatRequestRequest => SignWechatRequestResponse;
    /// `WechatPayService.SignWechatPayment`
    sign_wechat_payment: WechatPayServiceClient,
        SignWechatPaymentRequest => SignWechatPaymentResponse;
    /// `WechatPayService.VerifyWechatMessage`
    verify_wechat_message: WechatPayServiceClient,
        VerifyWechatMessageRequest => VerifyWechatMessageResponse;
    /// `WechatPayService.EncryptWechatFields`
    encrypt_wechat_fields: WechatPayServiceClient,
        EncryptWechatFieldsRequest => EncryptWechatFieldsResponse;
    /// `WechatPayService.DecryptWechatFields`
    decrypt_wechat_fields: WechatPayServiceClient,
        DecryptWechatFieldsRequest => DecryptWechatFieldsResponse;
    /// `WechatPayService.DecryptWechatResource`
    decrypt_wechat_resource: WechatPayServiceClient,
        DecryptWechatResourceRequest => DecryptWechatResourceResponse;
    /// `UnionPayGatewayService.SignGatewayRequest`
    sign_gateway_request: UnionPayGatewayServiceClient,
        SignGatewayRequestRequest => SignGatewayRequestResponse;
    /// `UnionPayGatewayService.VerifyGatewayResponse`
    verify_gateway_response: UnionPayGatewayServiceClient,
        VerifyGatewayResponseRequest => VerifyGatewayResponseResponse;
    /// `UnionPayGatewayService.EncryptGatewayFields`
    encrypt_gateway_fields: UnionPayGatewayServiceClient,
        EncryptGatewayFieldsRequest => EncryptGatewayFieldsResponse;
    /// `RandomService.GenerateRandom`
    generate_random: RandomServiceClient, GenerateRandomRequest => GenerateRandomResponse;
}

/// The calls of a client whose requests come in a stream. They are tried once: what was sent cannot
/// be sent again.
macro_rules! streams {
    ($($(#[$about:meta])* $call:ident: $service:ident, $asked:ident => $answered:ident;)*) => {
        impl Client {
            $(
                $(#[$about])*
                ///
                /// # Errors
                /// [`Error::Refused`].
                pub async fn $call(
                    &self,
                    asked: impl Stream<Item = pb::$asked> + Send + 'static,
                ) -> Result<pb::$answered, Error> {
                    let mut request = Request::new(asked);
                    request.set_timeout(self.deadline);
                    let answer = $service::new(self.channel.clone()).$call(request).await;
                    let answer = answer.map_err(|status| Refused::from(&status))?;
                    Ok(answer.into_inner())
                }
            )*
        }
    };
}

streams! {
    /// `MacService.GenerateMacStream`
    generate_mac_stream: MacServiceClient, GenerateMacStreamRequest => GenerateMacStreamResponse;
    /// `MacService.VerifyMacStream`
    verify_mac_stream: MacServiceClient, VerifyMacStreamRequest => VerifyMacStreamResponse;
}

calls! {
    admin;
    /// `KeyService.CreateKey`, on the control plane
    create_key: KeyServiceClient, CreateKeyRequest => CreateKeyResponse;
    /// `KeyService.ImportKey`, on the control plane
    import_key: KeyServiceClient, ImportKeyRequest => ImportKeyResponse;
    /// `KeyService.ImportCryptogram`, on the control plane
    import_cryptogram: KeyServiceClient, ImportCryptogramRequest => ImportCryptogramResponse;
    /// `KeyService.ExportKey`, on the control plane
    export_key: KeyServiceClient, ExportKeyRequest => ExportKeyResponse;
    /// `KeyService.GetKey`, on the control plane
    get_key: KeyServiceClient, GetKeyRequest => GetKeyResponse;
    /// `KeyService.ListKeys`, on the control plane
    list_keys: KeyServiceClient, ListKeysRequest => ListKeysResponse;
    /// `KeyService.RotateKey`, on the control plane
    rotate_key: KeyServiceClient, RotateKeyRequest => RotateKeyResponse;
    /// `KeyService.SetKeyState`, on the control plane
    set_key_state: KeyServiceClient, SetKeyStateRequest => SetKeyStateResponse;
    /// `KeyService.DestroyKey`, on the control plane
    destroy_key: KeyServiceClient, DestroyKeyRequest => DestroyKeyResponse;
    /// `KeyService.RestoreKey`, on the control plane
    restore_key: KeyServiceClient, RestoreKeyRequest => RestoreKeyResponse;
    /// `KeyService.UpdateKeyMetadata`, on the control plane
    update_key_metadata: KeyServiceClient, UpdateKeyMetadataRequest => UpdateKeyMetadataResponse;
    /// `KeyService.TranslateKeyBlock`, on the control plane
    translate_key_block: KeyServiceClient, TranslateKeyBlockRequest => TranslateKeyBlockResponse;
    /// `ApprovalService.ListApprovals`, on the control plane
    list_approvals: ApprovalServiceClient, ListApprovalsRequest => ListApprovalsResponse;
    /// `ApprovalService.DecideApproval`, on the control plane
    decide_approval: ApprovalServiceClient, DecideApprovalRequest => DecideApprovalResponse;
    /// `DecimalisationService.CreateDecimalisationTable`, on the control plane
    create_decimalisation_table: DecimalisationServiceClient,
        CreateDecimalisationTableRequest => CreateDecimalisationTableResponse;
    /// `DecimalisationService.ListDecimalisationTables`, on the control plane
    list_decimalisation_tables: DecimalisationServiceClient,
        ListDecimalisationTablesRequest => ListDecimalisationTablesResponse;
}

impl Client {
    /// Connects to `https://host:port` and shows a certificate.
    ///
    /// # Errors
    /// [`Error::Connect`].
    pub async fn connect(address: &str, tls: &Tls) -> Result<Self, Error> {
        let config = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&tls.server_ca))
            .identity(Identity::from_pem(
                &tls.certificate,
                tls.private_key.expose_secret(),
            ))
            .domain_name(&tls.server_name);
        Self::over(endpoint(address)?.tls_config(config)?).await
    }

    /// Connects to `http://host:port` without TLS, as `pintle dev` serves it.
    ///
    /// # Errors
    /// [`Error::Connect`].
    pub async fn danger_connect_plaintext(address: &str) -> Result<Self, Error> {
        Self::over(endpoint(address)?).await
    }

    /// The same connection with another deadline for each call.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self {
            deadline: deadline.min(limits::DEADLINE_MAX),
            ..self
        }
    }

    /// The same connection with another number of tries, one at least; for callers who try again
    /// elsewhere.
    #[must_use]
    pub fn with_tries(self, tries: u32) -> Self {
        Self {
            tries: tries.clamp(1, limits::CLIENT_TRIES_MAX),
            ..self
        }
    }

    async fn over(endpoint: Endpoint) -> Result<Self, Error> {
        let channel = endpoint.connect().await?;
        Ok(Self {
            channel,
            deadline: limits::DEADLINE_DEFAULT,
            tries: limits::CLIENT_TRIES_MAX,
        })
    }

    /// Tries a call until it is answered with something else than UNAVAILABLE, at most
    /// [`limits::CLIENT_TRIES_MAX`] times or as often as was asked for, all within one deadline.
    // Not an `AsyncFn`: of its future nobody can say that it may be spawned.
    async fn call<M: Clone, R, F>(
        &self,
        asked: &M,
        rpc: impl Fn(Request<M>) -> F,
    ) -> Result<R, Error>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let end = tokio::time::Instant::now() + self.deadline;
        let mut back_off = limits::CLIENT_BACK_OFF;
        let mut tries = 1;
        loop {
            let mut request = Request::new(asked.clone());
            request.set_timeout(end - tokio::time::Instant::now());
            match rpc(request).await {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) => {
                    let last = tries >= self.tries || tokio::time::Instant::now() + back_off >= end;
                    if status.code() != Code::Unavailable || last {
                        return Err(Refused::from(&status).into());
                    }
                }
            }
            tokio::time::sleep(back_off).await;
            back_off *= 2;
            tries += 1;
        }
    }
}

impl From<&Status> for Refused {
    fn from(status: &Status) -> Self {
        let details = status.get_error_details();
        let violations = details
            .bad_request()
            .map(|bad| bad.field_violations.as_slice());
        let field = violations
            .and_then(|all| all.first())
            .map(|one| one.field.clone());
        Self {
            code: status.code(),
            reason: details
                .error_info()
                .map(|info| info.reason.clone())
                .unwrap_or_default(),
            field,
            message: status.message().to_owned(),
        }
    }
}

fn endpoint(address: &str) -> Result<Endpoint, Error> {
    Ok(Endpoint::from_shared(address.to_owned())?
        .connect_timeout(limits::CLIENT_CONNECT_MAX)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(limits::HTTP2_KEEPALIVE)
        .keep_alive_timeout(limits::HTTP2_KEEPALIVE_TIMEOUT))
}
