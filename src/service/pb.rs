//! The code generated from `proto/`, and the descriptors that reflection serves.
//!
//! Wire types only. Each becomes a domain type beside the handler that takes it, by exhaustive
//! destructuring; none goes further in.

/// The data plane, `pintle.v1`.
#[expect(
    missing_docs,
    reason = "generated: the comments of proto/ are the documentation"
)]
#[allow(clippy::all, clippy::pedantic, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("pintle.v1");
}

/// The control plane. Its modules follow its packages, because its messages name the data plane's.
pub mod admin {
    /// `pintle.admin.v1`.
    #[expect(
        missing_docs,
        reason = "generated: the comments of proto/ are the documentation"
    )]
    #[allow(clippy::all, clippy::pedantic, reason = "generated")]
    pub mod v1 {
        tonic::include_proto!("pintle.admin.v1");
    }
}

/// The `FileDescriptorSet` of every file in `proto/`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
