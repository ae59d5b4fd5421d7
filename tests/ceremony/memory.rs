//! Looking for a component: in the memory of a process, in files, in what was shown. Any eight bytes
//! of it in a row count, any ten characters of it as text.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What must not be found, or must be.
pub struct Needles {
    /// Pieces by their first two bytes.
    pieces: HashMap<[u8; 2], Vec<(Vec<u8>, &'static str)>>,
    begins: Vec<bool>,
}

impl Needles {
    /// Every form of a component, and the way it was typed.
    pub fn of_component(bytes: &[u8], typed: &str) -> Self {
        let mut needles = Self::nothing();
        needles.add(bytes, 8, "raw");
        needles.add(hex::encode(bytes).as_bytes(), 10, "hex");
        needles.add(hex::encode_upper(bytes).as_bytes(), 10, "HEX");
        needles.add(typed.as_bytes(), 10, "as typed");
        needles.add(STANDARD.encode(bytes).as_bytes(), 10, "base64");
        needles
    }

    /// Text that stands for anything that could be found.
    pub fn of_text(text: &str) -> Self {
        let mut needles = Self::nothing();
        needles.add(text.as_bytes(), text.len(), "text");
        needles
    }

    fn nothing() -> Self {
        Self {
            pieces: HashMap::new(),
            begins: vec![false; 1 << 16],
        }
    }

    fn add(&mut self, whole: &[u8], piece: usize, form: &'static str) {
        for piece in whole.windows(piece) {
            let begin = [piece[0], piece[1]];
            self.begins[usize::from(u16::from_be_bytes(begin))] = true;
            let pieces = self.pieces.entry(begin).or_default();
            pieces.push((piece.to_vec(), form));
        }
    }

    /// The forms that stand in these bytes, with where.
    pub fn found_in(&self, bytes: &[u8]) -> Vec<(usize, &'static str)> {
        let mut found = Vec::new();
        for (at, begin) in bytes.windows(2).enumerate() {
            let begin = [begin[0], begin[1]];
            if !self.begins[usize::from(u16::from_be_bytes(begin))] {
                continue;
            }
            for (piece, form) in &self.pieces[&begin] {
                if bytes[at..].starts_with(piece) {
                    found.push((at, *form));
                }
            }
        }
        found
    }

    /// Where these stand in a process's memory: every mapping that can be read.
    pub fn found_in_process(&self, process: u32) -> Vec<String> {
        let maps = std::fs::read_to_string(format!("/proc/{process}/maps"));
        let memory = File::open(format!("/proc/{process}/mem"));
        let (Ok(maps), Ok(memory)) = (maps, memory) else {
            panic!("the memory of another process is read as root only: run this test as root");
        };
        let (mut found, mut read) = (Vec::new(), 0);
        for map in maps.lines() {
            let mut fields = map.split_whitespace();
            let range = fields.next().unwrap().split_once('-').unwrap();
            let readable = fields.next().unwrap().starts_with('r');
            if !readable || map.ends_with("[vvar]") || map.ends_with("[vsyscall]") {
                continue;
            }
            let address = |text| u64::from_str_radix(text, 16).unwrap();
            let (start, end) = (address(range.0), address(range.1));
            let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
            // A page of a file that is shorter than its mapping cannot be read, nor hold anything.
            if memory.read_exact_at(&mut bytes, start).is_err() {
                continue;
            }
            read += bytes.len();
            let here = self.found_in(&bytes);
            found.extend(
                here.iter()
                    .map(|(at, form)| format!("{form} at {at:#x} of {map}")),
            );
        }
        assert!(read > 1 << 20, "only {read} bytes could be read");
        found
    }

    /// Which files of a folder hold these.
    pub fn found_in_files(&self, folder: &Path) -> Vec<String> {
        let files = walkdir::WalkDir::new(folder).into_iter();
        files
            .map(|entry| entry.unwrap().into_path())
            .filter(|path| path.is_file())
            .flat_map(|path| {
                let found = self.found_in(&std::fs::read(&path).unwrap());
                found
                    .into_iter()
                    .map(move |(at, form)| format!("{form} at {at:#x} of {}", path.display()))
            })
            .collect()
    }
}
