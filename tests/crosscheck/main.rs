//! What we compute, computed again by somebody else's program in a process of its own: psec, OpenSSL
//! by Python's cryptography, gmssl; certificates by the command openssl. Inputs are pseudo-random and the same in every run.
//!
//! `PINTLE_CROSSCHECK` says how many inputs each family gets; 300 where it is not set, 100,000 under
//! `make crosscheck`. To add a family: a test beside the others, and a function of its name in
//! `tests/clients/crosscheck.py`. Key blocks have their own test, `tests/psec.rs`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod certificate;
mod content;
mod inputs;
mod mac;
mod oracle;
mod sm;
mod string_to_sign;
