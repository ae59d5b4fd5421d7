//! Direct C calls where cryptoki is too slow or has no name for the thing: GCM and signatures in
//! two calls without a size query (PKCS#11 v3.0 §5.2), `CKA_UNWRAP_TEMPLATE`, mechanism numbers
//! that cryptoki does not list, and the reserved argument of `C_Initialize`.
//! Holds no policy: which mechanism and template is decided by the callers.
#![expect(unsafe_code, reason = "the PKCS#11 interface is C")]

use std::ffi::c_void;
use std::path::Path;
use std::ptr;

use cryptoki::context::Function;
use cryptoki::error::{Error as CryptokiError, Rv};
use cryptoki::mechanism::vendor_defined::VendorDefinedMechanism;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::slot::Slot;
use cryptoki_sys::{
    CK_ATTRIBUTE, CK_ATTRIBUTE_TYPE, CK_BYTE, CK_FUNCTION_LIST, CK_GCM_PARAMS, CK_MECHANISM,
    CK_MECHANISM_TYPE, CK_RSA_PKCS_OAEP_PARAMS, CK_RV, CK_ULONG, CK_UNAVAILABLE_INFORMATION,
    CKA_ALLOWED_MECHANISMS, CKA_UNWRAP_TEMPLATE, CKG_MGF1_SHA1, CKG_MGF1_SHA256, CKM_AES_GCM,
    CKM_RSA_PKCS_OAEP, CKM_SHA_1, CKM_SHA256, CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID,
    CKR_BUFFER_TOO_SMALL, CKZ_DATA_SPECIFIED,
};

/// Bits of a GCM tag.
const GCM_TAG_BITS: CK_ULONG = 128;
/// Bytes of a GCM tag.
pub(in crate::hsm) const GCM_TAG_BYTES: usize = 16;

/// What a place for an attribute is filled with: no truth value, and no number in use.
const UNREAD: CK_BYTE = 0xa5;
/// The answers to a call for several attributes of which some could be read.
const SOME_UNREAD: [CK_RV; 3] = [
    CKR_ATTRIBUTE_TYPE_INVALID,
    CKR_ATTRIBUTE_SENSITIVE,
    CKR_BUFFER_TOO_SMALL,
];

/// The hash of RSAES-OAEP and of its MGF1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hsm) enum OaepHash {
    /// WeChat Pay's sensitive fields.
    Sha1,
    /// Keys that come in.
    Sha256,
}

/// Which way a cipher runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Clear to encrypted.
    Encrypt,
    /// Encrypted to clear.
    Decrypt,
}

/// A module's function table, beside cryptoki's own.
pub(in crate::hsm) struct Calls {
    list: CK_FUNCTION_LIST,
    // Keeps the functions mapped.
    _library: Option<cryptoki_sys::Pkcs11>,
}

impl Calls {
    /// The table of a shared object (already loaded by cryptoki: the loader counts).
    pub fn of_library(path: &Path) -> Result<Self, CryptokiError> {
        // SAFETY: loading runs the object's initialisers, as `Pkcs11::new` on this path has done.
        let library =
            unsafe { cryptoki_sys::Pkcs11::new(path) }.map_err(CryptokiError::LibraryLoading)?;
        let Ok(entry) = library.C_GetFunctionList.as_ref() else {
            return Err(CryptokiError::MissingSymbol("C_GetFunctionList"));
        };
        let mut list = ptr::null_mut();
        // SAFETY: `list` is a valid place for one pointer.
        answer(unsafe { entry(&raw mut list) }, Function::GetFunctionList)?;
        let list = copy_list(list)?;
        Ok(Self {
            list,
            _library: Some(library),
        })
    }

    /// The table of the embedded token.
    #[cfg(feature = "embedded-token")]
    pub fn of_embedded() -> Result<Self, CryptokiError> {
        let mut list: *mut CK_FUNCTION_LIST = ptr::null_mut();
        // kryoptic's own bindings name the same C structure by another Rust type.
        let rv = crate::hsm::embedded::C_GetFunctionList((&raw mut list).cast());
        answer(rv, Function::GetFunctionList)?;
        Ok(Self {
            list: copy_list(list)?,
            _library: None,
        })
    }

    /// Closes a session by its number; cryptoki's `close` takes the session by value.
    pub fn close(&self, session: &Session) {
        if let Some(close) = self.list.C_CloseSession {
            // SAFETY: any number may be closed; one that is not open is answered with an error,
            // and there is nothing to do about it.
            let _ = unsafe { close(session.handle()) };
        }
    }

