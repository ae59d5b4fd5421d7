//! The reasons a call may be refused for: one word, one canonical code and one fixed text each.
//!
//! [`Reason::PinBlockRejected`] stands for *everything* that depends on the clear PIN block.

use tonic::Code;

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
    PinPlace, "PIN_PLACE", InvalidArgument,
        "the PIN block's place does not lie within the outgoing message";
    PinReferenceMalformed, "PIN_REFERENCE_MALFORMED", InvalidArgument,
        "a PVV has 4 digits, an offset as many as the key's policy says";
    MacLength, "MAC_LENGTH", InvalidArgument,
        "the MAC's length is not the one the key's policy names";
    MessageEmpty, "MESSAGE_EMPTY", InvalidArgument,
        "the key's scheme cannot authenticate an empty message";
    MessageLength, "MESSAGE_LENGTH", InvalidArgument,
        "the message is not as long as was said";
    ItemsTooMany, "ITEMS_TOO_MANY", InvalidArgument,
        "a batch has at most 1024 items";
    DataLength, "DATA_LENGTH", InvalidArgument,
        "the data's length is not one that the key's mode takes";
    DataIv, "DATA_IV", InvalidArgument,
        "the IV is not the one that the key's policy asks for, or there is one and it asks for none";
    DataTag, "DATA_TAG", InvalidArgument,
        "the tag's length is not the one the key's policy names";
    AssociatedDataRefused, "ASSOCIATED_DATA_REFUSED", InvalidArgument,
        "the key's mode has no associated data";
    FieldLength, "FIELD_LENGTH", InvalidArgument,
        "a sensitive field is empty, or longer than the key's scheme takes";
    TrackLength, "TRACK_LENGTH", InvalidArgument,
        "the track's length is not one that the keys' layouts take";
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
    SubjectMalformed, "SUBJECT_MALFORMED", InvalidArgument,
        "the subject is not a distinguished name such as CN=2021000000000001,O=Shop,C=CN";
    CertificateMalformed, "CERTIFICATE_MALFORMED", InvalidArgument,
        "these are not X.509 certificates in PEM, DER or base64";
    CertificateOtherBlock, "CERTIFICATE_OTHER_BLOCK", InvalidArgument,
        "a PEM block is not a certificate, and nothing else belongs here: no private key, above all";
    CertificateFamilyMissing, "CERTIFICATE_FAMILY_MISSING", InvalidArgument,
        "no certificate of the bundle is signed in the family of this sign_type";
    SignatureEncodingRefused, "SIGNATURE_ENCODING_REFUSED", InvalidArgument,
        "the key's scheme does not have this encoding";
    ResponseMalformed, "RESPONSE_MALFORMED", InvalidArgument,
        "the body is not one JSON object whose names have no escapes";
    ResponseNodeMissing, "RESPONSE_NODE_MISSING", InvalidArgument,
        "the body has neither the node nor error_response, as an object or a string";
    ResponseNodeTwice, "RESPONSE_NODE_TWICE", InvalidArgument,
        "the body has the node, sign or alipay_cert_sn twice";
    FormMalformed, "FORM_MALFORMED", InvalidArgument,
        "the form has a name twice, or one that is not 1 to 128 printable characters without & and =";
    KsnMalformed, "KSN_MALFORMED", InvalidArgument,
        "a KSN is 10 bytes for a TDES base derivation key and 12 for an AES one";
    KsnCounterRefused, "KSN_COUNTER_REFUSED", InvalidArgument,
        "the counter of the KSN is one that no device counts to";
    KsnReplayed, "KSN_REPLAYED", FailedPrecondition,
        "the KSN came before, or is too old to tell";
    // What depends on the clear PIN block. One reason, for ever.
    PinBlockRejected, "PIN_BLOCK_REJECTED", InvalidArgument,
        "the PIN block was rejected";
    // What depends on clear data and clear tracks. One reason each, for ever.
    DataRejected, "DATA_REJECTED", InvalidArgument,
        "the data was rejected";
    TrackRejected, "TRACK_REJECTED", InvalidArgument,
        "the track was rejected";
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
    ClearDataRefused, "CLEAR_DATA_REFUSED", FailedPrecondition,
        "the key's policy lets what is under it be translated only, to keys that cannot decrypt here";
    TranslationForbidden, "TRANSLATION_FORBIDDEN", FailedPrecondition,
        "this translation is forbidden";
    PinFormatUnbound, "PIN_FORMAT_UNBOUND", FailedPrecondition,
        "PINs are verified and made in formats that are bound to the PAN only";
    NoNaturalPin, "NO_NATURAL_PIN", FailedPrecondition,
        "PINs that are verified by PVV do not follow from the PAN";
    DecimalisationTableUnknown, "DECIMALISATION_TABLE_UNKNOWN", FailedPrecondition,
        "the decimalisation table that the key names was never made";
    DecimalisationTableExists, "DECIMALISATION_TABLE_EXISTS", AlreadyExists,
        "a decimalisation table of this name exists already, and none ever changes";
    DecimalisationTableWeak, "DECIMALISATION_TABLE_WEAK", InvalidArgument,
        "a decimalisation table is 16 digits, at least 8 of them different, none above 4 times";
    DecimalisationTablesFull, "DECIMALISATION_TABLES_FULL", FailedPrecondition,
        "there are as many decimalisation tables as there may be";
    DecimalisationTableRefused, "DECIMALISATION_TABLE_REFUSED", DataLoss,
        "the stored decimalisation table is not what was made";
    PinTriesSpent, "PIN_TRIES_SPENT", ResourceExhausted,
        "no tries of this card's PIN, or of this caller's PINs, are left for now";
    KeyExists, "KEY_EXISTS", AlreadyExists,
        "a key of this name exists already";
    KeyStateOrder, "KEY_STATE_ORDER", FailedPrecondition,
        "this state does not follow the one the key is in";
    KeyVersionsFull, "KEY_VERSIONS_FULL", FailedPrecondition,
        "the key has as many versions as a key may";
    KeyOfPartner, "KEY_OF_PARTNER", InvalidArgument,
        "a key that only verifies, or encrypts for a partner, is its public key: it is imported, not made";
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
