//! What can go wrong at the token, and whose fault it is (PKCS#11 v3.0 §5.1, return values).
//! Says nothing of gRPC codes: that table is the service's.

use std::path::PathBuf;
use std::sync::Arc;

use cryptoki::context::Function;
use cryptoki::error::RvError;

use crate::hsm::master::MasterKey;
use crate::hsm::mechanism::{Allowed, SmMechanism};
use crate::hsm::scan::UnsafeKey;

/// Whose fault an error is, and so what cures it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The caller's arguments: a retry gives the same answer.
    Request,
    /// This process is short of time or room: a later call may succeed.
    Pool,
    /// The session or its login is gone: reopen, log in, retry once.
    Session,
    /// A handle no longer names its object: find it again, retry once.
    Object,
    /// The token: wrong PIN, missing or unsafe keys, or a device in trouble.
    Token,
    /// The module itself: not loaded, not initialised, not built in.
    Module,
}

/// An error of the PKCS#11 layer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The deadline passed before the token was asked.
    #[error("the deadline passed before the token was asked")]
    Deadline,
    /// Every place in the queue of this class is taken.
    #[error("the queue to the token is full")]
    QueueFull,
    /// The pool was closed, or the job died, before it answered.
    #[error("the job was abandoned: the pool is closed")]
    Abandoned,
    /// The operating system gave no thread for a worker.
    #[error("no thread could be started for a token session")]
    NoThread,
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandom,

    /// The token does not serve; nothing was asked of it.
    #[error("the token does not serve: {0}")]
    Unavailable(Why),
    /// The call took longer than the token's call timeout and was given up; it can't be stopped.
    #[error("a call to the token hangs")]
    Hung,
    /// More calls hang than threads may be lost to them.
    #[error("too many calls to the token hang: see to its network or restart this process")]
    TooManyHang,
    /// The module must be initialised again and can't be while calls are in it.
    #[error("the module is to be initialised again, and calls are still in it")]
    ModuleBusy,
    /// The module could not be initialised again.
    #[error("the module is not initialised")]
    ModuleShut,
    /// None of the token's master keys is seen in this era of the module: so does a token that is away
    /// look to modules that find it by C_Initialize only.
    #[error("the token shows no master keys: it is away, or was initialised anew")]
    MasterKeysUnseen,
    /// The token that was opened is gone, and another has its label.
    #[error("another token answers to the label {label:?}: it was initialised anew, or replaced")]
    TokenChanged {
        /// The label.
        label: String,
    },
    /// A master key is not the one it was when the token was opened.
    #[error("master key {0} is not the one it was: the token was restored or made anew")]
    MasterKeyChanged(MasterKey),

    /// A sealed value, its IV or its associated data is not what was sealed under this key; or a
    /// wrapped key not what was wrapped.
    #[error("what is to be opened does not authenticate under this token's key")]
    NotAuthentic,
    /// More bytes than the limits allow.
    #[error("more bytes than a token call may carry")]
    TooLong,
    /// An RSA modulus that is not 2048, 3072 or 4096 bits.
    #[error("RSA keys have 2048, 3072 or 4096 bits")]
    RsaBits,
    /// Not the DER of an unencrypted RSA PKCS #8 private key.
    #[error("not an unencrypted PKCS #8 RSA private key in DER")]
    NotRsaPkcs8,
    /// No key with this object id is on the token.
    #[error("no key with this object id is on the token")]
    NoSuchKey,
    /// A key with this object id is on the token already.
    #[error("a key with this object id is on the token already")]
    KeyExists,

    /// The token does not list a mechanism that the call needs.
    #[error("the token does not offer {}", .0.name())]
    NotOffered(Allowed),
    /// The token's profile has no number for what SM2 keys need: none of SM2's are standard.
    #[error("the token has no SM2: its profile says no `{0}`")]
    NoSmNumber(&'static str),
    /// The token does not list a mechanism for which its profile has a number.
    #[error("the token does not offer the `{}` of its profile", .0.name())]
    SmNotOffered(SmMechanism),
    /// What was wrapped under a transport key does not open; why is nobody's to know.
    #[error("what was wrapped does not open under this transport key")]
    NotOpened,
    /// A key value that is not as long as its kind.
    #[error("the value is not as long as a key of this kind")]
    SecretLength,
    /// ECB takes whole blocks only.
    #[error("the data are not whole blocks")]
    NotWholeBlocks,

    /// The build has no embedded token.
    #[error(
        "this build has no embedded token: build with `--features embedded-token`, or name a \
         PKCS#11 library"
    )]
    EmbeddedAbsent,
    /// The module could not be loaded.
    #[error("the PKCS#11 module {path} could not be loaded: {source}")]
    ModuleLoad {
        /// The module's file, or the name of the embedded one.
        path: PathBuf,
        /// What the loader said.
        source: Arc<cryptoki::error::Error>,
    },
    /// A path that cannot be handed to the module.
    #[error("the token folder {path} cannot be used")]
    TokenFolder {
        /// The folder.
        path: PathBuf,
    },
    /// No profile of this name.
    #[error("no token profile is named {name:?}; there are {known}, or give a file of your own")]
    ProfileUnknown {
        /// The name looked for.
        name: String,
        /// Those there are.
        known: String,
    },
    /// A profile that cannot be read, or says what cannot be meant.
    #[error("the token profile {path} cannot be used: {why}")]
    ProfileFile {
        /// Its file, or the name of one that the program brings along.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// No token with this label; `pintle init` makes one.
    #[error("no token is labelled {label:?}: run `pintle init`, or correct the label")]
    TokenMissing {
        /// The label looked for.
        label: String,
    },
    /// Two tokens with this label: which one is meant cannot be known.
    #[error("two tokens are labelled {label:?}: give one of them another label")]
    TokenTwice {
        /// The label looked for.
        label: String,
    },
    /// No token with this label, and no blank slot to make one in, or no security officer's PIN.
    #[error("no token is labelled {label:?} and none can be made: give a blank slot and an SO PIN")]
    TokenNotMade {
        /// The label looked for.
        label: String,
    },

    /// The PIN is wrong. It is never tried again: hardware tokens count.
    #[error("the token refused the PIN; it is not tried again")]
    PinIncorrect,
    /// The PIN is locked.
    #[error("the token's PIN is locked or expired")]
    PinLocked,
    /// A master key is missing; a running server never makes one.
    #[error("master key {0} is missing: run `pintle init`, or restore the token")]
    MasterKeyMissing(MasterKey),
    /// Two objects claim to be one master key.
    #[error("master key {0} is on the token more than once")]
    MasterKeyTwice(MasterKey),
    /// A master key exists already: `pintle init` makes nothing.
    #[error("master key {0} exists already: nothing was made")]
    MasterKeyExists(MasterKey),
    /// A master key has an attribute that lets its value or its wrapped keys out.
    #[error("master key {key} is unsafe: its attribute {attribute} is not what `pintle init` sets")]
    MasterKeyUnsafe {
        /// The key.
        key: MasterKey,
        /// The PKCS#11 name of the attribute.
        attribute: &'static str,
    },
    /// A key on the token has a template that lets itself or another out.
    #[error("{0}: destroy it or make it anew; `pintle doctor` lists every such key")]
    TemplateUnsafe(Box<UnsafeKey>),
    /// No `seal` key of this id is on the token.
    #[error("no seal key of this id is on the token: it was destroyed, or is another token's")]
    SealKeyUnknown,
    /// The `seal` key that seals is not destroyed: make the next one first.
    #[error("this seal key is the current one: make the next one and seal every record anew first")]
    SealKeyCurrent,
    /// As many `seal` keys as a token may have.
    #[error("the token has as many seal keys as it may: destroy an old one first")]
    SealKeysFull,
    /// A key just made did not come out with the attributes asked for; it was destroyed.
    #[error("the token made a key with an unsafe {0}; the key was destroyed")]
    KeyUnsafe(&'static str),
    /// A key just made does not sign for its public half; it was destroyed.
    #[error("the token made a key that does not sign for its public half; the key was destroyed")]
    SignatureDiffers,
    /// The probe sealed a value and another came back.
    #[error("the token opened a sealed value to something else")]
    ProbeDiffers,

    /// A PKCS#11 call was refused.
    #[error("{0}")]
    Call(CallFault),
    /// The module answered something that PKCS#11 does not allow.
    #[error("the module answered outside PKCS#11: {0}")]
    Nonsense(Arc<cryptoki::error::Error>),
}

impl Error {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            Self::Deadline
            | Self::QueueFull
            | Self::Abandoned
            | Self::NoThread
            | Self::NoRandom => Class::Pool,
            // Of a token whatever it said last.
            Self::Unavailable(_) | Self::Hung | Self::TooManyHang => Class::Token,
            Self::ModuleBusy | Self::ModuleShut => Class::Module,
            Self::NotAuthentic
            | Self::TooLong
            | Self::RsaBits
            | Self::NotRsaPkcs8
            | Self::NoSuchKey
            | Self::KeyExists
            | Self::NotOffered(_)
            | Self::NoSmNumber(_)
            | Self::SmNotOffered(_)
            | Self::NotOpened
            | Self::SecretLength
            | Self::NotWholeBlocks
            | Self::SealKeyUnknown
            | Self::SealKeyCurrent
            | Self::SealKeysFull => Class::Request,
            Self::EmbeddedAbsent
            | Self::ModuleLoad { .. }
            | Self::ProfileUnknown { .. }
            | Self::ProfileFile { .. }
            | Self::Nonsense(_) => Class::Module,
            Self::TokenFolder { .. }
            | Self::TokenMissing { .. }
            | Self::TokenTwice { .. }
            | Self::TokenNotMade { .. }
            | Self::PinIncorrect
            | Self::PinLocked
            | Self::MasterKeysUnseen
            | Self::TokenChanged { .. }
            | Self::MasterKeyChanged(_)
            | Self::MasterKeyMissing(_)
            | Self::MasterKeyTwice(_)
            | Self::MasterKeyExists(_)
            | Self::MasterKeyUnsafe { .. }
            | Self::TemplateUnsafe(_)
            | Self::KeyUnsafe(_)
            | Self::SignatureDiffers
            | Self::ProbeDiffers => Class::Token,
            Self::Call(fault) => fault.class(),
        }
    }

    /// The login is gone, where the token itself would only show fewer objects.
    pub(in crate::hsm) fn login_lost() -> Self {
        Self::Call(CallFault {
            rv: RvError::UserNotLoggedIn,
            function: Function::FindObjects,
        })
    }

    /// True when a new session, login or handle may cure it.
    pub(in crate::hsm) fn is_curable(&self) -> bool {
        matches!(self.class(), Class::Session | Class::Object)
    }

    /// What became of the session that answered this.
    pub(in crate::hsm) fn session_left(&self) -> SessionLeft {
        match self {
            Self::Call(fault) => match fault.rv {
                RvError::SessionHandleInvalid | RvError::SessionClosed => SessionLeft::Gone,
                RvError::OperationActive | RvError::OperationNotInitialized => SessionLeft::Stuck,
                _ => SessionLeft::Usable,
            },
            _ => SessionLeft::Usable,
        }
    }

    /// True when nothing is known to have been done, or what was done may be done twice, and another
    /// token of the same store may be asked.
    pub fn may_try_another(&self) -> bool {
        match self.class() {
            Class::Request | Class::Object => false,
            Class::Pool => !matches!(self, Self::Deadline),
            Class::Session | Class::Token | Class::Module => true,
        }
    }

    /// True when it is a person's to mend: no attempt of ours can, and some would do harm.
    pub fn needs_person(&self) -> bool {
        match self {
            Self::Unavailable(why) => why.needs_person(),
            Self::PinIncorrect
            | Self::PinLocked
            | Self::TokenChanged { .. }
            | Self::MasterKeyChanged(_)
            | Self::MasterKeyMissing(_)
            | Self::MasterKeyTwice(_)
            | Self::MasterKeyUnsafe { .. }
            | Self::TemplateUnsafe(_)
            | Self::ProbeDiffers
            | Self::TooManyHang => true,
            _ => false,
        }
    }

    /// True when the token or its module may be in trouble, and a probe is to say. What a job finds
    /// wrong with one object is not that.
    pub(in crate::hsm) fn is_suspicious(&self) -> bool {
        matches!(self, Self::ProbeDiffers)
            || matches!(self, Self::Call(fault) if fault.class() != Class::Request)
    }

    /// The same before the module was initialised again: what is missing may only be away.
    pub(in crate::hsm) fn before_initialization(self) -> Self {
        match self {
            Self::MasterKeyMissing(_) => Self::MasterKeysUnseen,
            other => other,
        }
    }

    /// True when the answer says only "something failed", so the login is worth a look.
    pub(in crate::hsm) fn is_vague(&self) -> bool {
        matches!(self, Self::Call(fault) if fault.is_vague())
    }
}

