//! Every mechanism of the allow-list, tried: a key made or brought in for the session, one real
//! operation, its outcome compared with our own software's. What a token lists is a claim (SoftHSM
//! lists OAEP and has it with SHA-1 only; NSS means another padding by 0x210A).
//!
//! Leaves nothing: session objects in a session of its own. What takes RSA keys to be made is tried
//! where somebody asks (`doctor`), the rest whenever a token is opened.

mod sm;

use std::fmt;

use aws_lc_rs::aead;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use sha2::{Digest, Sha256};

use crate::domain::cipher::{Aes, BlockCipher, Tdes};
use crate::domain::mac::{cmac, hmac};
use crate::domain::rsa as rsa_domain;
use crate::hsm::error::{CallFault, Class, Error};
use crate::hsm::mechanism::{Allowed, MechanismReport, SmReport, Use};
use crate::hsm::profile::Profile;
use crate::hsm::raw::{self, Calls, Direction};
use crate::hsm::{carrier, mac, master, rsa, sensitive_field, transport};
use crate::limits;
use crate::secret::Secret;

/// What came of trying a mechanism.
#[derive(Clone, Copy, Debug)]
pub enum Trial {
    /// It does what it should.
    Works,
    /// It does, with one of its parameters alone.
    WorksWith(&'static str),
    /// A call was refused.
    Refused(CallFault),
    /// Every call was answered, one with something else than it should be.
    Differs,
}

impl From<bool> for Trial {
    /// Of whether every answer was what it should be.
    fn from(right: bool) -> Self {
        if right { Self::Works } else { Self::Differs }
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Works => f.write_str("works"),
            Self::WorksWith(parameter) => write!(f, "works with {parameter} only"),
            Self::Refused(fault) => f.write_str(&fault.name()),
            Self::Differs => f.write_str("answers something else"),
        }
    }
}

/// How much is tried.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::hsm) enum Extent {
    /// What takes milliseconds.
    Cheap,
    /// Everything.
    Whole,
}

/// Where it is tried: a session that has no other use.
#[derive(Clone, Copy)]
pub(in crate::hsm) struct Bench<'a> {
    pub session: &'a Session,
    pub calls: &'a Calls,
    pub profile: &'a Profile,
}

