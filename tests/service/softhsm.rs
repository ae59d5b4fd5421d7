//! The same suite on SoftHSM: this program again, in a process of its own (SoftHSM reads its
//! configuration once, and one process has one token here).

use std::path::Path;
use std::process::Command;

use pintle::hsm::Module;

use shim::Shim;

/// Set in the process that runs on SoftHSM.
pub const FOLDER: &str = "PINTLE_TEST_SOFTHSM_FOLDER";

/// The module of this process's world, and whether its token must be given an SO PIN.
pub fn module(folder: &Path) -> Module {
    if std::env::var_os(FOLDER).is_none() {
        return Module::Embedded {
            dir: folder.join("token"),
        };
    }
    match Module::softhsm() {
        Some(Module::Library(real)) => {
            Module::Library(Shim::over(&real, folder, "softhsm").library)
        }
        _ => panic!("SoftHSM is missing: run `make setup`"),
    }
}

#[path = "../support/shim.rs"]
#[expect(dead_code, reason = "this suite gives it no commands")]
mod shim;

#[test]
fn the_same_suite_passes_on_softhsm() {
    if std::env::var_os(FOLDER).is_some() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (tokens, configuration) = (
        folder.path().join("tokens"),
        folder.path().join("softhsm2.conf"),
    );
    std::fs::create_dir(&tokens).unwrap();
    let text = format!("directories.tokendir = {}\n", tokens.display());
    std::fs::write(&configuration, text).unwrap();
    let run = Command::new(std::env::current_exe().unwrap())
        .env(FOLDER, folder.path())
        .env("SOFTHSM2_CONF", &configuration)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let used = std::fs::read_dir(&tokens).unwrap().count();
    assert_eq!(used, 1, "the suite did not run on SoftHSM");
    println!("{text}");
}