/// Why a token does not serve.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Why(Arc<Error>);

impl Why {
    /// What was met.
    pub fn error(&self) -> &Error {
        &self.0
    }

    /// True when it is a person's to mend.
    pub fn needs_person(&self) -> bool {
        self.0.needs_person()
    }
}

impl From<Error> for Why {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(why) => why,
            other => Self(Arc::new(other)),
        }
    }
}

/// What became of a session after an error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::hsm) enum SessionLeft {
    /// It goes on.
    Usable,
    /// An operation was begun and never ended: only closing it helps.
    Stuck,
    /// Its number names nothing, or another's session: it must not be closed.
    Gone,
}

impl From<cryptoki::error::Error> for Error {
    fn from(error: cryptoki::error::Error) -> Self {
        use cryptoki::error::Error as Cryptoki;
        match error {
            Cryptoki::Pkcs11(rv, function) => match rv {
                RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange => {
                    Self::PinIncorrect
                }
                RvError::PinLocked | RvError::PinExpired => Self::PinLocked,
                _ => Self::Call(CallFault { rv, function }),
            },
            other => Self::Nonsense(Arc::new(other)),
        }
    }
}

/// One refused PKCS#11 call: the function and its return value.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("C_{function:?} answered {rv:?}")]
pub struct CallFault {
    rv: RvError,
    function: Function,
}

