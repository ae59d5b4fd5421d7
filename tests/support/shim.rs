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
    /// A copy named `name` in `folder`, over the module at `real`. What mechanisms it sees is recorded
    /// under this test program's name.
    pub fn over(real: &Path, folder: &Path, name: &str) -> Self {
        Self::new(real, folder, name, "")
    }

    /// The same over the embedded token of this program, kept in `token`.
    pub fn over_embedded(token: &Path, folder: &Path, name: &str) -> Self {
        let reserved = format!("reserved = {:?}\n", token.to_str().unwrap());
        Self::new(Path::new("self"), folder, name, &reserved)
    }

    /// The same over a module that has the curve of SM2 and not its signatures: it acts as a token that has
    /// them, by the numbers of [`SM2_PROFILE`].
    pub fn with_sm2(real: &Path, folder: &Path, name: &str) -> Self {
        let numbers = "[sm2]\nkey_type = 0x8000_0004\nkey_gen = 0x8000_8001\nsign = 0x8000_8105\n";
        Self::new(real, folder, name, numbers)
    }

    /// The one whose module this is, made by another process.
    pub fn at(library: &Path) -> Self {
        Self {
            library: library.to_path_buf(),
            socket: library.with_extension("sock"),
        }
    }

    fn new(real: &Path, folder: &Path, name: &str, more: &str) -> Self {
        let shim = Self::at(&folder.join(format!("{name}.so")));
        std::fs::copy(built(), &shim.library).unwrap();
        let record = recorded();
        std::fs::create_dir_all(record.parent().unwrap()).unwrap();
        let settings = format!(
            "module = {:?}\nsocket = {:?}\nrecord = {:?}\n{more}",
            real.to_str().unwrap(),
            shim.socket.to_str().unwrap(),
            record.to_str().unwrap(),
        );
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

/// The profile of SoftHSM behind [`Shim::with_sm2`], for a file of its own.
pub const SM2_PROFILE: &str = r#"
name = "softhsm-sm2"
source = "the fault shim of Pintle's tests"
manufacturer = []
kwp = 0x210A

[sm]
ckk_sm2 = 0x8000_0004
sm2_key_gen = 0x8000_8001
sm2_sign = 0x8000_8105

[quirks]
symmetric_workers = 1
"#;

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

/// Where this test program's mechanisms are recorded: its name without cargo's hash.
fn recorded() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let name = program.file_stem().unwrap().to_str().unwrap();
    let suite = name.rsplit_once('-').map_or(name, |(suite, _)| suite);
    let target = program.ancestors().nth(3).unwrap();
    target.join("mechanisms").join(suite)
}
