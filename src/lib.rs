//! Pintle: one gRPC service over any PKCS#11 HSM.
//!
//! The ladder: imports go down only.
//!
//! ```text
//! bin                     assembles: serve, dev, demo, init, keys, doctor
//! service   client        the only places that say tonic
//! ops                     one file per noun, one function per RPC
//! station                 (later)
//! keys      audit         catalogue, policy, grants · the hash-chained journal
//! hsm       store         the only places that say cryptoki · SQL
//! domain                  pure: no I/O, clock, randomness or async
//! limits    secret  config   leaves; so are series, numbers over time, and failpoint, where
//!                         tests have a process die
//! ```

pub mod audit;
pub mod client;
pub mod config;
pub mod domain;
pub mod failpoint;
pub mod hsm;
pub mod keys;
pub mod limits;
pub mod manual;
pub mod ops;
pub mod process;
pub mod secret;
pub mod series;
pub mod service;
pub mod store;
