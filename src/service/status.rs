//! The only file that makes a `tonic::Status`: every error becomes one [`Reason`], every reason
//! one canonical code and one fixed text (google.rpc.ErrorInfo, google.rpc.BadRequest).
//!
//! Exhaustive on purpose: a new error does not compile until somebody has said here what a caller
//! may learn of it. Internal text goes to the log, never into a status.
//!
//! [`Reason::PinBlockRejected`] stands for *everything* that depends on the clear PIN block: same
//! code, text, details and field, whatever was wrong with it.

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::domain::alipay::AlipayError;
use crate::hsm;
use crate::keys;
use crate::keys::exchange::ExchangeError;
use crate::ops::{self, KeyRole, fill};
use crate::service::{Error, Field};

/// `google.rpc.ErrorInfo.domain` of every refusal.
pub const DOMAIN: &str = "pintle";

macro_rules! reasons {
    ($($name:ident, $text:literal, $code:ident, $message:literal;)*) => {
        /// Why a call was refused, in one word: `google.rpc.ErrorInfo.reason`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Reason {
            $(#[doc = $message] $name,)*
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The word on the wire, in metrics and in the journal.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The canonical code.
            #[must_use]
            pub const fn code(self) -> Code {
                match self { $(Self::$name => Code::$code,)* }
            }

            /// The fixed text.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self { $(Self::$name => $message,)* }
            }
        }
    };
}

