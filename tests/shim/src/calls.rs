//! The functions that stand in for the real ones. Each is let in by `faults`, asks the real module, and
//! leaves. Functions that Pintle does not call go to the real module unseen.
#![expect(non_snake_case, reason = "the names are PKCS#11's")]

use std::ffi::c_void;
use std::ptr;
use std::sync::OnceLock;

use cryptoki_sys::*;

use crate::control;
use crate::faults::{Admitted, admit, leave, state};
use crate::real::{Real, real};
use crate::sm2;

/// Our table, for C.
pub struct List(CK_FUNCTION_LIST);

// SAFETY: a table of function pointers that is never written after it was made.
unsafe impl Send for List {}
// SAFETY: as above.
unsafe impl Sync for List {}

impl List {
    /// As PKCS#11 hands it out.
    pub fn get(&'static self) -> CK_FUNCTION_LIST_PTR {
        ptr::from_ref(&self.0).cast_mut()
    }
}

/// The real table, with ours in place of what is watched.
pub fn list() -> Result<&'static List, Box<dyn std::error::Error + Send + Sync>> {
    static LIST: OnceLock<List> = OnceLock::new();
    let real = real()?;
    if let Some(list) = LIST.get() {
        return Ok(list);
    }
    control::listen(real)?;
    Ok(LIST.get_or_init(|| List(watched(real.list))))
}

fn watched(mut list: CK_FUNCTION_LIST) -> CK_FUNCTION_LIST {
    list.version = CK_VERSION {
        major: 2,
        minor: 40,
    };
    macro_rules! ours {
        ($($name:ident),* $(,)?) => { $(list.$name = Some($name);)* };
    }
    ours!(
        C_Initialize,
        C_Finalize,
        C_GetFunctionList,
        C_GetSlotList,
        C_GetTokenInfo,
        C_OpenSession,
        C_CloseSession,
        C_GetSessionInfo,
        C_Login,
        C_CreateObject,
        C_DestroyObject,
        C_GetAttributeValue,
        C_FindObjectsInit,
        C_FindObjects,
        C_FindObjectsFinal,
        C_EncryptInit,
        C_Encrypt,
        C_DecryptInit,
        C_Decrypt,
        C_SignInit,
        C_Sign,
        C_VerifyInit,
        C_DigestInit,
        C_GenerateKey,
        C_GenerateKeyPair,
        C_WrapKey,
        C_UnwrapKey,
        C_DeriveKey,
        C_GenerateRandom,
    );
    list
}

/// The rest of a call, once it is let in.
fn ended(admitted: &Admitted, answer: CK_RV) -> CK_RV {
    leave();
    admitted.answer_after.unwrap_or(answer)
}

fn function<F>(real: &Real, of: impl FnOnce(&CK_FUNCTION_LIST) -> Option<F>) -> Result<F, CK_RV> {
    of(&real.list).ok_or(CKR_FUNCTION_NOT_SUPPORTED)
}

fn wrapped() -> Result<&'static Real, CK_RV> {
    real().map_err(|_| CKR_GENERAL_ERROR)
}

/// Defines a function that is let in, asks the real one with the same arguments, and leaves.
macro_rules! watch {
    ($($name:ident($session:ident: CK_SESSION_HANDLE $(, $argument:ident: $type:ty)*)
        $(mechanism $mechanism:ident)?;)*) => {
        $(unsafe extern "C" fn $name($session: CK_SESSION_HANDLE $(, $argument: $type)*) -> CK_RV {
            let asked = || -> Result<CK_RV, CK_RV> {
                let real = function(wrapped()?, |list| list.$name)?;
                $(note($mechanism, stringify!($name));)?
                let admitted = admit(stringify!($name), Some($session))?;
                // SAFETY: the caller's own arguments, as the caller vouches for them.
                let answer = unsafe { real($session $(, $argument)*) };
                Ok(ended(&admitted, answer))
            };
            asked().unwrap_or_else(|answer| answer)
        })*
    };
}

