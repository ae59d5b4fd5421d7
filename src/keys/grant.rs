//! Grants: the proof, without which no key is usable, that a key may be used for one operation.
//!
//! Only `keys::policy` makes a [`Grant`]; each gives exactly what its operation needs and nothing
//! else. Skipping the check does not compile:
//!
//! ```compile_fail,E0624
//! use pintle::keys::grant::{DecryptPin, Grant};
//! fn forge(key: std::sync::Arc<pintle::keys::open_key::OpenKey>) -> Grant<DecryptPin> {
//!     Grant::new(todo!(), key, todo!())
//! }
//! ```
//! ```compile_fail,E0451
//! use pintle::keys::grant::{DecryptPin, Grant};
//! fn forge(key: std::sync::Arc<pintle::keys::open_key::OpenKey>) -> Grant<DecryptPin> {
//!     Grant { key, part: todo!() }
//! }
//! ```
//! ```compile_fail,E0603
//! let checked = pintle::keys::policy::Checked(());
//! ```
//! A grant for one operation is not one for another:
//! ```compile_fail,E0599
//! use pintle::keys::grant::{DecryptPin, Grant};
//! fn sign(grant: &Grant<DecryptPin>) { grant.signer(); }
//! ```
//! ```compile_fail,E0308
//! use pintle::keys::grant::{DecryptPin, EncryptPin, Grant};
//! fn turn(grant: Grant<DecryptPin>) -> Grant<EncryptPin> { grant }
//! ```

use std::sync::Arc;

use crate::domain::alipay::SignType;
use crate::domain::alipay::content::ContentForm;
use crate::domain::cipher::{PinCipher, Tdes};
use crate::domain::data;
use crate::domain::key_block::{ProtectionKeys, Version};
use crate::domain::mac::{MacKey, Rule};
use crate::domain::pin_block::Format;
use crate::domain::sm2;
use crate::domain::track;
use crate::hsm::RsaHash;
use crate::keys::attributes::Side;
use crate::keys::dukpt::Way;
use crate::keys::key_policy::{FormatSet, PinVerification};
use crate::keys::key_ref::KeyName;
use crate::keys::material::Material;
use crate::keys::open_key::{KeyUse, OpenKey, PublicKey};
use crate::keys::policy::Checked;
use crate::keys::record::Header;
use crate::keys::resident::{Resident, RsaKey};
use crate::secret::Locked;

mod field;
mod signature;

pub use self::field::{FieldDecryption, FieldEncryption, FieldOpener};

/// A key that was checked for the operation `Op`, and what that operation needs of it.
pub struct Grant<Op: Operation> {
    key: Arc<OpenKey>,
    part: Op::Part,
}

impl<Op: Operation> Grant<Op> {
    /// Takes the proof that `keys::policy` checked `key` for `Op`, which nobody else can make.
    pub(in crate::keys) fn new(_checked: Checked, key: Arc<OpenKey>, part: Op::Part) -> Self {
        Self { key, part }
    }

    /// Whether the key was derived for one transaction of a device.
    pub fn is_derived(&self) -> bool {
        self.key.is_derived()
    }

    /// Which key answers, and where it is clear.
    pub fn key_use(&self) -> &KeyUse {
        self.key.key_use()
    }
}

impl Grant<DecryptPin> {
    /// The cipher of incoming PIN blocks.
    pub fn cipher(&self) -> &PinCipher {
        self.part.0.expose_secret()
    }

    /// The formats that may come in.
    pub fn formats(&self) -> FormatSet {
        self.part.1
    }
}

impl Grant<EncryptPin> {
    /// The cipher of outgoing PIN blocks.
    pub fn cipher(&self) -> &PinCipher {
        self.part.0.expose_secret()
    }

    /// The one format that goes out.
    pub fn format(&self) -> Format {
        self.part.1
    }

    /// Which way the key faces.
    pub fn side(&self) -> Option<Side> {
        self.key.header().side
    }
}

/// PIN blocks that come in to be looked into.
macro_rules! decrypts_pins {
    ($($operation:ident),+) => { $(
        impl Grant<$operation> {
            /// The cipher of incoming PIN blocks.
            pub fn cipher(&self) -> &PinCipher {
                self.part.0.expose_secret()
            }

            /// The formats that may come in.
            pub fn formats(&self) -> FormatSet {
                self.part.1
            }
        }
    )+ };
}
decrypts_pins!(DecryptPinToVerify, DecryptPinToReference);