impl CallFault {
    /// Whose fault the return value says it is.
    pub fn class(&self) -> Class {
        match self.rv {
            RvError::SessionHandleInvalid
            | RvError::SessionClosed
            | RvError::OperationActive
            | RvError::OperationNotInitialized
            | RvError::UserNotLoggedIn => Class::Session,
            RvError::ObjectHandleInvalid
            | RvError::KeyHandleInvalid
            | RvError::UnwrappingKeyHandleInvalid
            | RvError::WrappingKeyHandleInvalid => Class::Object,
            RvError::CryptokiNotInitialized
            | RvError::CryptokiAlreadyInitialized
            | RvError::LibraryLoadFailed
            | RvError::FunctionNotSupported
            | RvError::NeedToCreateThreads
            | RvError::CantLock
            | RvError::MutexBad
            | RvError::MutexNotLocked => Class::Module,
            RvError::DeviceError
            | RvError::DeviceMemory
            | RvError::DeviceRemoved
            | RvError::GeneralError
            | RvError::FunctionFailed
            | RvError::FunctionCanceled
            | RvError::FunctionRejected
            | RvError::HostMemory
            | RvError::TokenNotPresent
            | RvError::TokenNotRecognized
            | RvError::TokenWriteProtected
            | RvError::SlotIdInvalid
            | RvError::SessionCount
            | RvError::UserPinNotInitialized
            | RvError::UserAnotherAlreadyLoggedIn
            | RvError::UserTooManyTypes
            | RvError::FipsSelfTestFailed
            | RvError::RandomNoRng
            | RvError::VendorDefined(_)
            | RvError::UnknownErrorCode(_) => Class::Token,
            _ => Class::Request,
        }
    }

