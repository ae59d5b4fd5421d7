//! What the benches of whole windows share: their options, the two tokens, and a SoftHSM of their own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pintle::hsm::Module;

use crate::AnyError;

/// What was asked for on the command line.
pub struct Options {
    /// Rows as JSON.
    pub json: bool,
    /// A ratio under its bar is a failure.
    pub check: bool,
    /// One of the tokens alone.
    token: Option<String>,
    /// The signatures' row alone, where a bench has one.
    pub signatures: bool,
    /// How many windows.
    pub windows: usize,
    /// How long each is.
    pub window: Duration,
}

impl Options {
    /// Reads them; so many windows of so many milliseconds where nothing is said.
    pub fn read(windows: usize, millis: u64) -> Result<Self, AnyError> {
        let mut options = Self {
            json: false,
            check: false,
            token: None,
            signatures: false,
            windows,
            window: Duration::from_millis(millis),
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or("a value is missing");
            match word.as_str() {
                // cargo's own.
                "--bench" => {}
                "--check" => options.check = true,
                "--signatures" => options.signatures = true,
                "--output" => options.json = value()? == "json",
                "--token" => options.token = Some(value()?),
                "--windows" => options.windows = value()?.parse()?,
                "--millis" => options.window = Duration::from_millis(value()?.parse()?),
                other => return Err(format!("{other}: not known").into()),
            }
        }
        Ok(options)
    }

    /// The tokens that were asked for, by name, whose files are in this folder.
    pub fn tokens(&self, folder: &Path) -> Result<Vec<(&'static str, Module)>, AnyError> {
        let embedded = Module::Embedded {
            dir: folder.join("embedded"),
        };
        let softhsm = Module::softhsm().ok_or("SoftHSM is missing: run `make setup`")?;
        let both = [("embedded", embedded), ("SoftHSM", softhsm)];
        let asked = |name| self.token.as_deref().is_none_or(|token| token == name);
        Ok(both.into_iter().filter(|(name, _)| asked(*name)).collect())
    }
}

/// The folder of this run. SoftHSM reads its configuration once, so the bench starts itself again with
/// one of its own; `Err` with whether that went well is for who started it.
pub fn folder() -> Result<Result<PathBuf, bool>, AnyError> {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return Ok(Ok(folder.into()));
    }
    let folder = tempfile::tempdir()?;
    let tokens = folder.path().join("tokens");
    std::fs::create_dir(&tokens)?;
    let configuration = folder.path().join("softhsm2.conf");
    let text = format!(
        "directories.tokendir = {}\nlog.level = ERROR\n",
        tokens.display()
    );
    std::fs::write(&configuration, text)?;
    let status = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env("SOFTHSM2_CONF", configuration)
        .env(FOLDER, folder.path())
        .status()?;
    Ok(Err(status.success()))
}

const FOLDER: &str = "PINTLE_BENCH_FOLDER";

/// The one in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
