//! An SM2 of a vendor's numbers over a module that has only its curve, where the settings have a table
//! `sm2`: what a vendor's token says and does, as far as Pintle asks it. The keys are the real module's
//! EC keys on sm2p256v1 (1.2.156.10197.1.301). Underneath they can be read, so that this module computes
//! with them: FOR TESTS ALONE.
//!
//! Signing is begun and ended by the real module's ECDSA, so that sessions, usage, CKA_ALLOWED_MECHANISMS,
//! sizes and the order of calls are judged there; the signature is then replaced. Keys can be made, not
//! brought in. C_CopyObject, C_SetAttributeValue and C_GetObjectSize see the real object.
#![expect(non_snake_case, reason = "the names are PKCS#11's")]

mod attributes;
mod signature;

use std::collections::{HashMap, HashSet};
use std::ptr;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use cryptoki_sys::*;
use serde::Deserialize;

use crate::real::real;
use attributes::{flag, number, numbers};

/// The vendor's numbers.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Numbers {
    /// CKK of its keys.
    key_type: CK_KEY_TYPE,
    /// Makes a pair.
    key_gen: CK_MECHANISM_TYPE,
    /// Signs a digest of 32 bytes made outside: r and s, 32 bytes each.
    sign: CK_MECHANISM_TYPE,
}

/// The real table, with an SM2 in it.
pub fn over(mut list: CK_FUNCTION_LIST) -> CK_FUNCTION_LIST {
    list.C_GetMechanismList = Some(C_GetMechanismList);
    list.C_GetMechanismInfo = Some(C_GetMechanismInfo);
    list.C_GenerateKeyPair = Some(C_GenerateKeyPair);
    list.C_GetAttributeValue = Some(attributes::C_GetAttributeValue);
    list.C_FindObjectsInit = Some(attributes::C_FindObjectsInit);
    list.C_FindObjects = Some(attributes::C_FindObjects);
    list.C_WrapKey = Some(C_WrapKey);
    list.C_SignInit = Some(C_SignInit);
    list.C_Sign = Some(C_Sign);
    list
}

/// Whether the session's next signature is by SM2.
pub fn is_signing(session: CK_SESSION_HANDLE) -> bool {
    under_way().signing.contains_key(&session)
}

/// What sessions are about. The real module has operations of its own under these, and says when there is
/// none: what is left here of a session that was closed does nothing.
#[derive(Default)]
struct UnderWay {
    /// The key.
    signing: HashMap<CK_SESSION_HANDLE, CK_OBJECT_HANDLE>,
    /// What was found and not yet fetched, the last first.
    found: HashMap<CK_SESSION_HANDLE, Vec<CK_OBJECT_HANDLE>>,
}

fn under_way() -> MutexGuard<'static, UnderWay> {
    static UNDER_WAY: LazyLock<Mutex<UnderWay>> = LazyLock::new(Mutex::default);
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The numbers, and a function of the real module's.
fn asked_of<F>(of: impl FnOnce(&CK_FUNCTION_LIST) -> Option<F>) -> Result<(Numbers, F), CK_RV> {
    let real = real().map_err(|_| CKR_GENERAL_ERROR)?;
    let numbers = real.settings.sm2.ok_or(CKR_GENERAL_ERROR)?;
    let function = of(&real.bare).ok_or(CKR_FUNCTION_NOT_SUPPORTED)?;
    Ok((numbers, function))
}

fn ok(answer: CK_RV) -> Result<(), CK_RV> {
    if answer == CKR_OK {
        Ok(())
    } else {
        Err(answer)
    }
}

