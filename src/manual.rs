//! The manual, as rustdoc pages: what Pintle is built of, what it defends, and why it is so.
//! Text only, no code; the pages are the Markdown files beside this one.

#[doc = include_str!("manual/architecture.md")]
pub mod architecture {}

#[doc = include_str!("manual/threat_model.md")]
pub mod threat_model {}

#[doc = include_str!("manual/operating.md")]
pub mod operating {}

#[doc = include_str!("manual/keys.md")]
pub mod keys {}

#[doc = include_str!("manual/macs.md")]
pub mod macs {}

#[doc = include_str!("manual/alipay.md")]
pub mod alipay {}

#[doc = include_str!("manual/alipay_certificates.md")]
pub mod alipay_certificates {}

#[doc = include_str!("manual/ceremony.md")]
pub mod ceremony {}

#[doc = include_str!("manual/failures.md")]
pub mod failures {}

#[doc = include_str!("manual/neighbours.md")]
pub mod neighbours {}

#[doc = include_str!("manual/rotation.md")]
pub mod rotation {}

/// Decisions, numbered: context, choice, cost.
pub mod decisions {
    #[doc = include_str!("manual/decisions/0001-working-keys-open-in-the-process.md")]
    pub mod d0001 {}
    #[doc = include_str!("manual/decisions/0002-two-tokens-one-suite.md")]
    pub mod d0002 {}
    #[doc = include_str!("manual/decisions/0003-own-sm2-signing.md")]
    pub mod d0003 {}
    #[doc = include_str!("manual/decisions/0004-durable-audit-before-the-answer.md")]
    pub mod d0004 {}
    #[doc = include_str!("manual/decisions/0005-libraries.md")]
    pub mod d0005 {}
    #[doc = include_str!("manual/decisions/0006-process-hardening-is-a-leaf.md")]
    pub mod d0006 {}
    #[doc = include_str!("manual/decisions/0007-no-master-key-can-be-copied.md")]
    pub mod d0007 {}
    #[doc = include_str!("manual/decisions/0008-the-table-is-asked-after-the-headers-open.md")]
    pub mod d0008 {}
    #[doc = include_str!("manual/decisions/0009-a-root-over-every-row.md")]
    pub mod d0009 {}
    #[doc = include_str!("manual/decisions/0010-an-intent-before-each-object.md")]
    pub mod d0010 {}
    #[doc = include_str!("manual/decisions/0011-keys-by-block-keep-their-policy.md")]
    pub mod d0011 {}
    #[doc = include_str!("manual/decisions/0013-dukpt-the-call-chooses-the-key.md")]
    pub mod d0013 {}
    #[doc = include_str!("manual/decisions/0014-pin-blocks-that-no-standard-has.md")]
    pub mod d0014 {}
    #[doc = include_str!("manual/decisions/0015-issuer-keys-look-inward.md")]
    pub mod d0015 {}
    #[doc = include_str!("manual/decisions/0012-macs-of-terminals.md")]
    pub mod d0012 {}
    #[doc = include_str!("manual/decisions/0017-a-sign-in-is-the-master-keys-policy.md")]
    pub mod d0017 {}
    #[doc = include_str!("manual/decisions/0016-data-keys-have-one-mode.md")]
    pub mod d0016 {}
    #[doc = include_str!("manual/decisions/0018-every-key-on-the-token-is-judged.md")]
    pub mod d0018 {}
    #[doc = include_str!("manual/decisions/0019-several-tokens-share-a-store.md")]
    pub mod d0019 {}
    #[doc = include_str!("manual/decisions/0020-a-key-that-signs-and-decrypts.md")]
    pub mod d0020 {}
    #[doc = include_str!("manual/decisions/0021-a-gate-a-breaker-and-a-mender.md")]
    pub mod d0021 {}
    #[doc = include_str!("manual/decisions/0022-sm2-in-a-token-that-has-it.md")]
    pub mod d0022 {}
}
