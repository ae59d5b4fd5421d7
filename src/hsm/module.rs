//! One `Pkcs11` per module per process (PKCS#11 v3.0 §5.4: initialisation is per process), kept in
//! a registry until the process ends. Initialised again only through its gate, when no call is in it:
//! C_Finalize under load crashes SoftHSM, and some modules find a token that was away only by it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as CryptokiError, RvError};
use cryptoki::slot::Slot;

use crate::hsm::error::Error;
use crate::hsm::gate::{Gate, Pass};
use crate::hsm::raw::Calls;
use crate::limits;

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
    pub gate: Gate,
    // How many of its tokens serve: while another does, it is initialised again less often.
    pub serving: AtomicUsize,
    // When it was last initialised again.
    again: Mutex<Option<Instant>>,
    // The embedded token's folders, each with its slot where it has one now.
    folders: Option<Mutex<HashMap<PathBuf, Option<Slot>>>>,
}

impl Loaded {
    fn new(pkcs11: Pkcs11, calls: Calls) -> Self {
        Self {
            pkcs11,
            calls,
            gate: Gate::new(),
            serving: AtomicUsize::new(0),
            again: Mutex::new(None),
            folders: None,
        }
    }

    /// The right to call it; at most [`limits::GATE_WAIT`] from now.
    pub fn enter(&self) -> Result<Pass<'_>, Error> {
        self.gate.enter(limits::GATE_WAIT).ok_or(Error::ModuleShut)
    }

    /// C_Finalize and C_Initialize, when the calls in it have ended: every session and handle of every
    /// token of this module is gone after that, and a new era begins.
    ///
    /// # Errors
    /// [`Error::ModuleBusy`] where a call does not end, or another of its tokens serves and it was done
    /// just now; or what C_Initialize answered, and then the gate stays shut.
    pub fn initialize_again(&self) -> Result<(), Error> {
        let mut again = self.again.lock().unwrap_or_else(PoisonError::into_inner);
        let others_serve = self.serving.load(Ordering::Relaxed) > 0;
        let spared = again.is_some_and(|last| last.elapsed() < limits::REINITIALIZE_SPARED);
        if others_serve && spared {
            return Err(Error::ModuleBusy);
        }
        let alone = self
            .gate
            .drain(limits::GATE_DRAIN)
            .ok_or(Error::ModuleBusy)?;
        *again = Some(Instant::now());
        match self.pkcs11.clone().finalize() {
            // It was not initialised again last time.
            Ok(()) | Err(CryptokiError::Pkcs11(RvError::CryptokiNotInitialized, _)) => {}
            Err(error) => return Err(error.into()),
        }
        match &self.folders {
            None => once(self.pkcs11.initialize(os_locking()))?,
            Some(folders) => add_slots(&self.pkcs11, folders)?,
        }
        alone.reopen();
        Ok(())
    }

    /// What [`open`] answered, in the era now.
    pub fn opened_again(self: &Arc<Self>, module: &Module) -> Result<Opened, Error> {
        let slot = match (module, &self.folders) {
            (Module::Embedded { dir }, Some(folders)) => {
                let folders = folders.lock().unwrap_or_else(PoisonError::into_inner);
                let slot = folders.get(dir).copied().flatten();
                Some(slot.ok_or_else(|| Error::TokenFolder { path: dir.clone() })?)
            }
            _ => None,
        };
        Ok(Opened {
            loaded: Arc::clone(self),
            module: module.clone(),
            slot,
        })
    }
}

fn os_locking() -> CInitializeArgs {
    CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)
}

/// A loaded module, and its slot where the module's configuration names just one.
pub(in crate::hsm) struct Opened {
    pub loaded: Arc<Loaded>,
    /// Which module this is, its path as the file system has it.
    pub module: Module,
    pub slot: Option<Slot>,
}

/// Loads and initialises the module, or finds it loaded. `create` lets the embedded token make its
/// file; without it a missing file is [`Error::TokenMissing`].
pub(in crate::hsm) fn open(module: &Module, label: &str, create: bool) -> Result<Opened, Error> {
    match module {
        Module::Library(path) => Ok(Opened {
            loaded: open_library(path)?,
            module: module.clone(),
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
    once(pkcs11.initialize(os_locking())).map_err(failed)?;
    let loaded = Arc::new(Loaded::new(pkcs11, calls));
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

#[cfg(feature = "embedded-token")]
static EMBEDDED: Mutex<Option<Arc<Loaded>>> = Mutex::new(None);

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
    let loaded = match &mut *embedded {
        Some(loaded) => Arc::clone(loaded),
        empty => {
            crate::hsm::embedded::link();
            let pkcs11 = Pkcs11::new_from_self().map_err(failed)?;
            let calls = Calls::of_embedded().map_err(failed)?;
            let loaded = Arc::new(Loaded {
                folders: Some(Mutex::default()),
                ..Loaded::new(pkcs11, calls)
            });
            Arc::clone(empty.insert(loaded))
        }
    };
    let Some(folders) = &loaded.folders else {
        return Err(Error::EmbeddedAbsent);
    };
    let mut folders = folders.lock().unwrap_or_else(PoisonError::into_inner);
    let slot = match folders.get(&dir) {
        Some(Some(slot)) => *slot,
        Some(None) | None => {
            let slot = add_slot(&loaded.pkcs11, &dir).map_err(failed)?;
            folders.insert(dir.clone(), Some(slot));
            slot
        }
    };
    drop(folders);
    Ok(Opened {
        loaded,
        module: Module::Embedded { dir },
        slot: Some(slot),
    })
}

/// The token's file in its folder; kryoptic knows its format by the suffix.
#[cfg(feature = "embedded-token")]
const TOKEN_FILE: &str = "token.sql";

/// The folders that are there get their slots again; one that is away has none, and no new token is
/// made in its place.
#[cfg(feature = "embedded-token")]
fn add_slots(
    pkcs11: &Pkcs11,
    folders: &Mutex<HashMap<PathBuf, Option<Slot>>>,
) -> Result<(), Error> {
    let mut folders = folders.lock().unwrap_or_else(PoisonError::into_inner);
    let mut added = Err(Error::ModuleShut);
    for (dir, slot) in folders.iter_mut() {
        *slot = None;
        if !dir.join(TOKEN_FILE).is_file() {
            continue;
        }
        match add_slot(pkcs11, dir) {
            Ok(new) => {
                *slot = Some(new);
                added = Ok(());
            }
            Err(error) if added.is_err() => added = Err(error.into()),
            Err(_) => {}
        }
    }
    added
}

#[cfg(not(feature = "embedded-token"))]
fn add_slots(_: &Pkcs11, _: &Mutex<HashMap<PathBuf, Option<Slot>>>) -> Result<(), Error> {
    Err(Error::EmbeddedAbsent)
}

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
