//! A whole ceremony: three custodians, an officer, a key that says for ever how it came; and what
//! each of them typed is nowhere afterwards.

use pintle::domain::check_value;
use pintle::domain::cipher::BlockAlgorithm;

use crate::hall::{AES, HMAC, Hall, INSECURE, Key, Kind, ZMK, ZPK};
use crate::memory::Needles;
use crate::terminal::Terminal;

/// A component on paper.
struct Paper {
    custodian: &'static str,
    package: String,
    bytes: Vec<u8>,
}

impl Paper {
    fn new(custodian: &'static str, length: usize) -> Self {
        let mut bytes = vec![0; length];
        getrandom::fill(&mut bytes).unwrap();
        let mut serial = [0; 6];
        getrandom::fill(&mut serial).unwrap();
        Self {
            custodian,
            package: format!("TE-{}", hex::encode(serial)),
            bytes,
        }
    }

    /// In groups of four, upper and lower case in turn.
    fn typed(&self) -> String {
        let digits = hex::encode(&self.bytes);
        let groups: Vec<String> = digits
            .as_bytes()
            .chunks(4)
            .enumerate()
            .map(|(at, group)| match at % 2 {
                0 => String::from_utf8_lossy(group).to_uppercase(),
                _ => String::from_utf8_lossy(group).into_owned(),
            })
            .collect();
        groups.join(" ")
    }

    fn check_value(&self, algorithm: BlockAlgorithm) -> String {
        let value = check_value::compute(algorithm, &self.bytes).unwrap();
        hex::encode_upper(value.as_bytes())
    }
}

fn key_of(papers: &[Paper]) -> Vec<u8> {
    (0..papers[0].bytes.len())
        .map(|at| papers.iter().fold(0, |sum, paper| sum ^ paper.bytes[at]))
        .collect()
}

fn tdes_papers() -> Vec<Paper> {
    ["alice", "bob", "carol"]
        .map(|custodian| Paper::new(custodian, ZPK.bytes))
        .into()
}

/// The pads of the sittings so far, by the components and what the store keeps of them.
fn pads(hall: &Hall, papers: &[Paper]) -> Vec<Vec<u8>> {
    let file = rusqlite::Connection::open(hall.path().join("store.sqlite")).unwrap();
    let read = "SELECT body FROM document WHERE kind = 'ceremony'";
    let body: Vec<u8> = file.query_row(read, [], |row| row.get(0)).unwrap();
    let start = body.windows(2).position(|two| two == b"{\"").unwrap();
    let draft: serde_json::Value = serde_json::from_slice(&body[start..]).unwrap();
    let sittings = draft["sittings"].as_array().unwrap();
    assert_eq!(sittings.len(), papers.len());
    let pad = |(sitting, paper): (&serde_json::Value, &Paper)| {
        let masked = hex::decode(sitting["masked"].as_str().unwrap()).unwrap();
        let bytes = masked.iter().zip(&paper.bytes);
        bytes.map(|(masked, byte)| masked ^ byte).collect()
    };
    sittings.iter().zip(papers).map(pad).collect()
}

