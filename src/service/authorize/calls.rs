//! The calls there are: one row per RPC, with its listener, its path, its largest message and its
//! metric. **No row means refused.**
//!
//! Who may make them is the policy file's, in `service::authorize`.

use crate::limits;
use crate::service::authorize::row::{Plane, RpcRow};
use crate::service::authorize::rpc::Rpc;

/// One row per RPC of `proto/`.
pub const RPCS: &[RpcRow] = &[
    RpcRow {
        rpc: Rpc::TranslatePin,
        plane: Plane::Data,
        path: "/pintle.v1.PinService/TranslatePin",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "translate_pin",
    },
    RpcRow {
        rpc: Rpc::TranslatePins,
        plane: Plane::Data,
        path: "/pintle.v1.PinService/TranslatePins",
        message_bytes_max: limits::BATCH_MESSAGE_BYTES_MAX,
        metric: "translate_pins",
    },
    RpcRow {
        rpc: Rpc::VerifyPin,
        plane: Plane::Data,
        path: "/pintle.v1.PinService/VerifyPin",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "verify_pin",
    },
    RpcRow {
        rpc: Rpc::GeneratePinReference,
        plane: Plane::Data,
        path: "/pintle.v1.PinService/GeneratePinReference",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "generate_pin_reference",
    },
    RpcRow {
        rpc: Rpc::GeneratePin,
        plane: Plane::Data,
        path: "/pintle.v1.PinService/GeneratePin",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "generate_pin",
    },
    RpcRow {
        rpc: Rpc::GenerateMac,
        plane: Plane::Data,
        path: "/pintle.v1.MacService/GenerateMac",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "generate_mac",
    },
    RpcRow {
        rpc: Rpc::VerifyMac,
        plane: Plane::Data,
        path: "/pintle.v1.MacService/VerifyMac",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "verify_mac",
    },
    RpcRow {
        rpc: Rpc::SignIn,
        plane: Plane::Data,
        path: "/pintle.v1.TerminalService/SignIn",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "sign_in",
    },
    RpcRow {
        rpc: Rpc::SecureMessage,
        plane: Plane::Data,
        path: "/pintle.v1.TerminalService/SecureMessage",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "secure_message",
    },
    RpcRow {
        rpc: Rpc::GenerateMacs,
        plane: Plane::Data,
        path: "/pintle.v1.MacService/GenerateMacs",
        message_bytes_max: limits::BATCH_MESSAGE_BYTES_MAX,
        metric: "generate_macs",
    },
    RpcRow {
        rpc: Rpc::VerifyMacs,
        plane: Plane::Data,
        path: "/pintle.v1.MacService/VerifyMacs",
        message_bytes_max: limits::BATCH_MESSAGE_BYTES_MAX,
        metric: "verify_macs",
    },
    RpcRow {
        rpc: Rpc::GenerateMacStream,
        plane: Plane::Data,
        path: "/pintle.v1.MacService/GenerateMacStream",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "generate_mac_stream",
    },
    RpcRow {
        rpc: Rpc::VerifyMacStream,
        plane: Plane::Data,
        path: "/pintle.v1.MacService/VerifyMacStream",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "verify_mac_stream",
    },
    RpcRow {
        rpc: Rpc::EncryptData,
        plane: Plane::Data,
        path: "/pintle.v1.DataService/EncryptData",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "encrypt_data",
    },
    RpcRow {
        rpc: Rpc::DecryptData,
        plane: Plane::Data,
        path: "/pintle.v1.DataService/DecryptData",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "decrypt_data",
    },
    RpcRow {
        rpc: Rpc::TranslateData,
        plane: Plane::Data,
        path: "/pintle.v1.DataService/TranslateData",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "translate_data",
    },
    RpcRow {
        rpc: Rpc::TranslateTrack,
        plane: Plane::Data,
        path: "/pintle.v1.DataService/TranslateTrack",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "translate_track",
    },
    RpcRow {
        rpc: Rpc::Sign,
        plane: Plane::Data,
        path: "/pintle.v1.SigningService/Sign",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "sign",
    },
    RpcRow {
        rpc: Rpc::Verify,
        plane: Plane::Data,
        path: "/pintle.v1.SigningService/Verify",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "verify",
    },
    RpcRow {
        rpc: Rpc::CreateCertificateRequest,
        plane: Plane::Data,
        path: "/pintle.v1.SigningService/CreateCertificateRequest",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "create_certificate_request",
    },
    RpcRow {
        rpc: Rpc::GetPublicKey,
        plane: Plane::Data,
        path: "/pintle.v1.SigningService/GetPublicKey",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "get_public_key",
    },
    RpcRow {
        rpc: Rpc::SignRequest,
        plane: Plane::Data,
        path: "/pintle.v1.AlipayService/SignRequest",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "sign_request",
    },
    RpcRow {
        rpc: Rpc::SignPagePay,
        plane: Plane::Data,
        path: "/pintle.v1.AlipayService/SignPagePay",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "sign_page_pay",
    },
    RpcRow {
        rpc: Rpc::SignAppPay,
        plane: Plane::Data,
        path: "/pintle.v1.AlipayService/SignAppPay",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "sign_app_pay",
    },
    RpcRow {
        rpc: Rpc::EncryptContent,
        plane: Plane::Data,
        path: "/pintle.v1.AlipayService/EncryptContent",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "encrypt_content",
    },
    RpcRow {
        rpc: Rpc::DecryptContent,
        plane: Plane::Data,
        path: "/pintle.v1.AlipayService/DecryptContent",
        message_bytes_max: limits::CONTENT_MESSAGE_BYTES_MAX,
        metric: "decrypt_content",
    },
    RpcRow {
        rpc: Rpc::ComputeCertificateSerial,
        plane: Plane::Data,
        path: "/pintle.v1.AlipayService/ComputeCertificateSerial",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "compute_certificate_serial",
    },
    RpcRow {
        rpc: Rpc::CheckCertificateChain,
        plane: Plane::Data,
        path: "/pintle.v1.AlipayService/CheckCertificateChain",
        message_bytes_max: limits::CHAIN_MESSAGE_BYTES_MAX,
        metric: "check_certificate_chain",
    },
    RpcRow {
        rpc: Rpc::VerifyResponse,
        plane: Plane::Data,
        path: "/pintle.v1.AlipayService/VerifyResponse",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "verify_response",
    },
    RpcRow {
        rpc: Rpc::SignV3Request,
        plane: Plane::Data,
        path: "/pintle.v1.AlipayService/SignV3Request",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "sign_v3_request",
    },
    RpcRow {
        rpc: Rpc::VerifyV3Response,
        plane: Plane::Data,
        path: "/pintle.v1.AlipayService/VerifyV3Response",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "verify_v3_response",
    },
    RpcRow {
        rpc: Rpc::VerifyNotification,
        plane: Plane::Data,
        path: "/pintle.v1.AlipayService/VerifyNotification",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "verify_notification",
    },
    RpcRow {
        rpc: Rpc::DiffSignString,
        plane: Plane::Data,
        path: "/pintle.v1.AlipayService/DiffSignString",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "diff_sign_string",
    },
    RpcRow {
        rpc: Rpc::CheckProfile,
        plane: Plane::Data,
        path: "/pintle.v1.AlipayService/CheckProfile",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "check_profile",
    },
    RpcRow {
        rpc: Rpc::SignWechatRequest,
        plane: Plane::Data,
        path: "/pintle.v1.WechatPayService/SignWechatRequest",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "sign_wechat_request",
    },
    RpcRow {
        rpc: Rpc::SignWechatPayment,
        plane: Plane::Data,
        path: "/pintle.v1.WechatPayService/SignWechatPayment",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "sign_wechat_payment",
    },
    RpcRow {
        rpc: Rpc::VerifyWechatMessage,
        plane: Plane::Data,
        path: "/pintle.v1.WechatPayService/VerifyWechatMessage",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "verify_wechat_message",
    },
    RpcRow {
        rpc: Rpc::EncryptWechatFields,
        plane: Plane::Data,
        path: "/pintle.v1.WechatPayService/EncryptWechatFields",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "encrypt_wechat_fields",
    },
    RpcRow {
        rpc: Rpc::DecryptWechatFields,
        plane: Plane::Data,
        path: "/pintle.v1.WechatPayService/DecryptWechatFields",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "decrypt_wechat_fields",
    },
    RpcRow {
        rpc: Rpc::DecryptWechatResource,
        plane: Plane::Data,
        path: "/pintle.v1.WechatPayService/DecryptWechatResource",
        message_bytes_max: limits::CONTENT_MESSAGE_BYTES_MAX,
        metric: "decrypt_wechat_resource",
    },
    RpcRow {
        rpc: Rpc::SignGatewayRequest,
        plane: Plane::Data,
        path: "/pintle.v1.UnionPayGatewayService/SignGatewayRequest",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "sign_gateway_request",
    },
    RpcRow {
        rpc: Rpc::VerifyGatewayResponse,
        plane: Plane::Data,
        path: "/pintle.v1.UnionPayGatewayService/VerifyGatewayResponse",
        message_bytes_max: limits::CHAIN_MESSAGE_BYTES_MAX,
        metric: "verify_gateway_response",
    },
    RpcRow {
        rpc: Rpc::EncryptGatewayFields,
        plane: Plane::Data,
        path: "/pintle.v1.UnionPayGatewayService/EncryptGatewayFields",
        message_bytes_max: limits::GRPC_MESSAGE_BYTES_MAX,
        metric: "encrypt_gateway_fields",
    },
    RpcRow {
        rpc: Rpc::GenerateRandom,
        plane: Plane::Data,
        path: "/pintle.v1.RandomService/GenerateRandom",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "generate_random",
    },
    RpcRow {
        rpc: Rpc::CreateKey,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.KeyService/CreateKey",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "create_key",
    },
    RpcRow {
        rpc: Rpc::ImportKey,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.KeyService/ImportKey",
        message_bytes_max: limits::KEY_MESSAGE_BYTES_MAX,
        metric: "import_key",
    },
    RpcRow {
        rpc: Rpc::ImportCryptogram,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.KeyService/ImportCryptogram",
        message_bytes_max: limits::KEY_MESSAGE_BYTES_MAX,
        metric: "import_cryptogram",
    },
    RpcRow {
        rpc: Rpc::ExportKey,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.KeyService/ExportKey",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "export_key",
    },
    RpcRow {
        rpc: Rpc::GetKey,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.KeyService/GetKey",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "get_key",
    },
    RpcRow {
        rpc: Rpc::ListKeys,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.KeyService/ListKeys",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "list_keys",
    },
    RpcRow {
        rpc: Rpc::RotateKey,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.KeyService/RotateKey",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "rotate_key",
    },
    RpcRow {
        rpc: Rpc::SetKeyState,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.KeyService/SetKeyState",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "set_key_state",
    },
    RpcRow {
        rpc: Rpc::DestroyKey,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.KeyService/DestroyKey",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "destroy_key",
    },
    RpcRow {
        rpc: Rpc::RestoreKey,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.KeyService/RestoreKey",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "restore_key",
    },
    RpcRow {
        rpc: Rpc::UpdateKeyMetadata,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.KeyService/UpdateKeyMetadata",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "update_key_metadata",
    },
    RpcRow {
        rpc: Rpc::TranslateKeyBlock,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.KeyService/TranslateKeyBlock",
        message_bytes_max: limits::KEY_MESSAGE_BYTES_MAX,
        metric: "translate_key_block",
    },
    RpcRow {
        rpc: Rpc::ListApprovals,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.ApprovalService/ListApprovals",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "list_approvals",
    },
    RpcRow {
        rpc: Rpc::DecideApproval,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.ApprovalService/DecideApproval",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "decide_approval",
    },
    RpcRow {
        rpc: Rpc::CreateDecimalisationTable,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.DecimalisationService/CreateDecimalisationTable",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "create_decimalisation_table",
    },
    RpcRow {
        rpc: Rpc::ListDecimalisationTables,
        plane: Plane::Admin,
        path: "/pintle.admin.v1.DecimalisationService/ListDecimalisationTables",
        message_bytes_max: limits::SMALL_MESSAGE_BYTES_MAX,
        metric: "list_decimalisation_tables",
    },
];

