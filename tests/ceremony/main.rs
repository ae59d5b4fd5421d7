//! Ceremonies as people hold them: the program at a real pseudo-terminal, on both tokens; and after
//! each sitting the whole memory of its process, read as root, and every byte it wrote, looked
//! through for the component (issue: "Must be shown" 6).
//!
//! Reading another process's memory needs root where the process is not dumpable: without it these
//! tests fail, since they would show nothing. Deliberately not here: the state machine by itself
//! (`keys::ceremony`), and combination (`keys::component`).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod adopted;
mod hall;
mod memory;
mod refused;
mod terminal;
mod whole;