/// The sitting of the last of these, looked at while it waits to be ended.
fn sit(hall: &Hall, key: &Key, papers: &[Paper], algorithm: BlockAlgorithm) {
    let Some(paper) = papers.last() else { return };
    let component = Needles::of_component(&paper.bytes, &paper.typed());
    let mut terminal = Terminal::start(hall.sitting(key, paper.custodian));
    terminal.expect("WARNING");
    terminal.expect("Serial number of the package: ");
    terminal.line(&paper.package);
    terminal.expect("not shown: ");
    assert!(!terminal.is_as_before(), "the terminal would echo");
    terminal.press(&paper.typed());
    // The scanner sees the component while it is there: in locked memory, as bytes, not as text.
    let clear = until_found(&component, terminal.process());
    assert!(clear.iter().all(|one| one.starts_with("raw")), "{clear:?}");
    terminal.press("\r");
    terminal.expect(&format!("{} digits were taken", 2 * paper.bytes.len()));
    terminal.expect(&paper.check_value(algorithm));
    terminal.expect("Type yes");
    terminal.line("yes");
    terminal.expect("then press Enter");
    let left = component.found_in_process(terminal.process());
    assert_eq!(left, [""; 0], "{} is still in memory", paper.custodian);
    let control = Needles::of_text(&paper.package).found_in_process(terminal.process());
    assert!(!control.is_empty(), "the scanner finds nothing at all");
    assert_eq!(component.found_in_files(hall.path()), [""; 0]);
    // Nor is its pad there, with which the stored form would open; nor those of sittings before.
    for pad in pads(hall, papers) {
        let left = Needles::of_component(&pad, &hex::encode(&pad));
        let left = left.found_in_process(terminal.process());
        assert_eq!(left, [""; 0], "a pad is still in memory");
    }
    leaves_no_core(terminal.process());
    terminal.line("");
    assert_eq!(terminal.end(), 0, "{}", terminal.shown());
    assert!(terminal.is_as_before());
    assert_eq!(component.found_in(terminal.shown().as_bytes()), []);
    assert_eq!(component.found_in_files(hall.path()), [""; 0]);
}

