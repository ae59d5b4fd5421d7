//! The chain of signatures from a certificate to a root that is trusted (RFC 5280, clause 6, in the
//! part that payment networks use): names, validity at a given time, who may sign certificates and
//! how deep, critical extensions, signatures. Names are compared by their DER.
//!
//! It deliberately has no policies, no name constraints (critical ones are refused) and no
//! revocation; SHA-1 counts only where a root signs itself.

use crate::domain::certificate::{Certificate, SignatureAlgorithm, signature};
use crate::limits::{CERTIFICATE_CHAIN_MAX, CERTIFICATE_CHECKS_MAX};

/// Why there is no chain, and which certificate stands in its way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{subject}: {fault}")]
pub struct Broken {
    /// What is wrong.
    pub fault: Fault,
    /// With which certificate: its subject, RFC 2253.
    pub subject: String,
}

/// What is wrong with a certificate in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Its time has not come.
    #[error("not valid yet")]
    NotYetValid,
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// Nobody among intermediates and roots is its issuer, or it is a root that is not among them.
    #[error("its issuer is not among the certificates given")]
    IssuerUnknown,
    /// It signed another certificate but is no certification authority (basicConstraints).
    #[error("it may not sign certificates: not a certification authority")]
    NotAuthority,
    /// More authorities below it than it allows (pathLenConstraint).
    #[error("more authorities stand below it than it allows")]
    PathTooLong,
    /// keyUsage does not allow what its key was used for.
    #[error("its key usage does not allow this")]
    KeyUsage,
    /// It has a critical extension that is not judged here.
    #[error("it has a critical extension that is not known")]
    CriticalExtension,
    /// It is signed by an algorithm that is not checked here: ECDSA, PSS.
    #[error("it is signed by an algorithm that is not supported")]
    AlgorithmUnsupported,
    /// It is signed with SHA-1.
    #[error("it is signed with SHA-1")]
    AlgorithmWeak,
    /// Its signature is not that of the certificate that has its issuer's name.
    #[error("its signature is not its issuer's")]
    Signature,
    /// The way to a root is longer than is followed, or there are too many ways.
    #[error("the way to a root is too long")]
    TooFar,
}

/// The chain of `leaf`, from itself to a root, at a time in seconds since 1970. Only those of
/// `roots` count that are self-issued; each is trusted as it is.
pub fn check<'a>(
    leaf: &'a Certificate,
    intermediates: &'a [Certificate],
    roots: &'a [Certificate],
    at: u64,
) -> Result<Vec<&'a Certificate>, Broken> {
    sound(leaf, at)?;
    if leaf.constraints.usage.is_some_and(|usage| !usage.signs) {
        return Err(broken(Fault::KeyUsage, leaf));
    }
    let mut search = Search {
        intermediates,
        roots,
        at,
        checks: CERTIFICATE_CHECKS_MAX,
        furthest: (0, broken(Fault::IssuerUnknown, leaf)),
    };
    let mut path = vec![leaf];
    if search.reaches_root(&mut path) {
        Ok(path)
    } else {
        Err(search.furthest.1)
    }
}

/// Depth first, with a bound on all steps together: certificates of one name that sign each other
/// would have it go for ever.
struct Search<'a> {
    intermediates: &'a [Certificate],
    roots: &'a [Certificate],
    at: u64,
    checks: usize,
    /// Where it came to the furthest, and what was in the way there.
    furthest: (usize, Broken),
}

impl<'a> Search<'a> {
    fn reaches_root(&mut self, path: &mut Vec<&'a Certificate>) -> bool {
        let Some(&last) = path.last() else {
            return false;
        };
        if last.is_self_issued() && self.roots.contains(last) {
            return self.noted(path.len(), own_signature(last));
        }
        let roots = self.roots.iter().filter(|root| root.is_self_issued());
        let issuers = roots.map(|root| (root, true));
        let issuers = issuers.chain(self.intermediates.iter().map(|one| (one, false)));
        for (issuer, is_root) in issuers {
            if issuer.subject.der != last.issuer.der || path.contains(&issuer) {
                continue;
            }
            if self.checks == 0 || path.len() == CERTIFICATE_CHAIN_MAX {
                self.furthest = (path.len() + 1, broken(Fault::TooFar, last));
                return false;
            }
            self.checks -= 1;
            let step = issued(issuer, path, is_root, self.at);
            if !self.noted(path.len(), step) {
                continue;
            }
            path.push(issuer);
            if self.reaches_root(path) {
                return true;
            }
            path.pop();
        }
        self.noted(path.len() - 1, Err(broken(Fault::IssuerUnknown, last)))
    }

    /// Whether a step is right; what is wrong is kept where nothing got further.
    fn noted(&mut self, depth: usize, step: Result<(), Broken>) -> bool {
        match step {
            Ok(()) => true,
            Err(broken) => {
                if depth > self.furthest.0 {
                    self.furthest = (depth, broken);
                }
                false
            }
        }
    }
}

/// Whether `issuer` may have issued the last certificate of `path`, and did.
fn issued(
    issuer: &Certificate,
    path: &[&Certificate],
    is_root: bool,
    at: u64,
) -> Result<(), Broken> {
    let Some((&leaf_most, _)) = path.split_last() else {
        return Ok(());
    };
    sound(issuer, at)?;
    let constraints = &issuer.constraints;
    // Roots of version 1 have no extensions to say it with.
    if !(constraints.authority || is_root && constraints.first_version) {
        return Err(broken(Fault::NotAuthority, issuer));
    }
    if constraints
        .usage
        .is_some_and(|usage| !usage.signs_certificates)
    {
        return Err(broken(Fault::KeyUsage, issuer));
    }
    let below = path.iter().skip(1).filter(|one| !one.is_self_issued());
    let allowed = constraints.path_length.map_or(usize::MAX, usize::from);
    if below.count() > allowed {
        return Err(broken(Fault::PathTooLong, issuer));
    }
    match leaf_most.signature_algorithm() {
        None => Err(broken(Fault::AlgorithmUnsupported, leaf_most)),
        Some(SignatureAlgorithm::Sha1Rsa) => Err(broken(Fault::AlgorithmWeak, leaf_most)),
        Some(algorithm) => signed_by(issuer, algorithm, leaf_most),
    }
}

/// What holds of every certificate, wherever it stands.
fn sound(certificate: &Certificate, at: u64) -> Result<(), Broken> {
    if at < certificate.not_before {
        return Err(broken(Fault::NotYetValid, certificate));
    }
    if at > certificate.not_after {
        return Err(broken(Fault::Expired, certificate));
    }
    if certificate.constraints.unknown_critical {
        return Err(broken(Fault::CriticalExtension, certificate));
    }
    Ok(())
}

/// A root's signature of itself: it proves no trust, but that the bytes are whole.
fn own_signature(root: &Certificate) -> Result<(), Broken> {
    match root.signature_algorithm() {
        None => Err(broken(Fault::AlgorithmUnsupported, root)),
        Some(algorithm) => signed_by(root, algorithm, root),
    }
}

fn signed_by(
    issuer: &Certificate,
    algorithm: SignatureAlgorithm,
    certificate: &Certificate,
) -> Result<(), Broken> {
    let key = issuer.public_key();
    let key = key.ok_or_else(|| broken(Fault::AlgorithmUnsupported, certificate))?;
    if signature::matches(algorithm, &key, certificate) {
        Ok(())
    } else {
        Err(broken(Fault::Signature, certificate))
    }
}

fn broken(fault: Fault, certificate: &Certificate) -> Broken {
    Broken {
        fault,
        subject: certificate.subject().to_owned(),
    }
}