watch! {
    C_CreateObject(session: CK_SESSION_HANDLE, template: CK_ATTRIBUTE_PTR, count: CK_ULONG,
        object: CK_OBJECT_HANDLE_PTR);
    C_DestroyObject(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE);
    C_GetAttributeValue(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE,
        template: CK_ATTRIBUTE_PTR, count: CK_ULONG);
    C_FindObjectsInit(session: CK_SESSION_HANDLE, template: CK_ATTRIBUTE_PTR, count: CK_ULONG);
    C_FindObjects(session: CK_SESSION_HANDLE, objects: CK_OBJECT_HANDLE_PTR, max: CK_ULONG,
        count: CK_ULONG_PTR);
    C_FindObjectsFinal(session: CK_SESSION_HANDLE);
    C_EncryptInit(session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM_PTR, key: CK_OBJECT_HANDLE)
        mechanism mechanism;
    C_Encrypt(session: CK_SESSION_HANDLE, data: CK_BYTE_PTR, length: CK_ULONG, out: CK_BYTE_PTR,
        out_length: CK_ULONG_PTR);
    C_DecryptInit(session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM_PTR, key: CK_OBJECT_HANDLE)
        mechanism mechanism;
    C_Decrypt(session: CK_SESSION_HANDLE, data: CK_BYTE_PTR, length: CK_ULONG, out: CK_BYTE_PTR,
        out_length: CK_ULONG_PTR);
    C_SignInit(session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM_PTR, key: CK_OBJECT_HANDLE)
        mechanism mechanism;
    C_VerifyInit(session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM_PTR, key: CK_OBJECT_HANDLE)
        mechanism mechanism;
    C_DigestInit(session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM_PTR) mechanism mechanism;
    C_GenerateKey(session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM_PTR,
        template: CK_ATTRIBUTE_PTR, count: CK_ULONG, key: CK_OBJECT_HANDLE_PTR)
        mechanism mechanism;
    C_GenerateKeyPair(session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM_PTR,
        public: CK_ATTRIBUTE_PTR, public_count: CK_ULONG, private: CK_ATTRIBUTE_PTR,
        private_count: CK_ULONG, public_key: CK_OBJECT_HANDLE_PTR,
        private_key: CK_OBJECT_HANDLE_PTR) mechanism mechanism;
    C_WrapKey(session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM_PTR, wrapping: CK_OBJECT_HANDLE,
        key: CK_OBJECT_HANDLE, out: CK_BYTE_PTR, out_length: CK_ULONG_PTR) mechanism mechanism;
    C_UnwrapKey(session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM_PTR,
        unwrapping: CK_OBJECT_HANDLE, wrapped: CK_BYTE_PTR, wrapped_length: CK_ULONG,
        template: CK_ATTRIBUTE_PTR, count: CK_ULONG, key: CK_OBJECT_HANDLE_PTR)
        mechanism mechanism;
    C_DeriveKey(session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM_PTR, base: CK_OBJECT_HANDLE,
        template: CK_ATTRIBUTE_PTR, count: CK_ULONG, key: CK_OBJECT_HANDLE_PTR)
        mechanism mechanism;
    C_GenerateRandom(session: CK_SESSION_HANDLE, out: CK_BYTE_PTR, length: CK_ULONG);
}

fn note(mechanism: CK_MECHANISM_PTR, function: &'static str) {
    if !mechanism.is_null() {
        // SAFETY: not null, and the caller's mechanism for the time of the call.
        let number = unsafe { (*mechanism).mechanism };
        state().record(number, function);
    }
}

unsafe extern "C" fn C_GetFunctionList(list: CK_FUNCTION_LIST_PTR_PTR) -> CK_RV {
    // SAFETY: the caller's argument.
    unsafe { crate::C_GetFunctionList(list) }
}

unsafe extern "C" fn C_Sign(
    session: CK_SESSION_HANDLE,
    data: CK_BYTE_PTR,
    length: CK_ULONG,
    signature: CK_BYTE_PTR,
    signature_length: CK_ULONG_PTR,
) -> CK_RV {
    let asked = || -> Result<CK_RV, CK_RV> {
        let sign = function(wrapped()?, |list| list.C_Sign)?;
        let admitted = admit("C_Sign", Some(session))?;
        let is_sm2 = sm2::is_signing(session);
        // SAFETY: the caller's own arguments.
        let answer = unsafe { sign(session, data, length, signature, signature_length) };
        if admitted.flip && answer == CKR_OK && !signature.is_null() {
            // SAFETY: the module has just written that length.
            let written = unsafe { *signature_length };
            if written >= 256 {
                // SAFETY: of 256 bytes written, one in the middle.
                unsafe { *signature.add(100) ^= 1 };
            } else if is_sm2 {
                // SAFETY: of 64 bytes written, one of s.
                unsafe { *signature.add(60) ^= 1 };
            }
        }
        Ok(ended(&admitted, answer))
    };
    asked().unwrap_or_else(|answer| answer)
}

unsafe extern "C" fn C_Initialize(arguments: *mut c_void) -> CK_RV {
    let asked = || -> Result<CK_RV, CK_RV> {
        let real = wrapped()?;
        let initialize = function(real, |list| list.C_Initialize)?;
        let admitted = admit("C_Initialize", None)?;
        let mut own = CK_C_INITIALIZE_ARGS {
            CreateMutex: None,
            DestroyMutex: None,
            LockMutex: None,
            UnlockMutex: None,
            flags: CKF_OS_LOCKING_OK,
            pReserved: ptr::null_mut(),
        };
        let arguments = match &real.reserved {
            Some(reserved) => {
                own.pReserved = reserved.as_ptr().cast_mut().cast();
                ptr::from_mut(&mut own).cast()
            }
            None => arguments,
        };
        // SAFETY: the caller's arguments, or ours, which outlive the call.
        let answer = unsafe { initialize(arguments) };
        if answer == CKR_OK {
            state().begin_anew();
        }
        Ok(ended(&admitted, answer))
    };
    asked().unwrap_or_else(|answer| answer)
}