unsafe extern "C" fn C_GetMechanismList(
    slot: CK_SLOT_ID,
    list: CK_MECHANISM_TYPE_PTR,
    count: CK_ULONG_PTR,
) -> CK_RV {
    let asked = || -> Result<(), CK_RV> {
        let (sm2, get) = asked_of(|list| list.C_GetMechanismList)?;
        if count.is_null() {
            return Err(CKR_ARGUMENTS_BAD);
        }
        let mut theirs = 0;
        // SAFETY: no list, and a place for its length.
        ok(unsafe { get(slot, ptr::null_mut(), &raw mut theirs) })?;
        let mut all = vec![0; theirs as usize];
        // SAFETY: a list of the length it said.
        ok(unsafe { get(slot, all.as_mut_ptr(), &raw mut theirs) })?;
        all.truncate(theirs as usize);
        all.extend([sm2.key_gen, sm2.sign]);
        // SAFETY: not null, and the caller's.
        let room = unsafe { std::mem::replace(&mut *count, all.len() as CK_ULONG) };
        if list.is_null() {
            return Ok(());
        }
        if (room as usize) < all.len() {
            return Err(CKR_BUFFER_TOO_SMALL);
        }
        // SAFETY: the caller has room for that many.
        unsafe { ptr::copy_nonoverlapping(all.as_ptr(), list, all.len()) };
        Ok(())
    };
    asked().err().unwrap_or(CKR_OK)
}

unsafe extern "C" fn C_GetMechanismInfo(
    slot: CK_SLOT_ID,
    mechanism: CK_MECHANISM_TYPE,
    info: CK_MECHANISM_INFO_PTR,
) -> CK_RV {
    let asked = || -> Result<(), CK_RV> {
        let (sm2, get) = asked_of(|list| list.C_GetMechanismInfo)?;
        let (real, flags) = match mechanism {
            number if number == sm2.key_gen => (CKM_EC_KEY_PAIR_GEN, Some(CKF_GENERATE_KEY_PAIR)),
            number if number == sm2.sign => (CKM_ECDSA, Some(CKF_SIGN)),
            number => (number, None),
        };
        // SAFETY: the caller's arguments.
        ok(unsafe { get(slot, real, info) })?;
        if let Some(flags) = flags {
            // SAFETY: the module has just written it.
            unsafe {
                *info = CK_MECHANISM_INFO {
                    ulMinKeySize: 256,
                    ulMaxKeySize: 256,
                    flags,
                }
            };
        }
        Ok(())
    };
    asked().err().unwrap_or(CKR_OK)
}

unsafe extern "C" fn C_GenerateKeyPair(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM_PTR,
    public: CK_ATTRIBUTE_PTR,
    public_count: CK_ULONG,
    private: CK_ATTRIBUTE_PTR,
    private_count: CK_ULONG,
    public_key: CK_OBJECT_HANDLE_PTR,
    private_key: CK_OBJECT_HANDLE_PTR,
) -> CK_RV {
    let asked = || -> Result<(), CK_RV> {
        let (sm2, generate) = asked_of(|list| list.C_GenerateKeyPair)?;
        // SAFETY: the caller's mechanism, or none.
        let is_ours = unsafe { mechanism.as_ref() }.is_some_and(|m| m.mechanism == sm2.key_gen);
        if !is_ours {
            // SAFETY: the caller's arguments.
            return ok(unsafe {
                generate(
                    session,
                    mechanism,
                    public,
                    public_count,
                    private,
                    private_count,
                    public_key,
                    private_key,
                )
            });
        }
        // SAFETY: the caller's templates, of these lengths.
        let (mut public, mut private) = unsafe {
            (
                Template::read(&sm2, public, public_count)?,
                Template::read(&sm2, private, private_count)?,
            )
        };
        let [mut sensitive, mut extractable] = [CK_FALSE, CK_TRUE];
        private.force(CKA_SENSITIVE, &mut sensitive);
        private.force(CKA_EXTRACTABLE, &mut extractable);
        let mut curve = CURVE;
        public.force(CKA_EC_PARAMS, &mut curve);
        let mut by = CK_MECHANISM {
            mechanism: CKM_EC_KEY_PAIR_GEN,
            pParameter: ptr::null_mut(),
            ulParameterLen: 0,
        };
        let (public_count, private_count) = (public.count(), private.count());
        // SAFETY: everything the templates point to is the caller's or outlives the call.
        ok(unsafe {
            generate(
                session,
                &raw mut by,
                public.attributes.as_mut_ptr(),
                public_count,
                private.attributes.as_mut_ptr(),
                private_count,
                public_key,
                private_key,
            )
        })
    };
    asked().err().unwrap_or(CKR_OK)
}

