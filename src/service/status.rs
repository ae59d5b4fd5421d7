//! The only file that makes a `tonic::Status`: every error becomes one [`Reason`], every reason
//! one canonical code and one fixed text (google.rpc.ErrorInfo, google.rpc.BadRequest).
//!
//! Exhaustive on purpose: a new error does not compile until somebody has said here what a caller
//! may learn of it. Internal text goes to the log, never into a status.
//!
//! [`Reason::PinBlockRejected`] stands for *everything* that depends on the clear PIN block: same
//! code, text, details and field, whatever was wrong with it.

use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};

use crate::domain::alipay::AlipayError;
use crate::domain::alipay::notification::FormError;
use crate::domain::alipay::response::ResponseError;
use crate::domain::alipay::v3;
use crate::domain::certificate::CertificateError;
use crate::domain::data::DataError;
use crate::domain::dukpt::KsnError;
use crate::domain::sensitive_field::FieldError;
use crate::domain::track::TrackError;
use crate::domain::union_pay_gateway::GatewayError;
use crate::domain::wechat_pay::WechatPayError;
use crate::hsm;
use crate::keys;
use crate::keys::dukpt::KsnFault;
use crate::keys::exchange::ExchangeError;
use crate::ops::{self, KeyRole, fill};
use crate::service::{Error, Field};

mod reason;

pub use self::reason::Reason;

/// `google.rpc.ErrorInfo.domain` of every refusal.
pub const DOMAIN: &str = "pintle";

/// What leaves of an error: a reason, and the field an operator would mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Why.
    pub reason: Reason,
    /// Where.
    pub field: Option<Field>,
    /// Whether the log has it from elsewhere: a token that is away says so once, not at each call.
    pub logged: bool,
}

impl Fault {
    /// The status of an error. It tells an approval's id besides what [`Fault`] tells.
    #[must_use]
    pub fn status_of(error: &Error) -> Status {
        let fault = Self::of(error);
        match error {
            Error::Operation(ops::Error::Key(_, keys::error::Error::ApprovalRequired { id })) => {
                let metadata = [("approval".to_owned(), id.clone())];
                let reason = fault.reason;
                let details = ErrorDetails::with_error_info(reason.as_str(), DOMAIN, metadata);
                Status::with_error_details(reason.code(), reason.message(), details)
            }
            _ => fault.status(),
        }
    }

