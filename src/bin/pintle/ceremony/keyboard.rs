//! The keyboard of a sitting: a real terminal, from which components are read without echo, one byte
//! at a time, straight into locked memory; and its settings given back on every way out.
//!
//! Nothing here buffers: `std::io::stdin` keeps what it read. While the keyboard is taken the terminal
//! makes no signals, so that Ctrl-C is a key like others and means "stop"; signals from outside are
//! noticed within a tenth of a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use pintle::keys::component::Component;
use pintle::limits;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::stdin;
use rustix::termios::{LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcsetattr};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use crate::exit::{Failure, Kind};

/// The keyboard, ours until it is dropped.
pub struct Keyboard {
    before: Termios,
    stopped: Arc<AtomicBool>,
    watch: JoinHandle<()>,
}

/// One key, as far as a sitting cares.
enum Key {
    Digit(u8),
    Plain(u8),
    Space,
    Back,
    Clear,
    Enter,
}

impl Keyboard {
    /// Takes the terminal: no echo, no lines, no signals; what was typed ahead is thrown away.
    pub fn take(runtime: &Runtime) -> Result<Self, Failure> {
        refuse_a_pipe()?;
        let stopped = Arc::new(AtomicBool::new(false));
        let watch = watch(runtime, Arc::clone(&stopped))?;
        let before = tcgetattr(stdin()).map_err(no_terminal)?;
        let taken = Self {
            before,
            stopped,
            watch,
        };
        let mut silent = taken.before.clone();
        silent.local_modes -=
            LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
        tcsetattr(stdin(), OptionalActions::Flush, &silent).map_err(no_terminal)?;
        Ok(taken)
    }

    /// Reads a component that nobody sees, not even its length, until it is complete. Blanks and
    /// hyphens may stand between groups.
    pub fn component(&self, prompt: &str) -> Result<Component, Failure> {
        eprint!("{prompt}: ");
        let full = |_| Failure::new(Kind::Other, "no locked memory is left");
        let mut component = Component::empty().map_err(full)?;
        let mut other = false;
        let end = Instant::now() + limits::KEYBOARD_WAIT;
        loop {
            match self.key(end)? {
                Key::Digit(digit) => component.push(digit_of(digit)),
                Key::Space | Key::Plain(b'-') => {}
                Key::Plain(_) => other = true,
                Key::Back => component.pop(),
                Key::Clear => component.clear(),
                Key::Enter => break,
            }
        }
        eprintln!();
        if other {
            component.clear();
            eprintln!("something that is no hexadecimal digit was typed");
        }
        Ok(component)
    }

    /// Reads a line in the open.
    pub fn line(&self, prompt: &str) -> Result<String, Failure> {
        eprint!("{prompt}: ");
        let mut line = String::new();
        let end = Instant::now() + limits::KEYBOARD_WAIT;
        loop {
            let typed = match self.key(end)? {
                Key::Digit(byte) | Key::Plain(byte) if byte.is_ascii() => char::from(byte),
                Key::Space => ' ',
                Key::Digit(_) | Key::Plain(_) => continue,
                Key::Back => {
                    if line.pop().is_some() {
                        eprint!("\u{8} \u{8}");
                    }
                    continue;
                }
                Key::Clear => {
                    line.drain(..).for_each(|_| eprint!("\u{8} \u{8}"));
                    continue;
                }
                Key::Enter => break,
            };
            if line.len() < limits::KEYBOARD_LINE_BYTES_MAX {
                line.push(typed);
                eprint!("{typed}");
            }
        }
        eprintln!();
        Ok(line.trim().to_owned())
    }

    /// One key. It is on this frame and nowhere else.
    fn key(&self, end: Instant) -> Result<Key, Failure> {
        let mut byte = [0];
        self.wait(end)?;
        let read = rustix::io::read(stdin(), &mut byte).map_err(no_terminal)?;
        match (read, byte[0]) {
            (0, _) | (_, CTRL_C | CTRL_D | CTRL_BACKSLASH | CTRL_Z) => {
                eprintln!();
                Err(stopped_by("the custodian stopped"))
            }
            (_, byte @ (b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F')) => Ok(Key::Digit(byte)),
            (_, b' ' | b'\t') => Ok(Key::Space),
            (_, BACKSPACE | DELETE) => Ok(Key::Back),
            (_, CTRL_U) => Ok(Key::Clear),
            (_, b'\r' | b'\n') => Ok(Key::Enter),
            (_, byte) => Ok(Key::Plain(byte)),
        }
    }

    /// Waits until there is a byte, no longer than until `end`, and not on when told to stop.
    fn wait(&self, end: Instant) -> Result<(), Failure> {
        let look = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(limits::KEYBOARD_LOOK.subsec_nanos()),
        };
        loop {
            if self.stopped.load(Ordering::SeqCst) {
                eprintln!();
                return Err(stopped_by("this process was told to stop"));
            }
            if Instant::now() > end {
                eprintln!();
                return Err(stopped_by("nobody typed for too long"));
            }
            let input = stdin();
            let mut inputs = [PollFd::new(&input, PollFlags::IN)];
            match poll(&mut inputs, Some(&look)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(no_terminal(error)),
            }
        }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.watch.abort();
        if let Err(error) = tcsetattr(stdin(), OptionalActions::Flush, &self.before) {
            eprintln!("pintle: the terminal stays silent ({error}); type: stty sane");
        }
    }
}

/// A custodian sits at a terminal, and sees what is asked.
pub fn refuse_a_pipe() -> Result<(), Failure> {
    if isatty(stdin()) && isatty(rustix::stdio::stderr()) {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Usage,
        "components are typed at a terminal, by their custodian: not through a pipe",
    ))
}

/// From here on these signals end nothing by themselves: they are noticed, and the terminal is given
/// back first.
fn watch(runtime: &Runtime, stopped: Arc<AtomicBool>) -> Result<JoinHandle<()>, Failure> {
    let _in = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut quit = signal(SignalKind::quit())?;
    Ok(runtime.spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
            _ = quit.recv() => {}
        }
        stopped.store(true, Ordering::SeqCst);
    }))
}

fn digit_of(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => byte.wrapping_sub(b'A').wrapping_add(10),
    }
}

fn stopped_by(why: &str) -> Failure {
    Failure::new(
        Kind::Other,
        format!("{why}: nothing of this step was stored"),
    )
}

fn no_terminal(error: rustix::io::Errno) -> Failure {
    Failure::new(Kind::Other, format!("the terminal: {error}"))
}

const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const BACKSPACE: u8 = 8;
const CTRL_U: u8 = 21;
const CTRL_Z: u8 = 26;
const CTRL_BACKSLASH: u8 = 28;
const DELETE: u8 = 127;