    /// AES-GCM encryption: ciphertext ‖ tag.
    pub fn gcm_encrypt(
        &self,
        session: &Session,
        key: ObjectHandle,
        iv: &[u8; 12],
        aad: &[u8],
        clear: &[u8],
    ) -> Result<Vec<u8>, CryptokiError> {
        let mut parameters = gcm_parameters(iv, aad);
        let mut mechanism = mechanism_with(CKM_AES_GCM, &mut parameters);
        let mut sealed = vec![0; clear.len() + GCM_TAG_BYTES];
        let direction = Direction::Encrypt;
        let written = self.run(session, key, &mut mechanism, direction, clear, &mut sealed)?;
        sealed.truncate(written);
        Ok(sealed)
    }

    /// AES-GCM decryption into `clear`, which must be at least as long as `sealed`; tells how many
    /// bytes it wrote. Two calls and no size query: NSS answers one wrongly, and each costs.
    pub fn gcm_decrypt(
        &self,
        session: &Session,
        key: ObjectHandle,
        iv: &[u8; 12],
        aad: &[u8],
        sealed: &[u8],
        clear: &mut [u8],
    ) -> Result<usize, CryptokiError> {
        let mut parameters = gcm_parameters(iv, aad);
        let mut mechanism = mechanism_with(CKM_AES_GCM, &mut parameters);
        let direction = Direction::Decrypt;
        self.run(session, key, &mut mechanism, direction, sealed, clear)
    }

    /// A signature of at most `max` bytes by a mechanism without parameters.
    pub fn sign(
        &self,
        session: &Session,
        key: ObjectHandle,
        mechanism: CK_MECHANISM_TYPE,
        message: &[u8],
        max: usize,
    ) -> Result<Vec<u8>, CryptokiError> {
        let mut signature = vec![0; max];
        let written = self.sign_into(session, key, mechanism, message, &mut signature)?;
        signature.truncate(written);
        Ok(signature)
    }

    /// The same into `signature`; tells how many bytes it wrote.
    pub fn sign_into(
        &self,
        session: &Session,
        key: ObjectHandle,
        mechanism: CK_MECHANISM_TYPE,
        message: &[u8],
        signature: &mut [u8],
    ) -> Result<usize, CryptokiError> {
        let mut mechanism = CK_MECHANISM {
            mechanism,
            pParameter: ptr::null_mut(),
            ulParameterLen: 0,
        };
        let init = defined(self.list.C_SignInit)?;
        let sign = defined(self.list.C_Sign)?;
        // SAFETY: `mechanism` outlives the call.
        let rv = unsafe { init(session.handle(), &raw mut mechanism, key.handle()) };
        answer(rv, Function::SignInit)?;
        let mut written = length(signature.len());
        // SAFETY: the token reads `message.len()` bytes and writes at most `written`.
        let rv = unsafe {
            sign(
                session.handle(),
                reads(message),
                length(message.len()),
                signature.as_mut_ptr(),
                &raw mut written,
            )
        };
        answer(rv, Function::Sign)?;
        Ok(usize::try_from(written)?)
    }

