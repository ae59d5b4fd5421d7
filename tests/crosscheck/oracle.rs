//! The other program: one process for each family, a line for each question.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::inputs::Inputs;

/// Inputs of each family.
pub fn count() -> usize {
    std::env::var("PINTLE_CROSSCHECK").map_or(300, |count| {
        count.parse().expect("PINTLE_CROSSCHECK is a number")
    })
}

/// A question and what we say to it.
pub struct Asked {
    /// The family and its arguments.
    pub question: String,
    /// Our answer: hexadecimal, `true` or `false`.
    pub ours: String,
}

/// A question whose answer is bytes.
pub fn asked(question: String, ours: &[u8]) -> Asked {
    Asked {
        question,
        ours: hex::encode(ours),
    }
}

/// Bytes as an argument.
pub fn word(bytes: &[u8]) -> String {
    match bytes {
        [] => "-".to_owned(),
        bytes => hex::encode(bytes),
    }
}

/// Asks as often as `count` says, and holds that both always agree.
pub fn agree(family: &str, ask: impl FnMut(&mut Inputs) -> Asked) {
    agree_times(family, count(), ask);
}

/// Asks so often, and holds that both always agree.
pub fn agree_times(family: &str, times: usize, mut ask: impl FnMut(&mut Inputs) -> Asked) {
    let (mut inputs, mut oracle) = (Inputs::of(family), Oracle::start());
    let mut left = times;
    while left > 0 {
        let batch: Vec<Asked> = (0..left.min(BATCH)).map(|_| ask(&mut inputs)).collect();
        left -= batch.len();
        let answers = oracle.answers(&batch);
        for (Asked { question, ours }, theirs) in batch.iter().zip(&answers) {
            assert_eq!(ours, theirs, "{question}");
        }
    }
    println!("{family}: {times} inputs agree (the seed is the family's name)");
}

struct Oracle {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Oracle {
    fn start() -> Self {
        let root = env!("CARGO_MANIFEST_DIR");
        let prepared = OsString::from(format!("{root}/target/venv/bin/python"));
        let python = std::env::var_os("PINTLE_PYTHON").unwrap_or(prepared);
        let mut child = Command::new(python)
            .args(["-W", "ignore"])
            .arg(format!("{root}/tests/clients/crosscheck.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`make setup` prepares a Python with psec, cryptography and gmssl");
        Self {
            questions: child.stdin.take().unwrap(),
            answers: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// Questions are written while answers are read: neither pipe fills up.
    fn answers(&mut self, asked: &[Asked]) -> Vec<String> {
        let Self {
            questions, answers, ..
        } = self;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for one in asked {
                    writeln!(questions, "{}", one.question).unwrap();
                }
                questions.flush().unwrap();
            });
            let lines = answers.lines().take(asked.len());
            let lines: Vec<String> = lines.map(Result::unwrap).collect();
            assert_eq!(lines.len(), asked.len(), "the other program stopped");
            lines
        })
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const BATCH: usize = 1000;

#[test]
fn a_wrong_answer_of_ours_is_seen() {
    let wrong = std::panic::catch_unwind(|| {
        agree("sm3", |inputs| {
            let data = inputs.message(0);
            asked(format!("sm3 {}", word(&data)), &[0; 32])
        });
    });
    assert!(wrong.is_err());
}