impl Bench<'_> {
    /// Tries every mechanism that the token lists.
    ///
    /// # Errors
    /// Where the session or the module fails; whatever else a token answers is an outcome.
    pub fn mechanisms(&self, extent: Extent) -> Result<Vec<MechanismReport>, Error> {
        let mut reports = self.profile.mechanisms.clone();
        for report in &mut reports {
            let cheap = !NEEDS_RSA.contains(&report.mechanism);
            if report.present && (cheap || extent == Extent::Whole) {
                report.works = Some(outcome(self.one(report.mechanism))?);
            }
        }
        Ok(reports)
    }

    /// Tries every mechanism that the token's make has a number for and the token lists.
    pub fn sm(&self) -> Result<Vec<SmReport>, Error> {
        let mut reports = self.profile.sm.clone();
        for report in &mut reports {
            if report.present {
                report.works = Some(outcome(sm::one(self, report.mechanism, report.number))?);
            }
        }
        Ok(reports)
    }

    fn one(&self, mechanism: Allowed) -> Result<Trial, Error> {
        let right = match mechanism {
            Allowed::AesKeyGen => {
                self.makes(mechanism, KeyType::AES, Allowed::AesGcm, Some(KEY_BYTES))
            }
            Allowed::GenericSecretKeyGen => {
                let made_for = Allowed::Sha256Hmac;
                self.makes(
                    mechanism,
                    KeyType::GENERIC_SECRET,
                    made_for,
                    Some(KEY_BYTES),
                )
            }
            Allowed::Des2KeyGen => self.makes(mechanism, KeyType::DES2, Allowed::Des3Cmac, None),
            Allowed::Des3KeyGen => self.makes(mechanism, KeyType::DES3, Allowed::Des3Cmac, None),
            Allowed::EcKeyPairGen | Allowed::Ecdsa => self.signs_by_ecdsa(),
            Allowed::RsaKeyPairGen | Allowed::Sha256RsaPkcs => {
                self.signs_by_rsa(Allowed::Sha256RsaPkcs, rsa_domain::Hash::Sha256)
            }
            Allowed::Sha1RsaPkcs => self.signs_by_rsa(mechanism, rsa_domain::Hash::Sha1),
            Allowed::RsaOaep => return self.oaep(),
            Allowed::AesGcm => self.seals_by_gcm(),
            Allowed::AesKwp | Allowed::AesKwpAt210A => self.wraps(mechanism),
            Allowed::Sha256Hmac => {
                let key = self.random::<32>()?;
                let mac = hmac::Sha256Key::new(key.expose_secret()).tag(MESSAGE);
                let object = self.bring(KeyType::GENERIC_SECRET, key.expose_secret(), mechanism)?;
                self.authenticates(object, mechanism.raw(), MESSAGE, &mac)
            }
            Allowed::AesCmac => {
                let (key, cipher) = self.aes()?;
                let mac = tag_of(&cipher)?;
                let object = self.bring(KeyType::AES, key.expose_secret(), mechanism)?;
                self.authenticates(object, mechanism.raw(), MESSAGE, &mac)
            }
            Allowed::Des3Cmac => {
                let (key, cipher) = self.tdes()?;
                let mac = tag_of(&cipher)?;
                let object = self.bring(KeyType::DES3, key.expose_secret(), mechanism)?;
                self.authenticates(object, mechanism.raw(), MESSAGE, &mac)
            }
            Allowed::AesEcb => {
                let (key, cipher) = self.aes()?;
                let object = self.bring(KeyType::AES, key.expose_secret(), mechanism)?;
                self.enciphers(object, mechanism.raw(), &cipher)
            }
            Allowed::Des3Ecb => {
                let (key, cipher) = self.tdes()?;
                let object = self.bring(KeyType::DES3, key.expose_secret(), mechanism)?;
                self.enciphers(object, mechanism.raw(), &cipher)
            }
        };
        right.map(Trial::from)
    }

    /// A secret key comes of it.
    fn makes(
        &self,
        mechanism: Allowed,
        key_type: KeyType,
        made_for: Allowed,
        bytes: Option<u64>,
    ) -> Result<bool, Error> {
        let usage = made_for.usage().unwrap_or(Use::Authenticate);
        let mut template = secret(key_type, usage, made_for.raw());
        template.extend(bytes.map(|bytes| Attribute::ValueLen(bytes.into())));
        let key = self.session.generate_key(&mechanism.plain(), &template)?;
        Ok(self.session.destroy_object(key).is_ok())
    }

    fn signs_by_ecdsa(&self) -> Result<bool, Error> {
        let public = [
            Attribute::Token(false),
            Attribute::Private(false),
            Attribute::Verify(true),
            Attribute::EcParams(master::P256.to_vec()),
        ];
        let mechanism = Allowed::EcKeyPairGen.plain();
        let pair = self
            .session
            .generate_key_pair(&mechanism, &public, &signing());
        let (public, private) = pair?;
        let read = self
            .session
            .get_attributes(public, &[AttributeType::EcPoint])?;
        let point = read.into_iter().find_map(|attribute| match attribute {
            Attribute::EcPoint(point) => mac::public_key_info(&point),
            _ => None,
        });
        let digest = Sha256::digest(MESSAGE);
        let ecdsa = Allowed::Ecdsa.raw();
        let signature = self.calls.sign(self.session, private, ecdsa, &digest, 64)?;
        Ok(point.is_some_and(|(point, _)| {
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
            key.verify(MESSAGE, &signature).is_ok()
        }))
    }

    fn signs_by_rsa(&self, mechanism: Allowed, hash: rsa_domain::Hash) -> Result<bool, Error> {
        let (private, public) = self.rsa_pair(&signing())?;
        let max = limits::RSA_SIGNATURE_BYTES_MAX;
        let number = mechanism.raw();
        let signature = self
            .calls
            .sign(self.session, private, number, MESSAGE, max)?;
        let key = rsa_domain::PublicKey::new(&public.n, &public.e);
        Ok(key.is_ok_and(|key| rsa_domain::verify(&key, hash, MESSAGE, &signature).is_ok()))
    }

    /// With either hash: keys that come in are under SHA-256, sensitive fields under SHA-1.
    fn oaep(&self) -> Result<Trial, Error> {
        let mut template = signing();
        for attribute in &mut template {
            match attribute {
                Attribute::Sign(on) => *on = false,
                Attribute::Decrypt(on) => *on = true,
                _ => {}
            }
        }
        let (private, public) = self.rsa_pair(&template)?;
        let sha1 = outcome(self.opens_oaep(private, &public, &sensitive_field::OAEP))?;
        let sha256 = outcome(self.opens_oaep(private, &public, &transport::OAEP))?;
        Ok(match (sha256, sha1) {
            (Trial::Works, Trial::Works) => Trial::Works,
            (Trial::Works, _) => Trial::WorksWith("SHA-256"),
            (_, Trial::Works) => Trial::WorksWith("SHA-1"),
            (other, _) => other,
        })
    }

    fn opens_oaep(
        &self,
        private: ObjectHandle,
        public: &rsa::RsaPublic,
        oaep: &transport::Oaep,
    ) -> Result<bool, Error> {
        let wrapped = transport::wrap(oaep.ours, public, MESSAGE).ok_or(raw::nonsense())?;
        let mut clear = vec![0; limits::RSA_SIGNATURE_BYTES_MAX];
        let (calls, hash) = (self.calls, oaep.hash);
        let written = calls.oaep_decrypt(self.session, private, hash, &wrapped, &mut clear)?;
        Ok(clear.get(..written) == Some(MESSAGE))
    }

    fn rsa_pair(&self, private: &[Attribute]) -> Result<(ObjectHandle, rsa::RsaPublic), Error> {
        let public = rsa::public_template(limits::RSA_BITS[0]);
        let mechanism = Allowed::RsaKeyPairGen.plain();
        let pair = self
            .session
            .generate_key_pair(&mechanism, &public, private)?;
        Ok((pair.1, rsa::public_of(self.session, pair.1)?))
    }

    fn seals_by_gcm(&self) -> Result<bool, Error> {
        let key = self.random::<32>()?;
        let object = self.bring(KeyType::AES, key.expose_secret(), Allowed::AesGcm)?;
        let iv = *self.random::<12>()?.expose_secret();
        let mut sealed = self
            .calls
            .gcm_encrypt(self.session, object, &iv, AAD, MESSAGE)?;
        let ours = aead::UnboundKey::new(&aead::AES_256_GCM, key.expose_secret());
        let ours = aead::LessSafeKey::new(ours.map_err(|_| raw::nonsense())?);
        let theirs = sealed.clone();
        let nonce = aead::Nonce::assume_unique_for_key(iv);
        let opened = ours.open_in_place(nonce, aead::Aad::from(AAD), &mut sealed);
        let mut clear = vec![0; theirs.len()];
        let calls = self.calls;
        let written = calls.gcm_decrypt(self.session, object, &iv, AAD, &theirs, &mut clear)?;
        Ok(opened.is_ok_and(|clear| clear == MESSAGE) && clear.get(..written) == Some(MESSAGE))
    }

    /// RFC 5649 both ways: what we wrap it unwraps, what it wraps we unwrap.
    fn wraps(&self, mechanism: Allowed) -> Result<bool, Error> {
        let value = self.random::<32>()?;
        let wrapper = self.random::<32>()?;
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::GENERIC_SECRET),
            Attribute::Token(false),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(true),
            Attribute::Sign(true),
        ];
        let carried = Secret::new(value.expose_secret().to_vec());
        let key = carrier::bring_by(self, mechanism, &carried, &template)?;
        let wrapping = carrier::create_kek(self.session, mechanism, &wrapper, carrier::Way::Out)?;
        let (session, number) = (self.session, mechanism.raw());
        let wrapped =
            self.calls
                .wrap_key(session, number, wrapping, key, limits::WRAPPED_BYTES_MAX)?;
        let unwrapped = carrier::unwrap(&wrapper, &wrapped);
        Ok(unwrapped.is_some_and(|unwrapped| unwrapped.expose_secret() == value.expose_secret()))
    }

    /// A secret of this value for one mechanism.
    fn bring(
        &self,
        key_type: KeyType,
        value: &[u8],
        made_for: Allowed,
    ) -> Result<ObjectHandle, Error> {
        let usage = made_for.usage().unwrap_or(Use::Authenticate);
        self.bring_for(key_type, value, usage, made_for.raw())
    }

    fn bring_for(
        &self,
        key_type: KeyType,
        value: &[u8],
        usage: Use,
        number: u64,
    ) -> Result<ObjectHandle, Error> {
        let value = Secret::new(value.to_vec());
        let template = secret(key_type, usage, number);
        carrier::bring_by(self, self.profile.kwp, &value, &template)
    }

    fn authenticates(
        &self,
        key: ObjectHandle,
        number: u64,
        message: &[u8],
        wanted: &[u8],
    ) -> Result<bool, Error> {
        let max = limits::RSA_SIGNATURE_BYTES_MAX;
        let mac = self.calls.sign(self.session, key, number, message, max)?;
        Ok(mac == wanted)
    }

    fn enciphers<C: BlockCipher<N>, const N: usize>(
        &self,
        key: ObjectHandle,
        number: u64,
        cipher: &C,
    ) -> Result<bool, Error> {
        let clear = *self.random::<N>()?.expose_secret();
        let mut ours = clear;
        cipher
            .encrypt_block(&mut ours)
            .map_err(|_| raw::nonsense())?;
        let (session, calls) = (self.session, self.calls);
        let (mut theirs, mut back) = ([0; N], [0; N]);
        calls.cipher(
            session,
            key,
            number,
            Direction::Encrypt,
            &clear,
            &mut theirs,
        )?;
        calls.cipher(session, key, number, Direction::Decrypt, &theirs, &mut back)?;
        Ok(theirs == ours && back == clear)
    }

    fn aes(&self) -> Result<(Secret<[u8; 32]>, Aes), Error> {
        let key = self.random::<32>()?;
        let cipher = Aes::new(key.expose_secret()).map_err(|_| raw::nonsense())?;
        Ok((key, cipher))
    }

    fn tdes(&self) -> Result<(Secret<[u8; 24]>, Tdes), Error> {
        let mut key = self.random::<24>()?;
        for byte in key.expose_secret_mut() {
            // Odd parity: some tokens insist.
            *byte = *byte & 0xfe | u8::from((*byte >> 1).count_ones() % 2 == 0);
        }
        let cipher = Tdes::new(key.expose_secret()).map_err(|_| raw::nonsense())?;
        Ok((key, cipher))
    }

    fn random<const N: usize>(&self) -> Result<Secret<[u8; N]>, Error> {
        let mut bytes = Secret::new([0; N]);
        self.session
            .generate_random_slice(bytes.expose_secret_mut())?;
        Ok(bytes)
    }
}