    /// What a caller may learn of an error.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        match error {
            Error::CallerUnknown => Self::plain(Reason::CallerUnknown),
            Error::CallRefused => Self::plain(Reason::CallRefused),
            Error::CallUnknown => Self::plain(Reason::CallUnknown),
            Error::DeadlineMalformed => Self::plain(Reason::DeadlineMalformed),
            Error::MessageTooLarge => Self::plain(Reason::MessageTooLarge),
            Error::MessageMalformed => Self::plain(Reason::MessageMalformed),
            Error::FieldMissing(field) => Self::at(Reason::MissingField, field),
            Error::FieldSuperfluous(field) => Self::at(Reason::FieldSuperfluous, field),
            Error::FieldMalformed(field) => Self::at(Reason::FieldMalformed, field),
            Error::ItemsTooMany(field) => Self::at(Reason::ItemsTooMany, field),
            Error::KeyNameMalformed(field) => Self::at(Reason::KeyNameMalformed, field),
            Error::EnumUnknown(field) => Self::at(Reason::EnumUnknown, field),
            Error::DeadlineExceeded => Self::plain(Reason::DeadlineExceeded),
            Error::Cancelled => Self::plain(Reason::Cancelled),
            Error::Overloaded => Self::plain(Reason::Overloaded),
            Error::AuditUnavailable(_) | Error::AuditSlow => Self::plain(Reason::AuditUnavailable),
            Error::Invariant(_) => Self::plain(Reason::Internal),
            Error::Operation(error) => Self::of_operation(error),
        }
    }

    fn of_operation(error: &ops::Error) -> Self {
        use crate::ops::Error as Operation;
        match error {
            Operation::Shared(error) => Self::of_operation(error),
            Operation::PanMalformed => Self::at(Reason::PanMalformed, "pan"),
            Operation::PanLength => Self::at(Reason::PanLength, "pan"),
            Operation::PinBlockLength => Self::at(Reason::PinBlockLength, "pin_block"),
            Operation::PinBlockRejected(_) => Self::at(Reason::PinBlockRejected, "pin_block"),
            Operation::PinReference => Self::at(Reason::PinReferenceMalformed, "reference"),
            Operation::PinFormatUnbound => Self::at(Reason::PinFormatUnbound, "source_format"),
            Operation::NoNaturalPin => Self::at(Reason::NoNaturalPin, "choice"),
            Operation::MessageTooLong => Self::at(Reason::MessageTooLarge, "message"),
            Operation::MessageEmpty => Self::at(Reason::MessageEmpty, "message"),
            Operation::PinPlace => Self::at(Reason::PinPlace, "place"),
            Operation::MessageLengthMissing => Self::at(Reason::MissingField, "message_length"),
            Operation::MessageLengthMismatch => Self::at(Reason::MessageLength, "message_length"),
            Operation::MacLength => Self::at(Reason::MacLength, "mac"),
            Operation::DataTooLong => Self::at(Reason::MessageTooLarge, "data"),
            Operation::AssociatedDataTooLong => Self::at(Reason::MessageTooLarge, ASSOCIATED_DATA),
            Operation::Data(role, error) => Self::of_data(*role, *error),
            Operation::Track(error) => Self::of_track(error),
            Operation::ClearDataRefused(role) => {
                Self::at(Reason::ClearDataRefused, Self::key_field(*role))
            }
            Operation::RandomLength => Self::at(Reason::RandomLength, "length"),
            Operation::Parameters(error) => Self::of_parameters(error),
            Operation::Certificates(field, error) => Self::of_certificates(field, *error),
            Operation::RootsMissing => Self::at(Reason::CertificateFamilyMissing, "sign_type"),
            Operation::ContentTooLong => Self::at(Reason::MessageTooLarge, "content"),
            Operation::ContentRejected => Self::at(Reason::DataRejected, "content"),
            Operation::Fields(error) => Self::of_fields(*error),
            Operation::BodyTooLong => Self::at(Reason::MessageTooLarge, "body"),
            Operation::Response(error) => match error {
                ResponseError::Node => Self::at(Reason::FieldMalformed, "node"),
                ResponseError::Malformed => Self::at(Reason::ResponseMalformed, "body"),
                ResponseError::NodeMissing => Self::at(Reason::ResponseNodeMissing, "body"),
                ResponseError::Twice => Self::at(Reason::ResponseNodeTwice, "body"),
            },
            Operation::WechatPay(error) => Self::of_wechat_pay(error),
            Operation::Gateway(error) => Self::of_gateway(error),
            Operation::GatewayScheme => Self::at(Reason::KeyUsageRefused, "key"),
            Operation::Subject => Self::at(Reason::SubjectMalformed, "subject"),
            Operation::FormTooLong => Self::at(Reason::MessageTooLarge, "form"),
            Operation::Form(error) => match error {
                FormError::TooMany => Self::at(Reason::ParameterTooMany, "form"),
                FormError::Name | FormError::Twice => Self::at(Reason::FormMalformed, "form"),
            },
            Operation::V3(v3::Malformed { field }) => Self::at(Reason::FieldMalformed, field),
            Operation::V3Scheme => Self::at(Reason::KeyUsageRefused, "key"),
            Operation::SignatureEncoding => Self::at(Reason::SignatureEncodingRefused, "encoding"),
            Operation::SignTypeMismatch => Self::at(Reason::SignTypeMismatch, SIGN_TYPE),
            Operation::PinFormatRefused => Self::at(Reason::PinFormatRefused, "source_format"),
            Operation::TranslationForbidden => {
                Self::at(Reason::TranslationForbidden, "source_format")
            }
            Operation::Words(fault) => Self::at(Reason::KeySpecRefused, fault.field),
            Operation::PageToken => Self::at(Reason::PageTokenUnknown, "page_token"),
            Operation::Filter => Self::at(Reason::FilterMalformed, "filter"),
            Operation::Key(role, error) => Self::of_key(*role, error),
            Operation::Catalogue(_) => Self::plain(Reason::StoreUnavailable),
            Operation::Token(error) => Self::of_token(error),
            Operation::Tokens(_) => Self::plain(Reason::TokenUnavailable),
            Operation::Fill(fill::Exhausted) => Self::plain(Reason::TokenUnavailable),
            Operation::PinDraw => Self::plain(Reason::TokenUnavailable),
            Operation::MacKeyMismatch | Operation::PinKeyMismatch | Operation::SignatureFault => {
                Self::plain(Reason::Internal)
            }
        }
    }

    const fn of_track(error: &TrackError) -> Self {
        match error {
            TrackError::Digits => Self::at(Reason::TrackLength, "digits"),
            TrackError::Length => Self::at(Reason::TrackLength, "track"),
            TrackError::Rejected => Self::at(Reason::TrackRejected, "track"),
        }
    }

    /// Everything that depends on clear fields is one reason and one field.
    const fn of_fields(error: FieldError) -> Self {
        match error {
            FieldError::Length => Self::at(Reason::FieldLength, "fields"),
            FieldError::Rejected => Self::at(Reason::DataRejected, "fields"),
            FieldError::Encryption => Self::plain(Reason::Internal),
        }
    }

    fn of_parameters(error: &AlipayError) -> Self {
        match error {
            AlipayError::TooManyParameters => Self::at(Reason::ParameterTooMany, PARAMETERS),
            AlipayError::TooLong => Self::at(Reason::MessageTooLarge, PARAMETERS),
            AlipayError::EmptyName
            | AlipayError::NameTooLong
            | AlipayError::NameCharacters
            | AlipayError::DuplicateParameter { .. }
            | AlipayError::Unmappable { .. } => Self::at(Reason::ParameterMalformed, PARAMETERS),
            AlipayError::SignTypeMissing => Self::at(Reason::ParameterMissing, SIGN_TYPE),
            AlipayError::SignTypeUnknown => Self::at(Reason::ParameterMalformed, SIGN_TYPE),
            AlipayError::CharsetUnknown => Self::at(Reason::CharsetUnknown, "parameters.charset"),
            AlipayError::LineBreakInForm => {
                Self::at(Reason::ParameterMalformed, "parameters.biz_content")
            }
        }
    }

    const fn of_wechat_pay(error: &WechatPayError) -> Self {
        match error {
            WechatPayError::Method => Self::at(Reason::FieldMalformed, "method"),
            WechatPayError::Url => Self::at(Reason::FieldMalformed, "target"),
            WechatPayError::Word(field) => Self::at(Reason::FieldMalformed, field),
            WechatPayError::Resource(field) => Self::at(Reason::FieldMalformed, field),
            WechatPayError::Rejected => Self::at(Reason::DataRejected, "ciphertext"),
            WechatPayError::Cipher => Self::at(Reason::KeyUsageRefused, "key"),
            WechatPayError::PrepayId => Self::at(Reason::FieldMalformed, "prepay_id"),
            WechatPayError::TooLong => Self::at(Reason::MessageTooLarge, "body"),
            WechatPayError::Scheme => Self::at(Reason::KeyUsageRefused, "key"),
        }
    }

    const fn of_gateway(error: &GatewayError) -> Self {
        match error {
            GatewayError::TooManyParameters => Self::at(Reason::ParameterTooMany, PARAMETERS),
            GatewayError::TooLong => Self::at(Reason::MessageTooLarge, PARAMETERS),
            GatewayError::Name
            | GatewayError::DuplicateParameter { .. }
            | GatewayError::Unmappable { .. } => Self::at(Reason::ParameterMalformed, PARAMETERS),
            GatewayError::Version => Self::at(Reason::ParameterMalformed, "parameters.version"),
            GatewayError::SignMethod => {
                Self::at(Reason::ParameterMalformed, "parameters.signMethod")
            }
            GatewayError::Encoding => Self::at(Reason::CharsetUnknown, "parameters.encoding"),
            GatewayError::CertId => Self::at(Reason::ParameterMalformed, "parameters.certId"),
        }
    }

    const fn of_certificates(field: Field, error: CertificateError) -> Self {
        match error {
            CertificateError::Missing => Self::at(Reason::MissingField, field),
            CertificateError::TooLong | CertificateError::TooMany => {
                Self::at(Reason::MessageTooLarge, field)
            }
            CertificateError::OtherBlock => Self::at(Reason::CertificateOtherBlock, field),
            CertificateError::Encoding | CertificateError::Malformed => {
                Self::at(Reason::CertificateMalformed, field)
            }
        }
    }

    /// Everything that depends on clear data is one reason and one field.
    const fn of_data(role: KeyRole, error: DataError) -> Self {
        let destination = matches!(role, KeyRole::Destination);
        match error {
            DataError::Length => Self::at(Reason::DataLength, "data"),
            DataError::Iv if destination => Self::at(Reason::DataIv, "destination_iv"),
            DataError::Iv => Self::at(Reason::DataIv, "iv"),
            DataError::AssociatedData if destination => {
                Self::at(Reason::AssociatedDataRefused, "destination_associated_data")
            }
            DataError::AssociatedData => Self::at(Reason::AssociatedDataRefused, ASSOCIATED_DATA),
            DataError::Tag => Self::at(Reason::DataTag, "tag"),
            DataError::Rejected => Self::at(Reason::DataRejected, "data"),
            // The key's policy was checked when the key was made.
            DataError::Mode => Self::plain(Reason::Internal),
        }
    }

    const fn key_field(role: KeyRole) -> Field {
        match role {
            KeyRole::Only => "key",
            KeyRole::Source => "source_key",
            KeyRole::Destination => "destination_key",
            KeyRole::Verification => "verification_key",
            KeyRole::Named => "name",
            KeyRole::Protection => "protection_key",
            KeyRole::SourceProtection => "source_protection_key",
            KeyRole::DestinationProtection => "destination_protection_key",
            KeyRole::Parent => "parent_key",
            KeyRole::Transport => "transport_key",
            KeyRole::Terminal => "terminal_key",
            KeyRole::IncomingMac => "incoming_mac_key",
            KeyRole::OutgoingMac => "outgoing_mac_key",
            KeyRole::Other => "other_key",
            KeyRole::App => "app_key",
            KeyRole::Alipay => "alipay_key",
        }
    }

    fn of_key(role: KeyRole, error: &keys::error::Error) -> Self {
        use crate::keys::error::Error as Key;
        let field = Self::key_field(role);
        match error {
            Key::UnknownKey => Self::at(Reason::KeyUnknown, field),
            Key::UsageRefused { .. } => Self::at(Reason::KeyUsageRefused, field),
            Key::StateRefused { .. } => Self::at(Reason::KeyStateRefused, field),
            Key::RecordRefused { .. } | Key::CatalogueRefused(_) => {
                Self::at(Reason::KeyRecordRefused, field)
            }
            Key::TokenUnavailable(error) => Self::of_token(error),
            Key::TokenAway { .. } | Key::NoTokenServes { .. } | Key::TokenNotAtHand { .. } => {
                Self::plain(Reason::TokenUnavailable)
            }
            Key::StoreUnavailable(_) | Key::Blind => Self::plain(Reason::StoreUnavailable),
            Key::SlabFull => Self::plain(Reason::KeyMemoryFull),
            Key::Deadline => Self::plain(Reason::DeadlineExceeded),
            Key::Ksn(fault) => Self::of_ksn(role, *fault),
            Key::Exchange(error) => Self::of_exchange(error, field),
            Key::KeyExists { .. } => Self::at(Reason::KeyExists, field),
            Key::StateOrder { .. } => Self::at(Reason::KeyStateOrder, field),
            Key::VersionsFull { .. } => Self::at(Reason::KeyVersionsFull, field),
            Key::NotGeneratedHere { .. } => Self::at(Reason::KeyNotGeneratedHere, field),
            Key::PartnersKey { .. } => Self::at(Reason::KeyOfPartner, field),
            Key::ProcessKekRefused => Self::plain(Reason::ProcessKekRefused),
            Key::CryptogramReused => Self::at(Reason::CryptogramReused, "cryptogram"),
            Key::BudgetSpent => Self::plain(Reason::PinTriesSpent),
            Key::TableUnknown { .. } => Self::at(Reason::DecimalisationTableUnknown, field),
            Key::TableTampered { .. } => Self::at(Reason::DecimalisationTableRefused, field),
            Key::TableExists { .. } => Self::at(Reason::DecimalisationTableExists, "name"),
            Key::TableWeak(_) => Self::at(Reason::DecimalisationTableWeak, "digits"),
            Key::TablesFull => Self::plain(Reason::DecimalisationTablesFull),
            Key::TimeRefused { field, why: _ } => Self::at(Reason::TimeRefused, field),
            Key::RequestIdMalformed => Self::at(Reason::RequestIdMalformed, REQUEST_ID),
            Key::RequestIdReused => Self::at(Reason::RequestIdReused, REQUEST_ID),
            Key::ApprovalRequired { .. } => Self::plain(Reason::ApprovalRequired),
            Key::ApprovalRejected => Self::plain(Reason::ApprovalRejected),
            Key::ApprovalUnknown => Self::at(Reason::ApprovalUnknown, "id"),
            Key::ApprovalOwn => Self::plain(Reason::ApprovalOwn),
            // What only provisioning can come to, and no call does.
            Key::FileUnreadable { .. }
            | Key::FileSyntax { .. }
            | Key::FileRefused { .. }
            | Key::FileEnvironment { .. }
            | Key::Ceremony { .. }
            | Key::HostComponentsRefused
            | Key::DocumentRefused { .. }
            | Key::SealKeyInUse { .. }
            | Key::SoftwareToken
            | Key::TokenAtHand { .. }
            | Key::KeyPairMismatch
            | Key::RandomRefused => Self::plain(Reason::Internal),
        }
    }

    fn of_ksn(role: KeyRole, fault: KsnFault) -> Self {
        let field = match role {
            KeyRole::Only => "key.ksn",
            KeyRole::Source => "source_key.ksn",
            KeyRole::Destination => "destination_key.ksn",
            KeyRole::Verification => "verification_key.ksn",
            KeyRole::IncomingMac => "incoming_mac_key.ksn",
            KeyRole::OutgoingMac => "outgoing_mac_key.ksn",
            // Calls that take no KSN at all.
            KeyRole::Named
            | KeyRole::Protection
            | KeyRole::SourceProtection
            | KeyRole::DestinationProtection
            | KeyRole::Parent
            | KeyRole::Terminal
            | KeyRole::Transport
            | KeyRole::Other
            | KeyRole::App
            | KeyRole::Alipay => "ksn",
        };
        match fault {
            KsnFault::Missing => Self::at(Reason::MissingField, field),
            KsnFault::Superfluous => Self::at(Reason::FieldSuperfluous, field),
            KsnFault::Refused(KsnError::Length) => Self::at(Reason::KsnMalformed, field),
            KsnFault::Refused(KsnError::CounterZero | KsnError::CounterWeight) => {
                Self::at(Reason::KsnCounterRefused, field)
            }
            KsnFault::Replayed => Self::at(Reason::KsnReplayed, field),
            KsnFault::NotNoted => Self::plain(Reason::Internal),
        }
    }

    fn of_exchange(error: &ExchangeError, field: Field) -> Self {
        match error {
            // Why a version is not taken stands in the log: to whoever changes blocks, all is one.
            ExchangeError::Rejected | ExchangeError::LegacyVersion => {
                Self::at(Reason::KeyBlockRejected, field)
            }
            ExchangeError::NotOffered => Self::at(Reason::KeyNotOffered, field),
            ExchangeError::Attribute(field) => Self::at(Reason::KeyAttributeRefused, field),
            ExchangeError::Spec { field, why: _ } => Self::at(Reason::KeySpecRefused, field),
            ExchangeError::NotExportable => Self::at(Reason::KeyNotExportable, field),
            ExchangeError::Stronger => Self::at(Reason::ProtectionKeyWeaker, field),
            ExchangeError::CheckValue => Self::at(Reason::CheckValueMismatch, "check_value"),
            ExchangeError::NotWritten => Self::plain(Reason::Internal),
        }
    }

    fn of_token(error: &hsm::Error) -> Self {
        use crate::hsm::Class;
        match (error, error.class()) {
            (hsm::Error::Deadline, _) => Self::plain(Reason::DeadlineExceeded),
            (
                hsm::Error::NotOffered(_) | hsm::Error::NoSmNumber(_) | hsm::Error::SmNotOffered(_),
                _,
            ) => Self::plain(Reason::TokenLacks),
            (hsm::Error::QueueFull, _) => Self::plain(Reason::Overloaded),
            (hsm::Error::Unavailable(_), _) => Self {
                logged: true,
                ..Self::plain(Reason::TokenUnavailable)
            },
            (_, Class::Pool | Class::Session | Class::Object | Class::Token | Class::Module) => {
                Self::plain(Reason::TokenUnavailable)
            }
            // Our own arguments: the caller's were checked before.
            (_, Class::Request) => Self::plain(Reason::Internal),
        }
    }

    const fn plain(reason: Reason) -> Self {
        Self {
            reason,
            field: None,
            logged: false,
        }
    }

    const fn at(reason: Reason, field: Field) -> Self {
        Self {
            reason,
            field: Some(field),
            logged: false,
        }
    }

    /// The status. Its bytes depend on the reason and the field alone.
    #[must_use]
    pub fn status(self) -> Status {
        let Self { reason, field, .. } = self;
        let mut details = ErrorDetails::with_error_info(reason.as_str(), DOMAIN, []);
        if let Some(field) = field {
            details.add_bad_request_violation(field, reason.message());
        }
        Status::with_error_details(reason.code(), reason.message(), details)
    }
}