/// What was typed needs a moment to arrive.
fn until_found(component: &Needles, process: u32) -> Vec<String> {
    for _ in 0..100 {
        let found = component.found_in_process(process);
        if !found.is_empty() {
            return found;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("the scanner does not find a component that is there");
}

fn leaves_no_core(process: u32) {
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let words: Vec<&str> = core.unwrap().split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"]);
}

fn whole(kind: Kind) {
    let hall = Hall::new(kind);
    let papers = tdes_papers();
    let key = key_of(&papers);
    let value = check_value::compute(BlockAlgorithm::Tdes, &key).unwrap();
    let value = hex::encode_upper(value.as_bytes());
    let expected = format!("check_value = \"{value}\"");
    hall.plan("test", &["alice", "bob", "carol"], &ZPK, &expected);
    hall.open();
    for sat in 1..=papers.len() {
        sit(&hall, &ZPK, &papers[..sat], BlockAlgorithm::Tdes);
    }
    let closed = hall.json(&["ceremony", "close", ZPK.name, "--officer", "dora", INSECURE]);
    let shown = hall.json(&["keys", "show", ZPK.name]);
    assert_eq!(shown["check_value"], value.as_str());
    assert_eq!(shown["origin"], "HOST_COMPONENTS");
    assert_eq!(
        shown["custodians"],
        serde_json::json!(["alice", "bob", "carol"])
    );
    let minutes = hall.json(&["ceremony", "minutes", ZPK.name]);
    assert_eq!(minutes, closed);
    let minutes = &minutes[0];
    assert_eq!(minutes["outcome"], "closed");
    assert_eq!(minutes["check_value"], value.as_str());
    assert_eq!(minutes["officer"], "dora");
    for (sitting, paper) in minutes["sittings"].as_array().unwrap().iter().zip(&papers) {
        assert_eq!(sitting["custodian"], paper.custodian);
        assert_eq!(sitting["package"], paper.package.as_str());
        let own = paper.check_value(BlockAlgorithm::Tdes);
        assert_eq!(sitting["check_value"], own.as_str());
    }
    let whole = Needles::of_component(&key, &hex::encode(&key));
    assert_eq!(whole.found_in_files(hall.path()), [""; 0]);
    let (code, _, err) = hall.run(&["ceremony", "status", ZPK.name]);
    assert_eq!(code, 3, "the draft is still there: {err}");
    let cores = walkdir::WalkDir::new(hall.path()).into_iter();
    let mut names = cores.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    assert!(
        !names.any(|name| name.starts_with("core")),
        "a core was left"
    );
}

#[test]
fn what_three_custodians_typed_is_nowhere_afterwards_on_the_embedded_token() {
    whole(Kind::Embedded);
}

#[test]
fn what_three_custodians_typed_is_nowhere_afterwards_on_softhsm() {
    whole(Kind::SoftHsm);
}

#[test]
fn two_custodians_make_an_aes_key_whose_check_value_nobody_knew_before() {
    let hall = Hall::new(Kind::SoftHsm);
    let papers: Vec<Paper> = ["alice", "bob"]
        .map(|who| Paper::new(who, AES.bytes))
        .into();
    hall.plan("test", &["alice", "bob"], &AES, "");
    hall.open();
    for sat in 1..=papers.len() {
        sit(&hall, &AES, &papers[..sat], BlockAlgorithm::Aes);
    }
    hall.must(&["ceremony", "close", AES.name, "--officer", "dora", INSECURE]);
    let value = check_value::compute(BlockAlgorithm::Aes, &key_of(&papers)).unwrap();
    let shown = hall.json(&["keys", "show", AES.name]);
    assert_eq!(
        shown["check_value"],
        hex::encode_upper(value.as_bytes()).as_str()
    );
}

#[test]
fn a_component_without_a_check_value_is_typed_twice() {
    let hall = Hall::new(Kind::Embedded);
    hall.plan("test", &["alice", "bob"], &HMAC, "");
    hall.open();
    for custodian in ["alice", "bob"] {
        let paper = Paper::new(custodian, HMAC.bytes);
        let component = Needles::of_component(&paper.bytes, &paper.typed());
        let mut terminal = Terminal::start(hall.sitting(&HMAC, custodian));
        terminal.expect("package: ");
        terminal.line(&paper.package);
        terminal.expect("not shown: ");
        terminal.line(&paper.typed());
        terminal.expect("Once more the same: ");
        terminal.line(&paper.typed().replacen(' ', " 0", 1));
        terminal.expect("not confirmed");
        terminal.expect("not shown: ");
        terminal.line(&paper.typed());
        terminal.expect("Once more the same: ");
        terminal.line(&hex::encode(&paper.bytes));
        terminal.expect("then press Enter");
        let left = component.found_in_process(terminal.process());
        assert_eq!(left, [""; 0], "{custodian}");
        terminal.line("");
        assert_eq!(terminal.end(), 0, "{}", terminal.shown());
    }
    hall.must(&[
        "ceremony",
        "close",
        HMAC.name,
        "--officer",
        "dora",
        INSECURE,
    ]);
    assert_eq!(
        hall.json(&["keys", "show", HMAC.name])["origin"],
        "HOST_COMPONENTS"
    );
}

#[test]
fn a_key_that_protects_others_goes_into_the_token_and_keeps_its_check_value() {
    let hall = Hall::new(Kind::SoftHsm);
    let papers: Vec<Paper> = ["alice", "bob"]
        .map(|who| Paper::new(who, ZMK.bytes))
        .into();
    hall.plan("test", &["alice", "bob"], &ZMK, "residence = \"PROCESS\"");
    let (code, _, err) = hall.run(&["ceremony", "open", "ceremony.toml", INSECURE]);
    assert_ne!(code, 0, "it would live in the process");
    assert!(err.contains("allow_process_kek"), "{err}");
    hall.plan("test", &["alice", "bob"], &ZMK, "");
    hall.open();
    for sat in 1..=papers.len() {
        sit(&hall, &ZMK, &papers[..sat], BlockAlgorithm::Tdes);
    }
    hall.must(&["ceremony", "close", ZMK.name, "--officer", "dora", INSECURE]);
    let value = check_value::compute(BlockAlgorithm::Tdes, &key_of(&papers)).unwrap();
    let shown = hall.json(&["keys", "show", ZMK.name]);
    assert_eq!(shown["residence"], "TOKEN");
    assert_eq!(shown["origin"], "HOST_COMPONENTS");
    let value = hex::encode_upper(value.as_bytes());
    assert_eq!(shown["check_value"], value.as_str());
}