/// A caller's template as the real module is to have it.
struct Template {
    attributes: Vec<CK_ATTRIBUTE>,
    // Pointed to by the attributes.
    _key_type: Box<CK_KEY_TYPE>,
    _allowed: Vec<CK_MECHANISM_TYPE>,
}

impl Template {
    /// Judges it as a token with an SM2 would, and says the same in the real module's words.
    unsafe fn read(
        sm2: &Numbers,
        template: CK_ATTRIBUTE_PTR,
        count: CK_ULONG,
    ) -> Result<Self, CK_RV> {
        // SAFETY: the caller's.
        let mut attributes = unsafe { attributes::slice(template, count) }.to_vec();
        let mut key_type = Box::new(CKK_EC);
        let mut allowed = Vec::new();
        let mut seen = HashSet::new();
        for attribute in &mut attributes {
            // SAFETY: the caller's, of the length it says.
            let value = unsafe { attributes::value(attribute) };
            let (may_be, otherwise) = match attribute.type_ {
                CKA_KEY_TYPE => (
                    number(value) == Some(sm2.key_type),
                    CKR_TEMPLATE_INCONSISTENT,
                ),
                CKA_EC_PARAMS => (value == CURVE, CKR_CURVE_NOT_SUPPORTED),
                // A token that lets SM2 keys out would be one for tests.
                CKA_SENSITIVE => (flag(value) == Some(true), CKR_TEMPLATE_INCONSISTENT),
                CKA_EXTRACTABLE => (flag(value) == Some(false), CKR_TEMPLATE_INCONSISTENT),
                CKA_ALLOWED_MECHANISMS => {
                    allowed = numbers(value).ok_or(CKR_ATTRIBUTE_VALUE_INVALID)?;
                    (!allowed.contains(&CKM_ECDSA), CKR_MECHANISM_INVALID)
                }
                _ => (true, CKR_OK),
            };
            if !may_be {
                return Err(otherwise);
            }
            if !seen.insert(attribute.type_) {
                return Err(CKR_TEMPLATE_INCONSISTENT);
            }
            if attribute.type_ == CKA_KEY_TYPE {
                attribute.pValue = ptr::from_mut(key_type.as_mut()).cast();
            }
            if attribute.type_ == CKA_ALLOWED_MECHANISMS {
                for number in &mut allowed {
                    // What signing is begun with.
                    *number = if *number == sm2.sign {
                        CKM_ECDSA
                    } else {
                        *number
                    };
                }
                attribute.pValue = allowed.as_mut_ptr().cast();
            }
        }
        Ok(Self {
            attributes,
            _key_type: key_type,
            _allowed: allowed,
        })
    }

    /// This value, whatever the caller said.
    fn force<T>(&mut self, type_: CK_ATTRIBUTE_TYPE, value: &mut T) {
        self.attributes.retain(|attribute| attribute.type_ != type_);
        self.attributes.push(CK_ATTRIBUTE {
            type_,
            pValue: ptr::from_mut(value).cast(),
            ulValueLen: size_of::<T>() as CK_ULONG,
        });
    }

    fn count(&self) -> CK_ULONG {
        self.attributes.len() as CK_ULONG
    }
}

unsafe extern "C" fn C_WrapKey(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM_PTR,
    wrapping: CK_OBJECT_HANDLE,
    key: CK_OBJECT_HANDLE,
    out: CK_BYTE_PTR,
    out_length: CK_ULONG_PTR,
) -> CK_RV {
    let asked = || -> Result<(), CK_RV> {
        let (_, wrap) = asked_of(|list| list.C_WrapKey)?;
        if attributes::is_sm2(session, key) {
            return Err(CKR_KEY_UNEXTRACTABLE);
        }
        // SAFETY: the caller's arguments.
        ok(unsafe { wrap(session, mechanism, wrapping, key, out, out_length) })
    };
    asked().err().unwrap_or(CKR_OK)
}