reasons! {
    // Who is calling, and what.
    CallerUnknown, "CALLER_UNKNOWN", Unauthenticated,
        "the connection does not name one caller";
    CallRefused, "CALL_REFUSED", PermissionDenied,
        "the caller may not make this call";
    CallUnknown, "CALL_UNKNOWN", Unimplemented,
        "there is no such call";
    // The form of the request.
    DeadlineMalformed, "DEADLINE_MALFORMED", InvalidArgument,
        "grpc-timeout cannot be read";
    MessageTooLarge, "MESSAGE_TOO_LARGE", InvalidArgument,
        "the message is larger than this call allows";
    MessageMalformed, "MESSAGE_MALFORMED", InvalidArgument,
        "the message cannot be read";
    MissingField, "MISSING_FIELD", InvalidArgument,
        "a field that must be there is missing";
    FieldSuperfluous, "FIELD_SUPERFLUOUS", InvalidArgument,
        "a field that must be empty is not";
    FieldMalformed, "FIELD_MALFORMED", InvalidArgument,
        "a field cannot be read";
    EnumUnknown, "ENUM_UNKNOWN", InvalidArgument,
        "a value is not one of its enum";
    KeyNameMalformed, "KEY_NAME_MALFORMED", InvalidArgument,
        "a key name is 1 to 63 of a-z, 0-9, dot, underscore and hyphen, a letter or digit first";
    PanMalformed, "PAN_MALFORMED", InvalidArgument,
        "the PAN must be decimal digits";
    PanLength, "PAN_LENGTH", InvalidArgument,
        "the PAN's length is not one the PIN block format takes";
    PinBlockLength, "PIN_BLOCK_LENGTH", InvalidArgument,
        "the PIN block's length is not that of its format";
    MacLength, "MAC_LENGTH", InvalidArgument,
        "the MAC's length is not the one the key's policy names";
    MessageEmpty, "MESSAGE_EMPTY", InvalidArgument,
        "the key's scheme cannot authenticate an empty message";
    RandomLength, "RANDOM_LENGTH", InvalidArgument,
        "the length must be 1 to 1024";
    ParameterMissing, "PARAMETER_MISSING", InvalidArgument,
        "a parameter that must be there is missing";
    ParameterMalformed, "PARAMETER_MALFORMED", InvalidArgument,
        "a parameter cannot be signed as it is";
    ParameterTooMany, "PARAMETER_TOO_MANY", InvalidArgument,
        "there are more parameters than a request can have";
    CharsetUnknown, "CHARSET_UNKNOWN", InvalidArgument,
        "the charset parameter names none that is known";
    SignTypeMismatch, "SIGN_TYPE_MISMATCH", InvalidArgument,
        "the sign_type parameter is not the key's scheme";
    // What depends on the clear PIN block. One reason, for ever.
    PinBlockRejected, "PIN_BLOCK_REJECTED", InvalidArgument,
        "the PIN block was rejected";
    // What depends on the inside of a key block. One reason, for ever.
    KeyBlockRejected, "KEY_BLOCK_REJECTED", InvalidArgument,
        "the key block was rejected";
    // Keys that come in and go out.
    KeyNotOffered, "KEY_NOT_OFFERED", FailedPrecondition,
        "keys of this usage, mode or algorithm are not offered here";
    KeyAttributeRefused, "KEY_ATTRIBUTE_REFUSED", InvalidArgument,
        "this is not what the block says, or looser";
    KeySpecRefused, "KEY_SPEC_REFUSED", InvalidArgument,
        "this does not go with the key's other attributes";
    KeyNotExportable, "KEY_NOT_EXPORTABLE", FailedPrecondition,
        "the key may not leave";
    ProtectionKeyWeaker, "PROTECTION_KEY_WEAKER", FailedPrecondition,
        "the protection key is weaker than the key";
    CheckValueMismatch, "CHECK_VALUE_MISMATCH", InvalidArgument,
        "the check value is not the key's, or shorter than 3 bytes";
    // Keys and their policy.
    KeyUnknown, "KEY_UNKNOWN", NotFound,
        "there is no such key for this caller";
    KeyUsageRefused, "KEY_USAGE_REFUSED", FailedPrecondition,
        "the key is not for this use";
    KeyStateRefused, "KEY_STATE_REFUSED", FailedPrecondition,
        "the key's state does not allow this use";
    PinFormatRefused, "PIN_FORMAT_REFUSED", FailedPrecondition,
        "the source key's policy does not list this PIN block format";
    TranslationForbidden, "TRANSLATION_FORBIDDEN", FailedPrecondition,
        "this translation is forbidden";
    KeyExists, "KEY_EXISTS", AlreadyExists,
        "a key of this name exists already";
    KeyStateOrder, "KEY_STATE_ORDER", FailedPrecondition,
        "this state does not follow the one the key is in";
    KeyVersionsFull, "KEY_VERSIONS_FULL", FailedPrecondition,
        "the key has as many versions as a key may";
    KeyNotGeneratedHere, "KEY_NOT_GENERATED_HERE", FailedPrecondition,
        "new versions are made of keys that were generated here";
    ProcessKekRefused, "PROCESS_KEK_REFUSED", FailedPrecondition,
        "keys that protect others may not live in this server's process";
    CryptogramReused, "CRYPTOGRAM_REUSED", FailedPrecondition,
        "this cryptogram came in before under another usage";
    TimeRefused, "TIME_REFUSED", InvalidArgument,
        "a moment or a span is out of bounds";
    PageTokenUnknown, "PAGE_TOKEN_UNKNOWN", InvalidArgument,
        "the page token is none of ours";
    FilterMalformed, "FILTER_MALFORMED", InvalidArgument,
        "the filter cannot be read: see ListKeysRequest.filter";
    // Repetitions and the second person.
    RequestIdMalformed, "REQUEST_ID_MALFORMED", InvalidArgument,
        "a request id is 1 to 128 printable characters without spaces";
    RequestIdReused, "REQUEST_ID_REUSED", FailedPrecondition,
        "another request had this id";
    ApprovalRequired, "APPROVAL_REQUIRED", FailedPrecondition,
        "a second person must approve this request first";
    ApprovalRejected, "APPROVAL_REJECTED", PermissionDenied,
        "the request was not approved, or its approval was used";
    ApprovalUnknown, "APPROVAL_UNKNOWN", NotFound,
        "no such approval waits, or it is of another request";
    ApprovalOwn, "APPROVAL_OWN", PermissionDenied,
        "whoever asked cannot decide";
    KeyRecordRefused, "KEY_RECORD_REFUSED", DataLoss,
        "the key's record does not open";
    // Time and load.
    DeadlineExceeded, "DEADLINE_EXCEEDED", DeadlineExceeded,
        "the deadline passed";
    Cancelled, "CANCELLED", Cancelled,
        "the caller went away";
    Overloaded, "OVERLOADED", ResourceExhausted,
        "too many calls in flight";
    KeyMemoryFull, "KEY_MEMORY_FULL", ResourceExhausted,
        "the memory for open keys is full";
    // Something beside us does not answer.
    TokenUnavailable, "TOKEN_UNAVAILABLE", Unavailable,
        "the token does not answer";
    StoreUnavailable, "STORE_UNAVAILABLE", Unavailable,
        "the store does not answer";
    TokenLacks, "TOKEN_LACKS_MECHANISM", FailedPrecondition,
        "the token has not the mechanism that this key needs: `pintle doctor` lists what it has";
    AuditUnavailable, "AUDIT_UNAVAILABLE", Unavailable,
        "the audit journal does not take the record";
    // Us.
    Internal, "INTERNAL", Internal,
        "internal error";
}