/// Keys of PIN verification.
macro_rules! verifies_pins {
    ($($operation:ident),+) => { $(
        impl Grant<$operation> {
            /// The key.
            pub fn key(&self) -> &Tdes {
                self.part.0.expose_secret()
            }

            /// How it verifies.
            pub fn rule(&self) -> &PinVerification {
                &self.part.1
            }

            /// The tenant that owns the key.
            pub fn tenant(&self) -> &KeyName {
                &self.key.header().tenant
            }
        }
    )+ };
}
verifies_pins!(VerifyPin, MakePinReference);

impl Grant<GenerateMac> {
    /// The key.
    pub fn key(&self) -> &MacKey {
        self.part.0.expose_secret()
    }

    /// Scheme, padding and length.
    pub fn rule(&self) -> &Rule {
        &self.part.1
    }
}

impl Grant<VerifyMac> {
    /// The key.
    pub fn key(&self) -> &MacKey {
        self.part.0.expose_secret()
    }

    /// Scheme, padding and length.
    pub fn rule(&self) -> &Rule {
        &self.part.1
    }
}

impl Grant<DecryptData> {
    /// The cipher.
    pub fn cipher(&self) -> &PinCipher {
        self.part.expose_secret()
    }

    /// Mode, padding and IV; none for a key that is for tracks, or for nothing yet.
    pub fn rule(&self) -> Option<data::Rule> {
        self.key.header().policy.data
    }

    /// How it enciphers tracks; none where it does not.
    pub fn track(&self) -> Option<track::Layout> {
        self.key.header().policy.track
    }

    /// How it encrypts what goes to Alipay and comes from there; none where it does not.
    pub fn alipay_content(&self) -> Option<ContentForm> {
        self.key.header().policy.alipay_content
    }

    /// What is under it may be put under another key, but not come out clear.
    pub fn translates_only(&self) -> bool {
        self.key.header().policy.translate_only
    }
}

impl Grant<EncryptData> {
    /// The cipher.
    pub fn cipher(&self) -> &PinCipher {
        self.part.expose_secret()
    }

    /// Mode, padding and IV; none for a key that is for tracks, or for nothing yet.
    pub fn rule(&self) -> Option<data::Rule> {
        self.key.header().policy.data
    }

    /// How it enciphers tracks; none where it does not.
    pub fn track(&self) -> Option<track::Layout> {
        self.key.header().policy.track
    }

    /// How it encrypts what goes to Alipay and comes from there; none where it does not.
    pub fn alipay_content(&self) -> Option<ContentForm> {
        self.key.header().policy.alipay_content
    }

    /// Whether what is put under it could come out clear again, here and under this very key.
    pub fn can_be_read(&self) -> bool {
        self.key.operations().contains(OperationKind::DecryptData)
            && !self.key.header().policy.translate_only
    }
}

impl Grant<UnwrapKeyBlock> {
    /// The keys that open blocks of this version; none where the protection key has none.
    pub fn keys(&self, version: Version) -> Option<&ProtectionKeys> {
        let ProtectionPart { own, legacy } = &self.part;
        let mut all = std::iter::once(own)
            .chain(legacy)
            .map(|keys| keys.expose_secret());
        all.find(|keys| keys.version() == version)
    }

    /// What the protection key's header says.
    pub fn header(&self) -> &Header {
        self.key.header()
    }
}

impl Grant<WrapKeyBlock> {
    /// The keys that make blocks.
    pub fn own_keys(&self) -> &ProtectionKeys {
        self.part.expose_secret()
    }

    /// What the protection key's header says.
    pub fn header(&self) -> &Header {
        self.key.header()
    }
}

impl Grant<ImportCryptogram> {
    /// The key under which cryptograms come in.
    pub fn parent(&self) -> Parent<'_> {
        self.part.parent()
    }

    /// What its header says.
    pub fn header(&self) -> &Header {
        self.key.header()
    }
}

impl Grant<GiveCryptogram> {
    /// The key under which cryptograms go out.
    pub fn parent(&self) -> Parent<'_> {
        self.part.parent()
    }

    /// What its header says.
    pub fn header(&self) -> &Header {
        self.key.header()
    }
}

impl Grant<OpenTransport> {
    /// Where the private key is.
    pub fn resident(&self) -> &Resident {
        &self.part
    }

    /// What its header says.
    pub fn header(&self) -> &Header {
        self.key.header()
    }
}