    /// One pass of a cipher without parameters over whole blocks; `output` is as long as `input`.
    pub fn cipher(
        &self,
        session: &Session,
        key: ObjectHandle,
        mechanism: CK_MECHANISM_TYPE,
        direction: Direction,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<usize, CryptokiError> {
        let mut mechanism = CK_MECHANISM {
            mechanism,
            pParameter: ptr::null_mut(),
            ulParameterLen: 0,
        };
        self.run(session, key, &mut mechanism, direction, input, output)
    }

    /// RSAES-OAEP decryption with a hash, MGF1 of the same and an empty label.
    pub fn oaep_decrypt(
        &self,
        session: &Session,
        key: ObjectHandle,
        hash: OaepHash,
        wrapped: &[u8],
        clear: &mut [u8],
    ) -> Result<usize, CryptokiError> {
        let (hash, mgf) = match hash {
            OaepHash::Sha1 => (CKM_SHA_1, CKG_MGF1_SHA1),
            OaepHash::Sha256 => (CKM_SHA256, CKG_MGF1_SHA256),
        };
        let mut parameters = CK_RSA_PKCS_OAEP_PARAMS {
            hashAlg: hash,
            mgf,
            source: CKZ_DATA_SPECIFIED,
            pSourceData: ptr::null_mut(),
            ulSourceDataLen: 0,
        };
        let mut mechanism = mechanism_with(CKM_RSA_PKCS_OAEP, &mut parameters);
        let direction = Direction::Decrypt;
        self.run(session, key, &mut mechanism, direction, wrapped, clear)
    }

    /// Init and one call, no size query; `mechanism` points to what outlives this call.
    fn run(
        &self,
        session: &Session,
        key: ObjectHandle,
        mechanism: &mut CK_MECHANISM,
        direction: Direction,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<usize, CryptokiError> {
        let list = &self.list;
        // The two directions have functions of the same form.
        let (init, run, functions) = match direction {
            Direction::Encrypt => (
                defined(list.C_EncryptInit)?,
                defined(list.C_Encrypt)?,
                (Function::EncryptInit, Function::Encrypt),
            ),
            Direction::Decrypt => (
                defined(list.C_DecryptInit)?,
                defined(list.C_Decrypt)?,
                (Function::DecryptInit, Function::Decrypt),
            ),
        };
        // SAFETY: `mechanism` and what it points to outlive both calls.
        let rv = unsafe { init(session.handle(), mechanism, key.handle()) };
        answer(rv, functions.0)?;
        let mut written = length(output.len());
        // SAFETY: the token reads `input.len()` bytes and writes at most `written`.
        let rv = unsafe {
            run(
                session.handle(),
                reads(input),
                length(input.len()),
                output.as_mut_ptr(),
                &raw mut written,
            )
        };
        answer(rv, functions.1)?;
        Ok(usize::try_from(written)?)
    }

    /// A key wrapped by a mechanism without parameters, of at most `max` bytes.
    pub fn wrap_key(
        &self,
        session: &Session,
        mechanism: CK_MECHANISM_TYPE,
        wrapping: ObjectHandle,
        key: ObjectHandle,
        max: usize,
    ) -> Result<Vec<u8>, CryptokiError> {
        let mut mechanism = CK_MECHANISM {
            mechanism,
            pParameter: ptr::null_mut(),
            ulParameterLen: 0,
        };
        let wrap = defined(self.list.C_WrapKey)?;
        let mut wrapped = vec![0; max];
        let mut written = length(max);
        // SAFETY: `mechanism` outlives the call; the module writes at most `written` bytes.
        let rv = unsafe {
            wrap(
                session.handle(),
                &raw mut mechanism,
                wrapping.handle(),
                key.handle(),
                wrapped.as_mut_ptr(),
                &raw mut written,
            )
        };
        answer(rv, Function::WrapKey)?;
        wrapped.truncate(usize::try_from(written)?);
        Ok(wrapped)
    }

    /// Makes a secret key whose `CKA_UNWRAP_TEMPLATE` is `pinned`: whatever it unwraps has these
    /// attributes, whoever asks.
    pub fn generate_key_with_unwrap_template(
        &self,
        session: &Session,
        mechanism: CK_MECHANISM_TYPE,
        template: &[Attribute],
        pinned: &[Attribute],
    ) -> Result<ObjectHandle, CryptokiError> {
        let mut mechanism = CK_MECHANISM {
            mechanism,
            pParameter: ptr::null_mut(),
            ulParameterLen: 0,
        };
        let mut inner: Vec<CK_ATTRIBUTE> = pinned.iter().map(CK_ATTRIBUTE::from).collect();
        let mut outer: Vec<CK_ATTRIBUTE> = template.iter().map(CK_ATTRIBUTE::from).collect();
        outer.push(CK_ATTRIBUTE {
            type_: CKA_UNWRAP_TEMPLATE,
            pValue: inner.as_mut_ptr().cast::<c_void>(),
            ulValueLen: length(size_of_val(inner.as_slice())),
        });
        let generate = defined(self.list.C_GenerateKey)?;
        let mut handle = 0;
        // SAFETY: both templates and the attributes they point into outlive the call.
        let rv = unsafe {
            generate(
                session.handle(),
                &raw mut mechanism,
                outer.as_mut_ptr(),
                length(outer.len()),
                &raw mut handle,
            )
        };
        answer(rv, Function::GenerateKey)?;
        // SAFETY: the module has just given this handle.
        Ok(unsafe { ObjectHandle::new_from_raw(handle) })
    }

    /// The key's `CKA_UNWRAP_TEMPLATE`, attribute by attribute; empty when it has none.
    pub fn unwrap_template(
        &self,
        session: &Session,
        key: ObjectHandle,
    ) -> Result<Vec<(CK_ATTRIBUTE_TYPE, Vec<u8>)>, CryptokiError> {
        let mut outer = CK_ATTRIBUTE {
            type_: CKA_UNWRAP_TEMPLATE,
            pValue: ptr::null_mut(),
            ulValueLen: 0,
        };
        self.read_attribute(session, key, &mut outer)?;
        let count = usize::try_from(outer.ulValueLen)? / size_of::<CK_ATTRIBUTE>();
        // PKCS#11 v3.2 §4.1.1: types unknown to the caller are asked for by this value.
        let blank = CK_ATTRIBUTE {
            type_: CK_UNAVAILABLE_INFORMATION,
            pValue: ptr::null_mut(),
            ulValueLen: 0,
        };
        let mut inner = vec![blank; count];
        if inner.is_empty() {
            return Ok(Vec::new());
        }
        outer.pValue = inner.as_mut_ptr().cast::<c_void>();
        self.read_attribute(session, key, &mut outer)?;
        let mut values = Vec::with_capacity(count);
        for attribute in &mut inner {
            let mut value = vec![0u8; usize::try_from(attribute.ulValueLen)?];
            attribute.pValue = value.as_mut_ptr().cast::<c_void>();
            values.push(value);
        }
        self.read_attribute(session, key, &mut outer)?;
        Ok(inner.iter().map(|a| a.type_).zip(values).collect())
    }

    /// The key's `CKA_ALLOWED_MECHANISMS` as numbers: cryptoki fails on those it does not know.
    pub fn allowed_mechanisms(
        &self,
        session: &Session,
        key: ObjectHandle,
    ) -> Result<Vec<CK_MECHANISM_TYPE>, CryptokiError> {
        let mut attribute = CK_ATTRIBUTE {
            type_: CKA_ALLOWED_MECHANISMS,
            pValue: ptr::null_mut(),
            ulValueLen: 0,
        };
        self.read_attribute(session, key, &mut attribute)?;
        let count = usize::try_from(attribute.ulValueLen)? / size_of::<CK_MECHANISM_TYPE>();
        let mut numbers: Vec<CK_MECHANISM_TYPE> = vec![0; count];
        attribute.pValue = numbers.as_mut_ptr().cast::<c_void>();
        self.read_attribute(session, key, &mut attribute)?;
        Ok(numbers)
    }

    /// Every mechanism number that the slot lists.
    pub fn mechanism_list(&self, slot: Slot) -> Result<Vec<CK_MECHANISM_TYPE>, CryptokiError> {
        let list = defined(self.list.C_GetMechanismList)?;
        let mut count = 0;
        // SAFETY: a null list asks for the count only.
        let rv = unsafe { list(slot.into(), ptr::null_mut(), &raw mut count) };
        answer(rv, Function::GetMechanismList)?;
        let mut mechanisms = vec![0; usize::try_from(count)?];
        // SAFETY: the module writes at most `count` numbers.
        let rv = unsafe { list(slot.into(), mechanisms.as_mut_ptr(), &raw mut count) };
        answer(rv, Function::GetMechanismList)?;
        mechanisms.truncate(usize::try_from(count)?);
        Ok(mechanisms)
    }

    /// Several attributes of an object in one call, each with the bytes it has room for; `None` where
    /// the object has it not, or more of it.
    pub fn attributes(
        &self,
        session: &Session,
        object: ObjectHandle,
        wanted: &[(CK_ATTRIBUTE_TYPE, usize)],
    ) -> Result<Vec<Option<Vec<u8>>>, CryptokiError> {
        let read = defined(self.list.C_GetAttributeValue)?;
        let mut values: Vec<Vec<u8>> = wanted.iter().map(|(_, room)| vec![UNREAD; *room]).collect();
        let mut attributes: Vec<CK_ATTRIBUTE> = wanted
            .iter()
            .zip(&mut values)
            .map(|((number, room), value)| CK_ATTRIBUTE {
                type_: *number,
                pValue: value.as_mut_ptr().cast::<c_void>(),
                ulValueLen: length(*room),
            })
            .collect();
        let (first, count) = (attributes.as_mut_ptr(), length(attributes.len()));
        // SAFETY: each attribute's value has room for its `ulValueLen` bytes.
        let rv = unsafe { read(session.handle(), object.handle(), first, count) };
        // What one attribute lacks is said of all; which it is stands in its length.
        if !SOME_UNREAD.contains(&rv) {
            answer(rv, Function::GetAttributeValue)?;
        }
        let lengths: Vec<CK_ULONG> = attributes.iter().map(|a| a.ulValueLen).collect();
        let mut known = Vec::with_capacity(wanted.len());
        for (((number, room), mut value), length) in wanted.iter().zip(values).zip(lengths) {
            let read = usize::try_from(length).unwrap_or(usize::MAX);
            // Some stop at the first that they have not, and leave the rest as it was.
            if read == *room && wanted.len() > 1 && value.iter().all(|byte| *byte == UNREAD) {
                known.append(&mut self.attributes(session, object, &[(*number, *room)])?);
                continue;
            }
            value.truncate(read);
            known.push((read <= *room).then_some(value));
        }
        Ok(known)
    }

    fn read_attribute(
        &self,
        session: &Session,
        key: ObjectHandle,
        attribute: &mut CK_ATTRIBUTE,
    ) -> Result<(), CryptokiError> {
        let read = defined(self.list.C_GetAttributeValue)?;
        // SAFETY: the attribute's value, where not null, has room for `ulValueLen` bytes.
        let rv = unsafe { read(session.handle(), key.handle(), attribute, 1) };
        // Tokens differ in how they say that the key has none: by this length, an error, or both.
        if attribute.ulValueLen == CK_UNAVAILABLE_INFORMATION || rv == CKR_ATTRIBUTE_TYPE_INVALID {
            attribute.ulValueLen = 0;
            return Ok(());
        }
        answer(rv, Function::GetAttributeValue)
    }
}

/// `C_Initialize` with a string as the reserved argument (kryoptic: its token file).
#[cfg(feature = "embedded-token")]
pub(in crate::hsm) fn initialize_with_reserved(
    module: &cryptoki::context::Pkcs11,
    reserved: &std::ffi::CStr,
) -> Result<(), CryptokiError> {
    use cryptoki::context::{CInitializeArgs, CInitializeFlags};

    let pointer = ptr::NonNull::from(reserved).cast::<c_void>();
    // SAFETY: kryoptic takes the argument for a C string and reads it during the call only.
    let arguments =
        unsafe { CInitializeArgs::new_with_reserved(CInitializeFlags::OS_LOCKING_OK, pointer) };
    module.initialize(arguments)
}

/// What to say of a token that answered OK and something of the wrong length.
pub(in crate::hsm) fn nonsense() -> crate::hsm::error::Error {
    CryptokiError::InvalidValue.into()
}

/// A mechanism number as cryptoki's type, also where cryptoki has no name for it.
pub(in crate::hsm) fn mechanism_type(number: CK_MECHANISM_TYPE) -> MechanismType {
    // SAFETY: `MechanismType` is `repr(transparent)` over `CK_MECHANISM_TYPE`.
    unsafe { std::mem::transmute::<CK_MECHANISM_TYPE, MechanismType>(number) }
}

/// A mechanism without parameters, by number.
pub(in crate::hsm) fn plain_mechanism(number: CK_MECHANISM_TYPE) -> Mechanism<'static> {
    Mechanism::VendorDefined(VendorDefinedMechanism::new::<u8>(
        mechanism_type(number),
        None,
    ))
}

/// A mechanism with one block, its IV, as the parameter.
pub(in crate::hsm) fn mechanism_of_block(
    number: CK_MECHANISM_TYPE,
    iv: &[u8; 16],
) -> Mechanism<'_> {
    let kind = mechanism_type(number);
    Mechanism::VendorDefined(VendorDefinedMechanism::new(kind, Some(iv)))
}