impl Reason {
    /// Its place in [`Reason::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The canonical code's own name, for the journal.
    #[must_use]
    pub const fn code_name(self) -> &'static str {
        match self.code() {
            Code::Ok => "OK",
            Code::Cancelled => "CANCELLED",
            Code::Unknown => "UNKNOWN",
            Code::InvalidArgument => "INVALID_ARGUMENT",
            Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Code::NotFound => "NOT_FOUND",
            Code::AlreadyExists => "ALREADY_EXISTS",
            Code::PermissionDenied => "PERMISSION_DENIED",
            Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Code::FailedPrecondition => "FAILED_PRECONDITION",
            Code::Aborted => "ABORTED",
            Code::OutOfRange => "OUT_OF_RANGE",
            Code::Unimplemented => "UNIMPLEMENTED",
            Code::Internal => "INTERNAL",
            Code::Unavailable => "UNAVAILABLE",
            Code::DataLoss => "DATA_LOSS",
            Code::Unauthenticated => "UNAUTHENTICATED",
        }
    }

    /// Whether whoever runs the server must look at the log: it is not the caller's to mend.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        matches!(
            self.code(),
            Code::Internal | Code::Unavailable | Code::DataLoss | Code::ResourceExhausted
        )
    }
}

/// What leaves of an error: a reason, and the field an operator would mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Why.
    pub reason: Reason,
    /// Where.
    pub field: Option<Field>,
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
            Operation::PanMalformed => Self::at(Reason::PanMalformed, "pan"),
            Operation::PanLength => Self::at(Reason::PanLength, "pan"),
            Operation::PinBlockLength => Self::at(Reason::PinBlockLength, "pin_block"),
            Operation::PinBlockRejected(_) => Self::at(Reason::PinBlockRejected, "pin_block"),
            Operation::MessageTooLong => Self::at(Reason::MessageTooLarge, "message"),
            Operation::MessageEmpty => Self::at(Reason::MessageEmpty, "message"),
            Operation::MacLength => Self::at(Reason::MacLength, "mac"),
            Operation::RandomLength => Self::at(Reason::RandomLength, "length"),
            Operation::Parameters(error) => Self::of_parameters(error),
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
            Operation::Fill(fill::Exhausted) => Self::plain(Reason::TokenUnavailable),
            Operation::MacKeyMismatch | Operation::SignatureFault => Self::plain(Reason::Internal),
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
        }
    }

    fn of_key(role: KeyRole, error: &keys::error::Error) -> Self {
        use crate::keys::error::Error as Key;
        let field = match role {
            KeyRole::Only => "key",
            KeyRole::Source => "source_key",
            KeyRole::Destination => "destination_key",
            KeyRole::Named => "name",
            KeyRole::Protection => "protection_key",
            KeyRole::SourceProtection => "source_protection_key",
            KeyRole::DestinationProtection => "destination_protection_key",
            KeyRole::Parent => "parent_key",
            KeyRole::Transport => "transport_key",
        };
        match error {
            Key::UnknownKey => Self::at(Reason::KeyUnknown, field),
            Key::UsageRefused { .. } => Self::at(Reason::KeyUsageRefused, field),
            Key::StateRefused { .. } => Self::at(Reason::KeyStateRefused, field),
            Key::RecordRefused { .. } | Key::CatalogueRefused(_) => {
                Self::at(Reason::KeyRecordRefused, field)
            }
            Key::TokenUnavailable(error) => Self::of_token(error),
            Key::StoreUnavailable(_) | Key::Blind => Self::plain(Reason::StoreUnavailable),
            Key::SlabFull => Self::plain(Reason::KeyMemoryFull),
            Key::Deadline => Self::plain(Reason::DeadlineExceeded),
            Key::Exchange(error) => Self::of_exchange(error, field),
            Key::KeyExists { .. } => Self::at(Reason::KeyExists, field),
            Key::StateOrder { .. } => Self::at(Reason::KeyStateOrder, field),
            Key::VersionsFull { .. } => Self::at(Reason::KeyVersionsFull, field),
            Key::NotGeneratedHere { .. } => Self::at(Reason::KeyNotGeneratedHere, field),
            Key::ProcessKekRefused => Self::plain(Reason::ProcessKekRefused),
            Key::CryptogramReused => Self::at(Reason::CryptogramReused, "cryptogram"),
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
            | Key::TokenNotAtHand { .. }
            | Key::TokenAtHand { .. }
            | Key::KeyPairMismatch
            | Key::RandomRefused => Self::plain(Reason::Internal),
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
            (hsm::Error::NotOffered(_), _) => Self::plain(Reason::TokenLacks),
            (hsm::Error::QueueFull, _) => Self::plain(Reason::Overloaded),
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
        }
    }

    const fn at(reason: Reason, field: Field) -> Self {
        Self {
            reason,
            field: Some(field),
        }
    }

    /// The status. Its bytes depend on the reason and the field alone.
    #[must_use]
    pub fn status(self) -> Status {
        let Self { reason, field } = self;
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

const REQUEST_ID: Field = "request_id";
const PARAMETERS: Field = "parameters";
const SIGN_TYPE: Field = "parameters.sign_type";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::pin_block::Rejected;

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