unsafe extern "C" fn C_SignInit(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM_PTR,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    let asked = || -> Result<(), CK_RV> {
        let (sm2, init) = asked_of(|list| list.C_SignInit)?;
        // SAFETY: the caller's mechanism, or none.
        let given = unsafe { mechanism.as_ref() };
        let is_ours = given.is_some_and(|given| given.mechanism == sm2.sign);
        // A handle of nothing is the real module's to refuse.
        let is_key = attributes::class(session, key).is_some();
        if is_key && given.is_some() && is_ours != attributes::is_sm2(session, key) {
            return Err(CKR_KEY_TYPE_INCONSISTENT);
        }
        if is_ours && given.is_some_and(|given| given.ulParameterLen != 0) {
            return Err(CKR_MECHANISM_PARAM_INVALID);
        }
        let mut by = CK_MECHANISM {
            mechanism: CKM_ECDSA,
            pParameter: ptr::null_mut(),
            ulParameterLen: 0,
        };
        let mechanism = if is_ours { &raw mut by } else { mechanism };
        // SAFETY: the caller's arguments, or ours, which outlives the call.
        ok(unsafe { init(session, mechanism, key) })?;
        let mut under_way = under_way();
        if is_ours {
            under_way.signing.insert(session, key);
        } else {
            under_way.signing.remove(&session);
        }
        Ok(())
    };
    asked().err().unwrap_or(CKR_OK)
}

unsafe extern "C" fn C_Sign(
    session: CK_SESSION_HANDLE,
    data: CK_BYTE_PTR,
    length: CK_ULONG,
    signature: CK_BYTE_PTR,
    signature_length: CK_ULONG_PTR,
) -> CK_RV {
    let asked = || -> Result<CK_RV, CK_RV> {
        let (_, sign) = asked_of(|list| list.C_Sign)?;
        let key = under_way().signing.get(&session).copied();
        let Some(key) = key else {
            // SAFETY: the caller's arguments.
            return Ok(unsafe { sign(session, data, length, signature, signature_length) });
        };
        let digest = if length == DIGEST_BYTES && !data.is_null() {
            // SAFETY: not null, and of this length.
            Some(unsafe { *data.cast::<[u8; 32]>() })
        } else {
            None
        };
        let is_question = signature.is_null();
        if digest.is_none() && !is_question {
            // Any signature of the real module's ends the operation.
            let mut digest = [0; 32];
            let mut unused = [0; 64];
            let mut written = 64;
            let (digest, unused) = (digest.as_mut_ptr(), unused.as_mut_ptr());
            // SAFETY: of these lengths.
            ok(unsafe { sign(session, digest, DIGEST_BYTES, unused, &raw mut written) })?;
            under_way().signing.remove(&session);
            return Err(CKR_DATA_LEN_RANGE);
        }
        // SAFETY: the caller's arguments.
        let answer = unsafe { sign(session, data, length, signature, signature_length) };
        if is_question || answer == CKR_BUFFER_TOO_SMALL {
            return Ok(answer);
        }
        under_way().signing.remove(&session);
        if let (CKR_OK, Some(digest)) = (answer, digest) {
            let ours = signature::of(session, key, &digest)?;
            // SAFETY: as long as the real module's over a curve of 256 bits, which it has just written.
            unsafe { ptr::copy_nonoverlapping(ours.as_ptr(), signature, ours.len()) };
        }
        Ok(answer)
    };
    asked().unwrap_or_else(|answer| answer)
}

/// sm2p256v1 (1.2.156.10197.1.301), DER.
const CURVE: [u8; 10] = [0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d];
const DIGEST_BYTES: CK_ULONG = 32;