fn copy_list(list: *const CK_FUNCTION_LIST) -> Result<CK_FUNCTION_LIST, CryptokiError> {
    if list.is_null() {
        return Err(CryptokiError::NullFunctionPointer);
    }
    // SAFETY: not null, and the module answered OK: it points to its static table.
    Ok(unsafe { *list })
}

fn gcm_parameters(iv: &[u8; 12], aad: &[u8]) -> CK_GCM_PARAMS {
    CK_GCM_PARAMS {
        pIv: reads(iv),
        ulIvLen: 12,
        ulIvBits: 96,
        pAAD: reads(aad),
        ulAADLen: length(aad.len()),
        ulTagBits: GCM_TAG_BITS,
    }
}

fn mechanism_with<P>(number: CK_MECHANISM_TYPE, parameters: &mut P) -> CK_MECHANISM {
    CK_MECHANISM {
        mechanism: number,
        pParameter: ptr::from_mut(parameters).cast::<c_void>(),
        ulParameterLen: length(size_of::<P>()),
    }
}

/// PKCS#11 has no `const`: an input as the pointer its functions take.
fn reads(bytes: &[u8]) -> *mut CK_BYTE {
    bytes.as_ptr().cast_mut()
}

fn length(bytes: usize) -> CK_ULONG {
    // CK_ULONG is the machine's long; a slice is never longer than that.
    CK_ULONG::try_from(bytes).unwrap_or(CK_ULONG::MAX)
}

fn defined<F>(function: Option<F>) -> Result<F, CryptokiError> {
    function.ok_or(CryptokiError::NullFunctionPointer)
}

fn answer(rv: CK_RV, function: Function) -> Result<(), CryptokiError> {
    Rv::from(rv).into_result(function)
}
