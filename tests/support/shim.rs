//! The fault shim (`tests/shim`) as a test has it: a copy of the module over a real one, and its commands.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// One copy.
pub struct Shim {
    /// The module's path.
    pub library: PathBuf,
    socket: PathBuf,
}

impl Shim {
    /// A copy named `name` in `folder`, over the module at `real`; what it records goes to `record`.
    pub fn over(real: &Path, folder: &Path, name: &str, record: Option<&Path>) -> Self {
        let shim = Self {
            library: folder.join(format!("{name}.so")),
            socket: folder.join(format!("{name}.sock")),
        };
        std::fs::copy(built(), &shim.library).unwrap();
        let mut settings = format!(
            "module = {:?}\nsocket = {:?}\n",
            real.to_str().unwrap(),
            shim.socket.to_str().unwrap()
        );
        if let Some(record) = record {
            std::fs::create_dir_all(record.parent().unwrap()).unwrap();
            settings.push_str(&format!("record = {:?}\n", record.to_str().unwrap()));
        }
        let mut beside = shim.library.clone().into_os_string();
        beside.push(".toml");
        std::fs::write(beside, settings).unwrap();
        shim
    }

    /// Gives a command; answers what it said of it. The process that loaded the module must live.
    pub fn tell(&self, command: &str) -> String {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        writeln!(stream, "{command}").unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        let said = answer
            .strip_prefix("ok ")
            .unwrap_or_else(|| panic!("{command}: {answer}"));
        said.trim().to_owned()
    }
}

/// Where cargo put it: beside the folder of test programs.
fn built() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let built = program
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("libpintle_shim.so");
    assert!(
        built.is_file(),
        "{} is missing: cargo build --release -p pintle-shim",
        built.display()
    );
    built
}
