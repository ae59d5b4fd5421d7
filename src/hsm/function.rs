//! What a token may be asked, by name: one per job of [`Token`](crate::hsm::Token). It says how long
//! the call may take before it hangs, and is a label in metrics.

use std::time::Duration;

use crate::limits;

/// A job's function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the job of that name")]
pub enum Function {
    Seal,
    Unseal,
    Probe,
    Random,
    FollowSeals,
    Report,
    Trial,
    RootMac,
    PanIndex,
    AuditSign,
    AuditPublicKey,
    GenerateRsa,
    ImportRsa,
    SignRsa,
    DestroyRsa,
    FindRsa,
    GenerateWrappedRsa,
    ImportWrappedRsa,
    SignWrappedRsa,
    GenerateSecret,
    ImportSecret,
    DestroySecret,
    FindSecret,
    CheckSecret,
    Cmac,
    Ecb,
    GenerateTransport,
    OpenTransport,
    DestroyTransport,
    FindTransport,
    OpenFields,
    GenerateSm2,
    SignSm2,
    DestroySm2,
    FindSm2,
}

impl Function {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 35] = [
        Self::Seal,
        Self::Unseal,
        Self::Probe,
        Self::Random,
        Self::FollowSeals,
        Self::Report,
        Self::Trial,
        Self::RootMac,
        Self::PanIndex,
        Self::AuditSign,
        Self::AuditPublicKey,
        Self::GenerateRsa,
        Self::ImportRsa,
        Self::SignRsa,
        Self::DestroyRsa,
        Self::FindRsa,
        Self::GenerateWrappedRsa,
        Self::ImportWrappedRsa,
        Self::SignWrappedRsa,
        Self::GenerateSecret,
        Self::ImportSecret,
        Self::DestroySecret,
        Self::FindSecret,
        Self::CheckSecret,
        Self::Cmac,
        Self::Ecb,
        Self::GenerateTransport,
        Self::OpenTransport,
        Self::DestroyTransport,
        Self::FindTransport,
        Self::OpenFields,
        Self::GenerateSm2,
        Self::SignSm2,
        Self::DestroySm2,
        Self::FindSm2,
    ];

    /// Its name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seal => "seal",
            Self::Unseal => "unseal",
            Self::Probe => "probe",
            Self::Random => "random",
            Self::FollowSeals => "follow_seals",
            Self::Report => "report",
            Self::Trial => "trial",
            Self::RootMac => "root_mac",
            Self::PanIndex => "pan_index",
            Self::AuditSign => "audit_sign",
            Self::AuditPublicKey => "audit_public_key",
            Self::GenerateRsa => "generate_rsa",
            Self::ImportRsa => "import_rsa",
            Self::SignRsa => "sign_rsa",
            Self::DestroyRsa => "destroy_rsa",
            Self::FindRsa => "find_rsa",
            Self::GenerateWrappedRsa => "generate_wrapped_rsa",
            Self::ImportWrappedRsa => "import_wrapped_rsa",
            Self::SignWrappedRsa => "sign_wrapped_rsa",
            Self::GenerateSecret => "generate_secret",
            Self::ImportSecret => "import_secret",
            Self::DestroySecret => "destroy_secret",
            Self::FindSecret => "find_secret",
            Self::CheckSecret => "check_secret",
            Self::Cmac => "cmac",
            Self::Ecb => "ecb",
            Self::GenerateTransport => "generate_transport",
            Self::OpenTransport => "open_transport",
            Self::DestroyTransport => "destroy_transport",
            Self::FindTransport => "find_transport",
            Self::OpenFields => "open_fields",
            Self::GenerateSm2 => "generate_sm2",
            Self::SignSm2 => "sign_sm2",
            Self::DestroySm2 => "destroy_sm2",
            Self::FindSm2 => "find_sm2",
        }
    }

    /// How long it may take: what is slow by nature more than the token's call timeout.
    pub fn patience(self, call_timeout: Duration) -> Duration {
        if self.is_slow() {
            limits::TOKEN_SLOW_CALL.max(call_timeout)
        } else {
            call_timeout
        }
    }

    /// Whether it makes a key, brings one in or reads the whole token.
    pub const fn is_slow(self) -> bool {
        matches!(
            self,
            Self::Report
                | Self::Trial
                | Self::FollowSeals
                | Self::GenerateRsa
                | Self::ImportRsa
                | Self::GenerateWrappedRsa
                | Self::ImportWrappedRsa
                | Self::GenerateSecret
                | Self::ImportSecret
                | Self::GenerateTransport
                | Self::GenerateSm2
        )
    }
}
