//! The embedded token's two PKCS#11 entry points, delegated to kryoptic, for `dlsym` on this very
//! executable. Only with the feature `embedded-token`; the linker exports these two symbols and
//! nothing else. Development only: a software token guards nothing from its own host.
#![expect(
    unsafe_code,
    reason = "C entry points must be exported unmangled and take raw pointers"
)]

use kryoptic_lib::fns::general::{fn_get_function_list, fn_get_interface};
use kryoptic_lib::pkcs11::{
    CK_FLAGS, CK_FUNCTION_LIST_PTR_PTR, CK_INTERFACE_PTR_PTR, CK_RV, CK_UTF8CHAR_PTR,
    CK_VERSION_PTR,
};

/// Names both entry points, so that a binary which calls this keeps them: nothing else refers to
/// them at link time.
pub(in crate::hsm) fn link() {
    std::hint::black_box(C_GetFunctionList as *const ());
    std::hint::black_box(C_GetInterface as *const ());
}

/// PKCS#11 v2.40 entry point.
#[unsafe(no_mangle)]
pub extern "C" fn C_GetFunctionList(list: CK_FUNCTION_LIST_PTR_PTR) -> CK_RV {
    fn_get_function_list(list)
}

/// PKCS#11 v3.0 entry point.
#[unsafe(no_mangle)]
pub extern "C" fn C_GetInterface(
    name: CK_UTF8CHAR_PTR,
    version: CK_VERSION_PTR,
    interface: CK_INTERFACE_PTR_PTR,
    flags: CK_FLAGS,
) -> CK_RV {
    fn_get_interface(name, version, interface, flags)
}
