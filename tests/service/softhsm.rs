//! The same suite on SoftHSM: this program again, in a process of its own (SoftHSM reads its
//! configuration once, and one process has one token here).

use std::path::Path;
use std::process::Command;

use pintle::hsm::{Module, ProfileChoice};

use shim::Shim;

/// Set in the process that runs on SoftHSM.
pub const FOLDER: &str = "PINTLE_TEST_SOFTHSM_FOLDER";

/// Set as well where the shim before SoftHSM acts as having SM2.
const SM2: &str = "PINTLE_TEST_SM2";

/// Whether this process was made by another of this program.
pub fn is_child() -> bool {
    std::env::var_os(FOLDER).is_some()
}

/// Whether this process's token has SM2.
pub fn has_sm2() -> bool {
    std::env::var_os(SM2).is_some()
}

/// The profile of this process's token, where its own is not the one.
pub fn profile(folder: &Path) -> Option<ProfileChoice> {
    has_sm2().then(|| {
        let path = folder.join("sm2.toml");
        std::fs::write(&path, shim::SM2_PROFILE).unwrap();
        ProfileChoice::File(path)
    })
}

/// The module of this process's world.
pub fn module(folder: &Path) -> Module {
    if !is_child() {
        return Module::Embedded {
            dir: folder.join("token"),
        };
    }
    match Module::softhsm() {
        Some(Module::Library(real)) if has_sm2() => {
            Module::Library(Shim::with_sm2(&real, folder, "softhsm").library)
        }
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
    if !is_child() {
        println!("{}", passed_on_softhsm(&[], &[]));
    }
}

/// Has the tests whose names contain `filter` pass on SoftHSM behind a shim that acts as having SM2.
pub fn spawn_with_sm2(filter: &str) {
    println!("{}", passed_on_softhsm(&[filter], &[(SM2, "1")]));
}

/// What this program says of itself, in a process of its own.
fn passed_on_softhsm(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (tokens, configuration) = (
        folder.path().join("tokens"),
        folder.path().join("softhsm2.conf"),
    );
    std::fs::create_dir(&tokens).unwrap();
    let text = format!("directories.tokendir = {}\n", tokens.display());
    std::fs::write(&configuration, text).unwrap();
    let run = Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .env(FOLDER, folder.path())
        .envs(variables.iter().copied())
        .env("SOFTHSM2_CONF", &configuration)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(
        run.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let used = std::fs::read_dir(&tokens).unwrap().count();
    assert_eq!(used, 1, "the suite did not run on SoftHSM");
    text
}
