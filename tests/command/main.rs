//! The `pintle` program as its users start it: a process of its own, its exit codes, its words.
//! SoftHSM stands for an HSM, with mutual TLS; the embedded token for `dev` and `demo`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod development;
mod operation;
mod process;
mod report;
#[path = "../support/shim.rs"]
#[expect(dead_code, reason = "this suite gives it no commands")]
mod shim;
mod tokens;