unsafe extern "C" fn C_Finalize(reserved: *mut c_void) -> CK_RV {
    let asked = || -> Result<CK_RV, CK_RV> {
        let finalize = function(wrapped()?, |list| list.C_Finalize)?;
        let admitted = admit("C_Finalize", None)?;
        // SAFETY: the caller's argument.
        let answer = unsafe { finalize(reserved) };
        state().begin_anew();
        Ok(ended(&admitted, answer))
    };
    asked().unwrap_or_else(|answer| answer)
}

unsafe extern "C" fn C_GetSlotList(
    present: CK_BBOOL,
    slots: CK_SLOT_ID_PTR,
    count: CK_ULONG_PTR,
) -> CK_RV {
    let asked = || -> Result<CK_RV, CK_RV> {
        let list = function(wrapped()?, |list| list.C_GetSlotList)?;
        let admitted = admit("C_GetSlotList", None)?;
        // SAFETY: the caller's arguments.
        Ok(ended(&admitted, unsafe { list(present, slots, count) }))
    };
    asked().unwrap_or_else(|answer| answer)
}

unsafe extern "C" fn C_GetTokenInfo(slot: CK_SLOT_ID, info: CK_TOKEN_INFO_PTR) -> CK_RV {
    let asked = || -> Result<CK_RV, CK_RV> {
        let get = function(wrapped()?, |list| list.C_GetTokenInfo)?;
        let admitted = admit("C_GetTokenInfo", None)?;
        // SAFETY: the caller's arguments.
        Ok(ended(&admitted, unsafe { get(slot, info) }))
    };
    asked().unwrap_or_else(|answer| answer)
}

unsafe extern "C" fn C_OpenSession(
    slot: CK_SLOT_ID,
    flags: CK_FLAGS,
    application: *mut c_void,
    notify: CK_NOTIFY,
    session: CK_SESSION_HANDLE_PTR,
) -> CK_RV {
    let asked = || -> Result<CK_RV, CK_RV> {
        let open = function(wrapped()?, |list| list.C_OpenSession)?;
        let admitted = admit("C_OpenSession", None)?;
        // SAFETY: the caller's arguments.
        let answer = unsafe { open(slot, flags, application, notify, session) };
        if answer == CKR_OK {
            // SAFETY: the module has just written it.
            state().session(unsafe { *session }, true);
        }
        Ok(ended(&admitted, answer))
    };
    asked().unwrap_or_else(|answer| answer)
}

unsafe extern "C" fn C_CloseSession(session: CK_SESSION_HANDLE) -> CK_RV {
    let asked = || -> Result<CK_RV, CK_RV> {
        let close = function(wrapped()?, |list| list.C_CloseSession)?;
        let admitted = admit("C_CloseSession", Some(session))?;
        // SAFETY: the caller's argument.
        let answer = unsafe { close(session) };
        state().session(session, false);
        Ok(ended(&admitted, answer))
    };
    asked().unwrap_or_else(|answer| answer)
}

unsafe extern "C" fn C_GetSessionInfo(
    session: CK_SESSION_HANDLE,
    info: CK_SESSION_INFO_PTR,
) -> CK_RV {
    let asked = || -> Result<CK_RV, CK_RV> {
        let get = function(wrapped()?, |list| list.C_GetSessionInfo)?;
        let admitted = admit("C_GetSessionInfo", Some(session))?;
        // SAFETY: the caller's arguments.
        let answer = unsafe { get(session, info) };
        if answer == CKR_OK && state().is_logged_out() {
            // SAFETY: the module has just written it.
            unsafe { (*info).state = CKS_RW_PUBLIC_SESSION };
        }
        Ok(ended(&admitted, answer))
    };
    asked().unwrap_or_else(|answer| answer)
}

unsafe extern "C" fn C_Login(
    session: CK_SESSION_HANDLE,
    user: CK_USER_TYPE,
    pin: CK_UTF8CHAR_PTR,
    length: CK_ULONG,
) -> CK_RV {
    let asked = || -> Result<CK_RV, CK_RV> {
        let login = function(wrapped()?, |list| list.C_Login)?;
        let admitted = admit("C_Login", Some(session))?;
        // SAFETY: the caller's arguments.
        let mut answer = unsafe { login(session, user, pin, length) };
        let mut state = state();
        if state.is_logged_out() && answer == CKR_USER_ALREADY_LOGGED_IN {
            answer = CKR_OK;
        }
        if answer == CKR_OK {
            state.logged_in();
        }
        drop(state);
        Ok(ended(&admitted, answer))
    };
    asked().unwrap_or_else(|answer| answer)
}
