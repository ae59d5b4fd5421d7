//! What this process asks of the system for its own protection, once, before any key is opened:
//! no core dumps and no tracing by another process of the same user.
//!
//! Deliberately not here: locked memory (`secret`), and what only the service's supervisor can set
//! (no swap, no new privileges, a system-call filter).

use rustix::process::{DumpableBehavior, Resource, Rlimit};

/// What was achieved; `doctor` prints it and a production server refuses to start on a `false`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hardening {
    /// RLIMIT_CORE is 0, also for children, and cannot be raised again without privilege.
    pub core_dumps_off: bool,
    /// PR_SET_DUMPABLE is 0: no dump, and no ptrace or /proc/self/mem by the same user.
    pub not_dumpable: bool,
}

impl Hardening {
    /// Whether everything asked for was granted.
    pub fn is_complete(self) -> bool {
        self.core_dumps_off && self.not_dumpable
    }
}

/// Asks for all of it and reports what the system granted. An `exec` undoes the second part, so
/// each process calls this for itself.
pub fn harden() -> Hardening {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // Read back rather than trusted: a refusal must show whatever its cause.
    rustix::process::setrlimit(Resource::Core, none).ok();
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).ok();
    Hardening {
        core_dumps_off: rustix::process::getrlimit(Resource::Core) == none,
        not_dumpable: rustix::process::dumpable_behavior() == Ok(DumpableBehavior::NotDumpable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardened_process_leaves_no_core_and_stays_so() {
        let first = harden();
        assert!(first.is_complete());
        assert_eq!(harden(), first);
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"))
            .unwrap();
        assert_eq!(core.split_whitespace().nth(4), Some("0"));
    }
}
