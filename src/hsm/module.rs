//! One `Pkcs11` per module per process (PKCS#11 v3.0 §5.4: initialisation is per process), kept in
//! a registry until the process ends. Never finalised here: C_Finalize under load crashes SoftHSM.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as CryptokiError, RvError};
use cryptoki::slot::Slot;

use crate::hsm::error::Error;
use crate::hsm::raw::Calls;

/// Which PKCS#11 module to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Module {
    /// The token linked into this program (feature `embedded-token`), kept in a folder.
    Embedded {
        /// The folder; the token is its file `token.sql`.
        dir: PathBuf,
    },
    /// A shared object, as the HSM's vendor ships it.
    Library(PathBuf),
}

impl Module {
    /// Debian's SoftHSM, where it is installed.
    pub fn softhsm() -> Option<Self> {
        SOFTHSM_PATHS
            .iter()
            .map(PathBuf::from)
            .find(|path| path.is_file())
            .map(Self::Library)
    }
}

/// Where Debian and its relatives put SoftHSM.
const SOFTHSM_PATHS: [&str; 5] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

/// A loaded and initialised module.
pub(in crate::hsm) struct Loaded {
    pub pkcs11: Pkcs11,
    pub calls: Calls,
}

/// A loaded module, and its slot where the module's configuration names just one.
pub(in crate::hsm) struct Opened {
    pub loaded: Arc<Loaded>,
    pub slot: Option<Slot>,
}

/// Loads and initialises the module, or finds it loaded. `create` lets the embedded token make its
/// file; without it a missing file is [`Error::TokenMissing`].
pub(in crate::hsm) fn open(module: &Module, label: &str, create: bool) -> Result<Opened, Error> {
    match module {
        Module::Library(path) => Ok(Opened {
            loaded: open_library(path)?,
            slot: None,
        }),
        Module::Embedded { dir } => open_embedded(dir, label, create),
    }
}

static LIBRARIES: Mutex<Option<HashMap<PathBuf, Arc<Loaded>>>> = Mutex::new(None);

fn open_library(path: &Path) -> Result<Arc<Loaded>, Error> {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let mut libraries = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
    let libraries = libraries.get_or_insert_with(HashMap::new);
    if let Some(loaded) = libraries.get(&path) {
        return Ok(Arc::clone(loaded));
    }
    let failed = |source| Error::ModuleLoad {
        path: path.clone(),
        source: Arc::new(source),
    };
    let pkcs11 = Pkcs11::new(&path).map_err(failed)?;
    let calls = Calls::of_library(&path).map_err(failed)?;
    let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
    once(pkcs11.initialize(arguments)).map_err(failed)?;
    let loaded = Arc::new(Loaded { pkcs11, calls });
    libraries.insert(path.clone(), Arc::clone(&loaded));
    Ok(loaded)
}

/// Another part of the process may have initialised the module: it is one module all the same.
fn once(answer: Result<(), CryptokiError>) -> Result<(), CryptokiError> {
    match answer {
        Err(CryptokiError::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
        other => other,
    }
}

#[cfg(not(feature = "embedded-token"))]
fn open_embedded(_: &Path, _: &str, _: bool) -> Result<Opened, Error> {
    Err(Error::EmbeddedAbsent)
}

/// The embedded module, and the slot of each folder it was given.
#[cfg(feature = "embedded-token")]
struct Embedded {
    loaded: Arc<Loaded>,
    slots: HashMap<PathBuf, Slot>,
}

#[cfg(feature = "embedded-token")]
static EMBEDDED: Mutex<Option<Embedded>> = Mutex::new(None);

#[cfg(feature = "embedded-token")]
fn open_embedded(dir: &Path, label: &str, create: bool) -> Result<Opened, Error> {
    use std::os::unix::fs::DirBuilderExt;

    let unusable = || Error::TokenFolder {
        path: dir.to_path_buf(),
    };
    if create {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(dir).map_err(|_| unusable())?;
    } else if !dir.join(TOKEN_FILE).is_file() {
        return Err(Error::TokenMissing {
            label: label.to_owned(),
        });
    }
    let dir = std::fs::canonicalize(dir).map_err(|_| unusable())?;

    let mut embedded = EMBEDDED.lock().unwrap_or_else(PoisonError::into_inner);
    let failed = |source| Error::ModuleLoad {
        path: PathBuf::from("(embedded)"),
        source: Arc::new(source),
    };
    if embedded.is_none() {
        crate::hsm::embedded::link();
        let pkcs11 = Pkcs11::new_from_self().map_err(failed)?;
        let calls = Calls::of_embedded().map_err(failed)?;
        *embedded = Some(Embedded {
            loaded: Arc::new(Loaded { pkcs11, calls }),
            slots: HashMap::new(),
        });
    }
    let Some(embedded) = embedded.as_mut() else {
        return Err(Error::EmbeddedAbsent);
    };
    let slot = match embedded.slots.get(&dir) {
        Some(slot) => *slot,
        None => {
            let slot = add_slot(&embedded.loaded.pkcs11, &dir).map_err(failed)?;
            embedded.slots.insert(dir, slot);
            slot
        }
    };
    Ok(Opened {
        loaded: Arc::clone(&embedded.loaded),
        slot: Some(slot),
    })
}

/// The token's file in its folder; kryoptic knows its format by the suffix.
#[cfg(feature = "embedded-token")]
const TOKEN_FILE: &str = "token.sql";

/// Each C_Initialize with a new file adds a slot to kryoptic, also when it answers that it was
/// initialised already.
#[cfg(feature = "embedded-token")]
fn add_slot(pkcs11: &Pkcs11, dir: &Path) -> Result<Slot, CryptokiError> {
    use std::os::unix::ffi::OsStrExt;

    let file = std::ffi::CString::new(dir.join(TOKEN_FILE).as_os_str().as_bytes())
        .map_err(|_| CryptokiError::InvalidValue)?;
    // Not yet initialised: no slots.
    let before = pkcs11.get_all_slots().unwrap_or_default();
    once(crate::hsm::raw::initialize_with_reserved(pkcs11, &file))?;
    let after = pkcs11.get_all_slots()?;
    after
        .into_iter()
        .find(|slot| !before.contains(slot))
        .ok_or(CryptokiError::InvalidValue)
}

#[cfg(all(test, not(feature = "embedded-token")))]
mod tests {
    use super::*;

    #[test]
    fn without_the_feature_the_embedded_token_says_how_to_build_it() {
        let dir = PathBuf::from("/nonexistent");
        let refused = open(&Module::Embedded { dir }, "any", true).err();
        assert!(matches!(refused, Some(Error::EmbeddedAbsent)));
        let text = Error::EmbeddedAbsent.to_string();
        assert!(text.contains("--features embedded-token"));
    }
}