/// What a session or a module that fails answers is no outcome.
fn outcome(tried: Result<impl Into<Trial>, Error>) -> Result<Trial, Error> {
    match tried {
        Ok(outcome) => Ok(outcome.into()),
        Err(Error::Nonsense(_)) => Ok(Trial::Differs),
        Err(Error::Call(fault)) if !matches!(fault.class(), Class::Session | Class::Module) => {
            Ok(Trial::Refused(fault))
        }
        Err(error) => Err(error),
    }
}

fn tag_of<C: BlockCipher<N>, const N: usize>(cipher: &C) -> Result<[u8; N], Error> {
    let subkeys = cmac::Subkeys::derive(cipher).map_err(|_| raw::nonsense())?;
    cmac::tag(cipher, &subkeys, MESSAGE).map_err(|_| raw::nonsense())
}

/// A secret key that lives for the trial and does one thing.
fn secret(key_type: KeyType, usage: Use, number: u64) -> Vec<Attribute> {
    let cipher = usage == Use::Cipher;
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(key_type),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(cipher),
        Attribute::Decrypt(cipher),
        Attribute::Sign(usage == Use::Authenticate),
        Attribute::Verify(false),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::AllowedMechanisms(vec![raw::mechanism_type(number)]),
    ]
}

/// A private key that lives for the trial and signs.
fn signing() -> Vec<Attribute> {
    vec![
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
    ]
}

/// A key pair takes a good part of a second to make.
const NEEDS_RSA: [Allowed; 4] = [
    Allowed::RsaKeyPairGen,
    Allowed::Sha1RsaPkcs,
    Allowed::Sha256RsaPkcs,
    Allowed::RsaOaep,
];

const KEY_BYTES: u64 = 32;
const MESSAGE: &[u8] = b"pintle tries a mechanism";
const AAD: &[u8] = b"pintle trial";
