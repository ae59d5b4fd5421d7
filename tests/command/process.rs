//! Starting the program, and stopping only what was started.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The program under test.
pub fn pintle() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pintle"));
    command
        .stdin(Stdio::null())
        .env_remove("RUST_LOG")
        .env_remove("PINTLE_CONFIG");
    command
}

/// Runs to the end; answers (exit code, standard output, standard error).
pub fn run(command: &mut Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// The Python with psec and grpcio that `make test` prepares.
pub fn python() -> PathBuf {
    let prepared = concat!(env!("CARGO_MANIFEST_DIR"), "/target/venv/bin/python");
    let python = std::env::var_os("PINTLE_PYTHON").map_or_else(|| prepared.into(), PathBuf::from);
    assert!(
        python.is_file(),
        "{} is missing: run `make setup`",
        python.display()
    );
    python
}

/// A server in a process of its own, ended when dropped.
pub struct Server {
    child: Child,
}

impl Server {
    /// Starts it and waits for the first line that `ready` takes something from.
    pub fn start<T>(
        command: &mut Command,
        on_stderr: bool,
        ready: impl Fn(&str) -> Option<T>,
    ) -> (Self, T) {
        Self::start_kept(command, on_stderr, &Arc::default(), ready)
    }

    /// The same, and every line is kept.
    pub fn start_kept<T>(
        command: &mut Command,
        on_stderr: bool,
        kept: &Arc<Mutex<Vec<String>>>,
        ready: impl Fn(&str) -> Option<T>,
    ) -> (Self, T) {
        let own = Arc::clone(kept);
        let keep = move |line: &str| own.lock().unwrap().push(line.to_owned());
        let (out, err) = if on_stderr {
            (Stdio::null(), Stdio::piped())
        } else {
            (Stdio::piped(), Stdio::null())
        };
        let mut child = command.stdout(out).stderr(err).spawn().unwrap();
        let lines: Box<dyn BufRead + Send> = if on_stderr {
            Box::new(BufReader::new(child.stderr.take().unwrap()))
        } else {
            Box::new(BufReader::new(child.stdout.take().unwrap()))
        };
        let server = Self { child };
        let mut lines = lines.lines();
        let mut seen = Vec::new();
        let found = loop {
            let Some(Ok(line)) = lines.next() else {
                panic!("the server ended before it was ready:\n{}", seen.join("\n"));
            };
            keep(&line);
            if let Some(found) = ready(&line) {
                break found;
            }
            seen.push(line);
        };
        // Someone must go on reading, or the server would wait on a full pipe.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| keep(&line)));
        (server, found)
    }

    /// Asks it to stop (SIGTERM) and answers its exit code.
    pub fn stop(mut self) -> i32 {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").arg(&id).status().unwrap().success());
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the server did not stop");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
