//! The same calls without a pool: threads that own a session each and call the module's functions in a
//! loop, as fast as it goes. What the pool is measured against.
#![expect(unsafe_code, reason = "the PKCS#11 interface is C")]

use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_ATTRIBUTE_TYPE, CK_FUNCTION_LIST, CK_GCM_PARAMS, CK_MECHANISM,
    CK_OBJECT_CLASS, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_SLOT_ID, CK_TOKEN_INFO,
    CK_ULONG, CKA_CLASS, CKA_ID, CKA_PRIVATE, CKA_TOKEN, CKA_VALUE, CKF_RW_SESSION,
    CKF_SERIAL_SESSION, CKM_AES_GCM, CKM_SHA256_RSA_PKCS, CKO_DATA, CKR_OK,
};

use crate::AnyError;

unsafe extern "C" {
    // The embedded token's, which the library brings with it.
    fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV;
}

/// A module that is initialised and logged in to by this very process.
pub struct Bare {
    list: CK_FUNCTION_LIST,
    slot: CK_SLOT_ID,
    _library: Option<cryptoki_sys::Pkcs11>,
}

/// What is called again and again.
#[derive(Clone, Copy)]
pub enum Call<'a> {
    /// Opens what was sealed.
    Open {
        key: [u8; 16],
        iv: [u8; 12],
        aad: &'a [u8],
        bytes: &'a [u8],
    },
    /// Signs with SHA-256 and RSA.
    Sign { key: [u8; 16], message: &'a [u8] },
}

impl Bare {
    /// The module of a shared object, or the embedded one, and the token of this label.
    pub fn of(library: Option<&Path>, label: &str) -> Result<Self, AnyError> {
        let mut list = ptr::null_mut();
        let library = match library {
            Some(path) => {
                // SAFETY: it was loaded already.
                let library = unsafe { cryptoki_sys::Pkcs11::new(path) }?;
                // SAFETY: `list` is a place for one pointer.
                done(unsafe { library.C_GetFunctionList(&raw mut list) })?;
                Some(library)
            }
            None => {
                // SAFETY: as above.
                done(unsafe { C_GetFunctionList(&raw mut list) })?;
                None
            }
        };
        // SAFETY: the module answered with its table, which lives as long as it does.
        let list = unsafe { *list };
        let mut bare = Self {
            list,
            slot: 0,
            _library: library,
        };
        bare.slot = bare.find(label)?;
        Ok(bare)
    }

    fn find(&self, label: &str) -> Result<CK_SLOT_ID, AnyError> {
        let mut slots = [0; 64];
        let mut count = CK_ULONG::try_from(slots.len())?;
        let call = self.list.C_GetSlotList.ok_or(MISSING)?;
        // SAFETY: `slots` has room for `count`.
        done(unsafe { call(1, slots.as_mut_ptr(), &raw mut count) })?;
        for slot in slots.into_iter().take(usize::try_from(count)?) {
            let mut info = CK_TOKEN_INFO::default();
            let call = self.list.C_GetTokenInfo.ok_or(MISSING)?;
            // SAFETY: `info` is a place for one.
            if unsafe { call(slot, &raw mut info) } == CKR_OK
                && String::from_utf8_lossy(&info.label).trim_end() == label
            {
                return Ok(slot);
            }
        }
        Err("no token of this label".into())
    }

    /// Opens a session.
    pub fn session(&self) -> Result<CK_SESSION_HANDLE, AnyError> {
        let call = self.list.C_OpenSession.ok_or(MISSING)?;
        let mut session = 0;
        let flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
        // SAFETY: `session` is a place for one handle; no callback is given.
        done(unsafe { call(self.slot, flags, ptr::null_mut(), None, &raw mut session) })?;
        Ok(session)
    }

    /// Closes a session.
    pub fn close(&self, session: CK_SESSION_HANDLE) -> Result<(), AnyError> {
        let call = self.list.C_CloseSession.ok_or(MISSING)?;
        // SAFETY: any number may be closed.
        done(unsafe { call(session) })
    }

    /// Makes an object on the token that nobody uses.
    pub fn make_object(&self, session: CK_SESSION_HANDLE, number: u32) -> Result<(), AnyError> {
        let (mut class, mut yes, mut no) = (CKO_DATA, 1u8, 0u8);
        let mut value = number.to_be_bytes();
        let mut template = [
            attribute(CKA_CLASS, &mut class),
            attribute(CKA_TOKEN, &mut yes),
            attribute(CKA_PRIVATE, &mut no),
            attribute(CKA_VALUE, &mut value),
        ];
        let call = self.list.C_CreateObject.ok_or(MISSING)?;
        let (count, mut object) = (CK_ULONG::try_from(template.len())?, 0);
        // SAFETY: each attribute names a value that outlives the call.
        done(unsafe { call(session, template.as_mut_ptr(), count, &raw mut object) })
    }