/// A key under which others come in or go out.
pub enum Parent<'a> {
    /// In its token.
    Token(&'a Resident),
    /// In this process, where that is allowed.
    Process(&'a PinCipher),
}

/// How a signature is made.
pub enum Signer<'a> {
    /// In the token.
    Rsa {
        /// Which key of the token's.
        key: &'a RsaKey,
        /// The hash under PKCS #1 v1.5.
        hash: RsaHash,
    },
    /// In this process, by `domain::sm2::sign`.
    Sm2(&'a sm2::PrivateKey),
    /// In the token, over a digest that is made here.
    Sm2InToken(&'a Resident),
}

/// What a caller may want of a key. The operations are the markers of this file.
pub trait Operation: sealed::Sealed {}

impl<Op: sealed::Sealed> Operation for Op {}

macro_rules! operations {
    ($( $(#[$about:meta])* $name:ident: $words:literal, $part:ty = $of:expr; )+) => {
        /// The name of an operation, for tables and messages.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum OperationKind { $( $(#[$about])* $name, )+ }

        impl OperationKind {
            /// Every operation.
            pub const ALL: &'static [Self] = &[$( Self::$name, )+];
        }

        impl std::fmt::Display for OperationKind {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(match self { $( Self::$name => $words, )+ })
            }
        }

        $(
            $(#[$about])*
            pub enum $name {}

            impl sealed::Sealed for $name {
                type Part = $part;
                const KIND: OperationKind = OperationKind::$name;

                fn part(key: &OpenKey) -> Option<Self::Part> {
                    let of: fn(&OpenKey) -> Option<$part> = $of;
                    of(key)
                }
            }
        )+
    };
}

operations! {
    /// Decrypting an incoming PIN block.
    DecryptPin: "decrypt PIN blocks", (Arc<Locked<PinCipher>>, FormatSet) =
        |key| Some((pin_cipher(key)?, key.header().policy.pin_inputs));
    /// Encrypting an outgoing PIN block.
    EncryptPin: "encrypt PIN blocks", (Arc<Locked<PinCipher>>, Format) =
        |key| Some((pin_cipher(key)?, key.header().policy.pin_output?));
    /// Decrypting an incoming PIN block to compare its PIN.
    DecryptPinToVerify: "decrypt PIN blocks for verification", (Arc<Locked<PinCipher>>, FormatSet) =
        |key| Some((pin_cipher(key)?, key.header().policy.pin_inputs));
    /// Decrypting an incoming PIN block to make what its PIN is compared with later.
    DecryptPinToReference: "decrypt PIN blocks for a reference",
        (Arc<Locked<PinCipher>>, FormatSet) =
        |key| Some((pin_cipher(key)?, key.header().policy.pin_inputs));
    /// Comparing a PIN with what is kept of it.
    VerifyPin: "verify PINs", (Arc<Locked<Tdes>>, PinVerification) = verification_key;
    /// Making what is kept of a PIN.
    MakePinReference: "make PIN references", (Arc<Locked<Tdes>>, PinVerification) =
        verification_key;
    /// Making a MAC.
    GenerateMac: "generate MACs", (Arc<Locked<MacKey>>, Rule) = |key| mac_key(key, Way::Response);
    /// Checking a MAC.
    VerifyMac: "verify MACs", (Arc<Locked<MacKey>>, Rule) = |key| mac_key(key, Way::Request);
    /// Signing.
    Sign: "sign", SignPart = sign_part;
    /// Signing the request for the key's own certificate.
    RequestCertificate: "ask for a certificate", SignPart = sign_part;
    /// Checking a signature.
    VerifySignature: "verify signatures", PublicPart = public_part;
    /// Telling the public half.
    ReadPublicKey: "give a public key", Option<SignType> =
        |key| key.public_key().map(|_| key.header().policy.signature);
    /// Decrypting data.
    DecryptData: "decrypt data", Arc<Locked<PinCipher>> = |key| data_cipher(key, Way::Request);
    /// Encrypting data.
    EncryptData: "encrypt data", Arc<Locked<PinCipher>> = |key| data_cipher(key, Way::Response);
    /// Encrypting sensitive fields to a partner.
    EncryptFields: "encrypt fields", FieldEncryption = field::encryption;
    /// Decrypting sensitive fields.
    DecryptFields: "decrypt fields", FieldDecryption = field::decryption;
    /// Taking keys out of key blocks.
    UnwrapKeyBlock: "open key blocks", ProtectionPart = protection_part;
    /// Putting keys into key blocks.
    WrapKeyBlock: "make key blocks", Arc<Locked<ProtectionKeys>> =
        |key| Some(protection_part(key)?.own);
    /// Taking in bare cryptograms.
    ImportCryptogram: "take in cryptograms", ParentPart = parent_part;
    /// Giving out working keys as bare cryptograms, at a terminal's sign-in.
    GiveCryptogram: "give out cryptograms", ParentPart = parent_part;
    /// Opening what came in under the public half.
    OpenTransport: "open transported keys", Resident =
        |key| match key.material() {
            Material::Token(resident) => Some(resident.clone()),
            _ => None,
        };
}

/// The keys that open blocks: of the protection key's own version, and of older ones.
pub struct ProtectionPart {
    own: Arc<Locked<ProtectionKeys>>,
    legacy: Vec<Arc<Locked<ProtectionKeys>>>,
}

/// Where a key lies under which others come in or go out.
pub enum ParentPart {
    /// In its token.
    Token(Resident),
    /// In this process.
    Process(Arc<Locked<PinCipher>>),
}

impl ParentPart {
    fn parent(&self) -> Parent<'_> {
        match self {
            Self::Token(resident) => Parent::Token(resident),
            Self::Process(cipher) => Parent::Process(cipher.expose_secret()),
        }
    }
}

/// The private key's part in signing, with the public half that checks it.
pub struct SignPart {
    signer: SignerPart,
    public: PublicPart,
}

enum SignerPart {
    Rsa { key: RsaKey, hash: RsaHash },
    Sm2(Arc<Locked<sm2::PrivateKey>>),
    Sm2InToken(Resident),
}

/// The public half and its scheme.
pub struct PublicPart {
    key: Arc<PublicKey>,
    scheme: SignType,
}

fn pin_cipher(key: &OpenKey) -> Option<Arc<Locked<PinCipher>>> {
    match key.material() {
        Material::Pin(cipher) => Some(Arc::clone(cipher)),
        Material::Transaction(transaction) => transaction.pin_cipher(),
        _ => None,
    }
}

fn protection_part(key: &OpenKey) -> Option<ProtectionPart> {
    match key.material() {
        Material::Protection(protection) => Some(ProtectionPart {
            own: Arc::clone(&protection.own),
            legacy: protection.legacy.clone(),
        }),
        _ => None,
    }
}

/// `way` is the operation's: of a derived key, which of the transaction's keys that is.
fn data_cipher(key: &OpenKey, way: Way) -> Option<Arc<Locked<PinCipher>>> {
    match key.material() {
        Material::Cipher(cipher) => Some(Arc::clone(cipher)),
        Material::Transaction(transaction) => transaction.data_cipher(way),
        _ => None,
    }
}

fn parent_part(key: &OpenKey) -> Option<ParentPart> {
    match key.material() {
        Material::Cipher(cipher) => Some(ParentPart::Process(Arc::clone(cipher))),
        Material::Token(resident) => Some(ParentPart::Token(resident.clone())),
        _ => None,
    }
}

fn verification_key(key: &OpenKey) -> Option<(Arc<Locked<Tdes>>, PinVerification)> {
    match key.material() {
        Material::PinVerification(cipher) => {
            let rule = key.header().policy.pin_verification.clone()?;
            Some((Arc::clone(cipher), rule))
        }
        _ => None,
    }
}

/// `way` is the operation's: of a derived key, which of the transaction's keys that is.
fn mac_key(key: &OpenKey, way: Way) -> Option<(Arc<Locked<MacKey>>, Rule)> {
    match key.material() {
        Material::Transaction(transaction) => {
            let rule = key.header().policy.mac?;
            Some((transaction.mac_key(way, rule.scheme)?, rule))
        }
        Material::Mac(mac_key) => Some((Arc::clone(mac_key), key.header().policy.mac?)),
        _ => None,
    }
}

fn sign_part(key: &OpenKey) -> Option<SignPart> {
    let public = public_part(key)?;
    let signer = match (key.material(), public.scheme) {
        (material, SignType::Rsa) => SignerPart::Rsa {
            key: rsa_key(material)?,
            hash: RsaHash::Sha1,
        },
        (material, SignType::Rsa2) => SignerPart::Rsa {
            key: rsa_key(material)?,
            hash: RsaHash::Sha256,
        },
        (Material::Sm2(private), SignType::Sm2) => SignerPart::Sm2(Arc::clone(private)),
        (Material::Token(resident), SignType::Sm2) => SignerPart::Sm2InToken(resident.clone()),
        _ => return None,
    };
    Some(SignPart { signer, public })
}

fn rsa_key(material: &Material) -> Option<RsaKey> {
    match material {
        Material::Token(resident) => Some(RsaKey::Resident(resident.clone())),
        Material::Wrapped(token, wrapped) => Some(RsaKey::Wrapped(token.clone(), wrapped.clone())),
        _ => None,
    }
}

fn public_part(key: &OpenKey) -> Option<PublicPart> {
    let public = key.public_key()?;
    Some(PublicPart {
        key: Arc::clone(public),
        scheme: key.header().policy.signature?,
    })
}

mod sealed {
    use crate::keys::grant::OperationKind;
    use crate::keys::open_key::OpenKey;

    pub trait Sealed {
        type Part: Send + Sync;
        const KIND: OperationKind;

        /// What the operation needs of `key`; none where its material is of another kind.
        fn part(key: &OpenKey) -> Option<Self::Part>;
    }
}