    /// The ciphertext itself was refused, or may have been: SoftHSM answers a tampered GCM blob
    /// with GENERAL_ERROR, kryoptic a tampered key wrap with DEVICE_ERROR.
    pub(in crate::hsm) fn blames_ciphertext(&self) -> bool {
        matches!(
            self.rv,
            RvError::EncryptedDataInvalid
                | RvError::EncryptedDataLenRange
                | RvError::DataInvalid
                | RvError::WrappedKeyInvalid
                | RvError::WrappedKeyLenRange
        )
    }

    /// The mechanism's parameters were refused, before the token saw what it was to work on:
    /// SoftHSM's answer to OAEP with any hash but SHA-1 is ARGUMENTS_BAD.
    pub(in crate::hsm) fn refuses_parameters(&self) -> bool {
        matches!(self.function, Function::DecryptInit)
            && matches!(
                self.rv,
                RvError::ArgumentsBad | RvError::MechanismInvalid | RvError::MechanismParamInvalid
            )
    }

    /// The return value by its name in the header, e.g. `CKR_MECHANISM_INVALID`.
    pub fn name(&self) -> String {
        let mut name = "CKR".to_owned();
        for letter in format!("{:?}", self.rv).chars() {
            if letter.is_ascii_uppercase() {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
        }
        name
    }

    fn is_vague(&self) -> bool {
        matches!(
            self.rv,
            RvError::GeneralError | RvError::DeviceError | RvError::FunctionFailed
        )
    }
}