    /// Calls in `threads` loops until `time` is over; calls per second.
    pub fn rate(&self, call: Call<'_>, threads: usize, time: Duration) -> Result<f64, AnyError> {
        let mut sessions = Vec::new();
        for _ in 0..threads {
            let session = self.session()?;
            sessions.push((session, self.key(session, call)?));
        }
        let (count, failed) = (AtomicU64::new(0), AtomicU64::new(0));
        let begun = Instant::now();
        thread::scope(|scope| {
            for (session, key) in &sessions {
                scope.spawn(|| {
                    let mut calls = 0;
                    while begun.elapsed() < time {
                        match self.once(call, *session, *key) {
                            Ok(()) => calls += 1,
                            Err(_) => _ = failed.fetch_add(1, Ordering::Relaxed),
                        }
                    }
                    count.fetch_add(calls, Ordering::Relaxed);
                });
            }
        });
        let took = begun.elapsed();
        for (session, _) in sessions {
            self.close(session)?;
        }
        if failed.into_inner() > 0 {
            return Err("a bare call failed".into());
        }
        Ok(count.into_inner() as f64 / took.as_secs_f64())
    }

    /// How long each of `calls` calls takes, one after another.
    pub fn times(&self, call: Call<'_>, calls: usize) -> Result<Vec<Duration>, AnyError> {
        let session = self.session()?;
        let key = self.key(session, call)?;
        let mut times = Vec::with_capacity(calls);
        for _ in 0..calls {
            let begun = Instant::now();
            self.once(call, session, key)?;
            times.push(begun.elapsed());
        }
        self.close(session)?;
        Ok(times)
    }

    fn key(
        &self,
        session: CK_SESSION_HANDLE,
        call: Call<'_>,
    ) -> Result<CK_OBJECT_HANDLE, AnyError> {
        let (mut id, mut class): ([u8; 16], CK_OBJECT_CLASS) = match call {
            Call::Open { key, .. } => (key, cryptoki_sys::CKO_SECRET_KEY),
            Call::Sign { key, .. } => (key, cryptoki_sys::CKO_PRIVATE_KEY),
        };
        let mut template = [attribute(CKA_CLASS, &mut class), attribute(CKA_ID, &mut id)];
        let init = self.list.C_FindObjectsInit.ok_or(MISSING)?;
        let find = self.list.C_FindObjects.ok_or(MISSING)?;
        let end = self.list.C_FindObjectsFinal.ok_or(MISSING)?;
        let (mut key, mut found) = (0, 0);
        // SAFETY: each attribute names a value that outlives the calls; there is room for one key.
        unsafe {
            done(init(session, template.as_mut_ptr(), 2))?;
            done(find(session, &raw mut key, 1, &raw mut found))?;
            done(end(session))?;
        }
        if found == 1 {
            Ok(key)
        } else {
            Err("the key is not there".into())
        }
    }

    fn once(
        &self,
        call: Call<'_>,
        session: CK_SESSION_HANDLE,
        key: CK_OBJECT_HANDLE,
    ) -> Result<(), AnyError> {
        let mut out = [0; 512];
        let mut written = CK_ULONG::try_from(out.len())?;
        let answer = match call {
            Call::Open {
                mut iv, aad, bytes, ..
            } => {
                let mut parameters = CK_GCM_PARAMS {
                    pIv: iv.as_mut_ptr(),
                    ulIvLen: 12,
                    ulIvBits: 96,
                    pAAD: aad.as_ptr().cast_mut(),
                    ulAADLen: CK_ULONG::try_from(aad.len())?,
                    ulTagBits: 128,
                };
                let mut mechanism = CK_MECHANISM {
                    mechanism: CKM_AES_GCM,
                    pParameter: (&raw mut parameters).cast(),
                    ulParameterLen: CK_ULONG::try_from(size_of::<CK_GCM_PARAMS>())?,
                };
                let init = self.list.C_DecryptInit.ok_or(MISSING)?;
                let run = self.list.C_Decrypt.ok_or(MISSING)?;
                let (from, length) = (bytes.as_ptr().cast_mut(), CK_ULONG::try_from(bytes.len())?);
                // SAFETY: the mechanism and what it names outlive both calls; `out` has room.
                unsafe {
                    done(init(session, &raw mut mechanism, key))?;
                    run(session, from, length, out.as_mut_ptr(), &raw mut written)
                }
            }
            Call::Sign { message, .. } => {
                let mut mechanism = CK_MECHANISM {
                    mechanism: CKM_SHA256_RSA_PKCS,
                    pParameter: ptr::null_mut(),
                    ulParameterLen: 0,
                };
                let init = self.list.C_SignInit.ok_or(MISSING)?;
                let run = self.list.C_Sign.ok_or(MISSING)?;
                let from = message.as_ptr().cast_mut();
                let length = CK_ULONG::try_from(message.len())?;
                // SAFETY: as above.
                unsafe {
                    done(init(session, &raw mut mechanism, key))?;
                    run(session, from, length, out.as_mut_ptr(), &raw mut written)
                }
            }
        };
        done(answer)
    }
}

fn attribute<T>(kind: CK_ATTRIBUTE_TYPE, value: &mut T) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE {
        type_: kind,
        pValue: ptr::from_mut(value).cast(),
        ulValueLen: CK_ULONG::try_from(size_of::<T>()).unwrap_or(0),
    }
}

fn done(answer: CK_RV) -> Result<(), AnyError> {
    if answer == CKR_OK {
        Ok(())
    } else {
        Err(format!("the module answered {answer:#x}").into())
    }
}

const MISSING: &str = "the module lacks a function";