/// What a handler answers when the stack, above it, already holds the error: never seen outside.
pub(in crate::service) fn held_by_the_stack() -> Status {
    Status::unknown("")
}

const ASSOCIATED_DATA: Field = "associated_data";
const REQUEST_ID: Field = "request_id";
const PARAMETERS: Field = "parameters";
const SIGN_TYPE: Field = "parameters.sign_type";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::pin_block::Rejected;
    use tonic::Code;

    #[test]
    fn every_reason_is_one_upper_case_word_and_stands_once() {
        for (at, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), at);
            let word = reason.as_str();
            assert!(
                word.bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte == b'_'),
                "{word}"
            );
            assert_eq!(
                Reason::ALL
                    .iter()
                    .filter(|other| other.as_str() == word)
                    .count(),
                1
            );
            assert_ne!(reason.code(), Code::Ok);
        }
    }

    #[test]
    fn a_status_tells_its_reason_and_its_field() {
        let fault = Fault::of(&Error::FieldMissing("pan"));
        let details = fault.status().get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            ("MISSING_FIELD", "pintle")
        );
        assert_eq!(
            details.bad_request().unwrap().field_violations[0].field,
            "pan"
        );
    }

    #[test]
    fn a_rejected_pin_block_is_the_same_bytes_every_time() {
        let status =
            || Fault::of(&Error::Operation(ops::Error::PinBlockRejected(Rejected))).status();
        assert_eq!(status().details(), status().details());
        assert_eq!(status().message(), "the PIN block was rejected");
    }
}