impl Rpc {
    /// Whether it changes keys or lets them in or out: what a second person may be asked about.
    #[must_use]
    pub const fn changes(self) -> bool {
        match self {
            Self::CreateKey
            | Self::ImportKey
            | Self::ImportCryptogram
            | Self::ExportKey
            | Self::RotateKey
            | Self::SetKeyState
            | Self::DestroyKey
            | Self::RestoreKey
            | Self::UpdateKeyMetadata
            | Self::TranslateKeyBlock
            | Self::CreateDecimalisationTable => true,
            Self::TranslatePin
            | Self::TranslatePins
            | Self::VerifyPin
            | Self::GeneratePinReference
            | Self::GeneratePin
            | Self::GenerateMac
            | Self::VerifyMac
            | Self::SignIn
            | Self::SecureMessage
            | Self::GenerateMacs
            | Self::VerifyMacs
            | Self::GenerateMacStream
            | Self::VerifyMacStream
            | Self::EncryptData
            | Self::DecryptData
            | Self::TranslateData
            | Self::TranslateTrack
            | Self::Sign
            | Self::Verify
            | Self::CreateCertificateRequest
            | Self::GetPublicKey
            | Self::SignRequest
            | Self::SignPagePay
            | Self::SignAppPay
            | Self::EncryptContent
            | Self::DecryptContent
            | Self::ComputeCertificateSerial
            | Self::CheckCertificateChain
            | Self::VerifyResponse
            | Self::SignV3Request
            | Self::VerifyV3Response
            | Self::VerifyNotification
            | Self::DiffSignString
            | Self::CheckProfile
            | Self::SignWechatRequest
            | Self::SignWechatPayment
            | Self::VerifyWechatMessage
            | Self::EncryptWechatFields
            | Self::DecryptWechatFields
            | Self::DecryptWechatResource
            | Self::SignGatewayRequest
            | Self::VerifyGatewayResponse
            | Self::EncryptGatewayFields
            | Self::GenerateRandom
            | Self::GetKey
            | Self::ListKeys
            | Self::ListApprovals
            | Self::DecideApproval
            | Self::ListDecimalisationTables => false,
        }
    }
}
