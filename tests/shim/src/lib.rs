//! A PKCS#11 module that wraps a real one and, on command, fails as hardware does: answers any return
//! value, hangs, is slow, forgets its sessions and the login, vanishes, spoils a signature. It notes each
//! mechanism that is used. For tests; nothing of Pintle links it.
//!
//! Beside the file `x.so` stands `x.so.toml`: `module`, the real module's path or `self` for the one linked
//! into the program; `reserved`, what C_Initialize hands it; `socket`, where commands are taken;
//! `record`, the file of mechanisms; `[sm2]`, with numbers for `key_type`, `key_gen` and `sign`, a vendor's
//! SM2 over a module that has none. A copy of the file is another module, with a state of its own.
//!
//! | file | what |
//! |---|---|
//! | `real` | the wrapped module, and who we are |
//! | `faults` | what is to fail, and the sessions that were forgotten |
//! | `control` | the socket and its commands |
//! | `calls` | the functions that stand in for the real ones |
//! | `sm2` | the SM2, between `calls` and the real module |

mod calls;
mod control;
mod faults;
mod real;
mod sm2;

use cryptoki_sys::{CK_FUNCTION_LIST_PTR_PTR, CK_RV, CKR_ARGUMENTS_BAD, CKR_GENERAL_ERROR, CKR_OK};

/// The one way in.
///
/// # Safety
/// `list` is null or a valid place for one pointer, as PKCS#11 has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(list: CK_FUNCTION_LIST_PTR_PTR) -> CK_RV {
    if list.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    match calls::list() {
        Ok(ours) => {
            // SAFETY: not null, and a place for one pointer by the contract above; the list is static.
            unsafe { *list = ours.get() };
            CKR_OK
        }
        Err(error) => {
            eprintln!("shim: {error}");
            CKR_GENERAL_ERROR
        }
    }
}
