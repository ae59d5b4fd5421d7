//! The second opinion: `check.py` run in a process of its own, with openssl and psec, which share
//! no code with Pintle.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

const SCRIPT: &str = include_str!("check.py");

/// What the independent program said of one output.
#[derive(Deserialize)]
pub struct Verdict {
    /// Whether it agrees.
    pub ok: bool,
    /// Which program.
    pub by: String,
    /// What it did.
    pub detail: String,
}

/// The interpreter with psec, found to work.
pub struct Outside {
    python: PathBuf,
}

impl Outside {
    /// Tries the interpreter before the story begins.
    pub fn prepare(python: &Path) -> Result<Self> {
        let outside = Self {
            python: python.to_owned(),
        };
        let ready = Command::new(python)
            .args(["-c", "import psec"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        ensure!(
            ready,
            "{} can't import psec: the demo's outputs could not be checked from outside; \
             `make demo` prepares a Python that can",
            python.display()
        );
        let openssl = Command::new("openssl").arg("version").output();
        ensure!(
            openssl.is_ok(),
            "there is no openssl on the PATH to check the outputs with"
        );
        Ok(outside)
    }

    /// One check.
    pub fn check(&self, check: Value) -> Result<Verdict> {
        let mut child = Command::new(&self.python)
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the independent check")?;
        let input = serde_json::to_vec(&Value::Array(vec![check]))?;
        let mut stdin = child
            .stdin
            .take()
            .context("the check has no standard input")?;
        stdin.write_all(&input)?;
        drop(stdin);
        let done = child.wait_with_output()?;
        ensure!(
            done.status.success(),
            "the independent check did not finish"
        );
        let mut verdicts: Vec<Verdict> = serde_json::from_slice(&done.stdout)?;
        match verdicts.pop() {
            Some(verdict) if verdicts.is_empty() => Ok(verdict),
            _ => bail!("the independent check answered something else"),
        }
    }
}
