//! The wrapped module: where it is, and its function table. Found once, from the file beside our own.

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use cryptoki_sys::{CK_FUNCTION_LIST, CK_FUNCTION_LIST_PTR, CK_RV, CKR_OK};
use serde::Deserialize;

use crate::sm2;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// The file beside us.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub module: String,
    pub reserved: Option<String>,
    pub socket: Option<PathBuf>,
    pub record: Option<PathBuf>,
    pub sm2: Option<sm2::Numbers>,
}

/// The wrapped module.
pub struct Real {
    pub settings: Settings,
    pub reserved: Option<CString>,
    /// Its own functions.
    pub bare: CK_FUNCTION_LIST,
    /// The same with an SM2, if the settings want one.
    pub list: CK_FUNCTION_LIST,
    // Keeps the functions mapped.
    _library: libloading::os::unix::Library,
}

/// Loads it at the first call.
pub fn real() -> Result<&'static Real, AnyError> {
    static REAL: OnceLock<Result<Real, String>> = OnceLock::new();
    let loaded = REAL.get_or_init(|| load().map_err(|error| error.to_string()));
    loaded.as_ref().map_err(|error| error.clone().into())
}

fn load() -> Result<Real, AnyError> {
    let settings: Settings = toml::from_str(&std::fs::read_to_string(own_path()?)?)?;
    let library = match settings.module.as_str() {
        "self" => libloading::os::unix::Library::this(),
        // SAFETY: a PKCS#11 module, named by the test that wrote the file.
        path => unsafe { libloading::os::unix::Library::new(path)? },
    };
    type Entry = unsafe extern "C" fn(*mut CK_FUNCTION_LIST_PTR) -> CK_RV;
    let mut list = std::ptr::null_mut();
    // SAFETY: every PKCS#11 module has this function, of this type; `list` is a place for one pointer.
    let answer = unsafe {
        let entry = library.get::<Entry>(b"C_GetFunctionList\0")?;
        entry(&raw mut list)
    };
    if answer != CKR_OK || list.is_null() {
        return Err("the module gave no function list".into());
    }
    // SAFETY: not null, and it points to the module's static table.
    let bare = unsafe { *list };
    Ok(Real {
        reserved: settings.reserved.clone().map(CString::new).transpose()?,
        bare,
        list: match settings.sm2 {
            Some(_) => sm2::over(bare),
            None => bare,
        },
        settings,
        _library: library,
    })
}

/// Our own file's path, with `.toml` behind it.
fn own_path() -> Result<PathBuf, AnyError> {
    let mut info = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    let address: *const libc::c_void = (own_path as fn() -> _) as *const libc::c_void;
    // SAFETY: an address in this object, and a place for the answer.
    let found = unsafe { libc::dladdr(address, &raw mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return Err("dladdr does not know this module".into());
    }
    // SAFETY: the loader's own string, which lives as long as the object.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    let mut path = OsStr::from_bytes(name.to_bytes()).to_owned();
    path.push(".toml");
    Ok(PathBuf::from(path))
}
