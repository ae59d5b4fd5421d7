//! Commands, a line each, over a Unix socket; each is answered `ok …` when it is in force, or `err …`.
//!
//! ```text
//! fail FUNCTION CKR [TIMES]        answer CKR (a number) for FUNCTION or `any`; without TIMES for good
//! fail-after FUNCTION CKR [TIMES]  the same, when the real module was asked
//! hang FUNCTION [TIMES]            until `release`
//! delay FUNCTION MILLISECONDS [TIMES]
//! flip [TIMES]                     a bit of RSA and SM2 signatures
//! forget                           every session, and the login
//! vanish [stale]                   the token; with `stale` only C_Initialize finds it after `return`
//! return · release · counts · reset
//! ```

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use crate::faults::{Fault, Rule, state};
use crate::real::Real;

/// Listens where the settings say, on a thread of its own.
pub fn listen(real: &'static Real) -> std::io::Result<()> {
    let Some(path) = &real.settings.socket else {
        return Ok(());
    };
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    std::thread::Builder::new()
        .name("shim-control".to_owned())
        .spawn(move || {
            for stream in listener.incoming().flatten() {
                // One test drives one shim: no need for a thread each.
                let _ = serve(&stream);
            }
        })?;
    Ok(())
}

fn serve(stream: &UnixStream) -> std::io::Result<()> {
    let mut answers = stream.try_clone()?;
    for line in BufReader::new(stream).lines() {
        let answer = match obey(&line?) {
            Some(said) => format!("ok {said}\n"),
            None => "err no such command\n".to_owned(),
        };
        answers.write_all(answer.as_bytes())?;
    }
    Ok(())
}

fn obey(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |at: usize| -> Option<Option<u64>> {
        words.get(at).map(|word| word.parse()).transpose().ok()
    };
    let rule = |fault, times: Option<u64>, function: &str| {
        state().rules.push(Rule {
            function: function.to_owned(),
            fault,
            left: times,
        });
        Some(String::new())
    };
    match *words.first()? {
        "fail" => rule(Fault::Answer(number(2)??), number(3)?, words.get(1)?),
        "fail-after" => rule(Fault::AnswerAfter(number(2)??), number(3)?, words.get(1)?),
        "hang" => rule(Fault::Hang, number(2)?, words.get(1)?),
        "delay" => {
            let delay = Duration::from_millis(number(2)??);
            rule(Fault::Delay(delay), number(3)?, words.get(1)?)
        }
        "flip" => rule(Fault::Flip, number(1)?, "C_Sign"),
        "forget" => Some(state().forget().to_string()),
        "vanish" => {
            state().vanish(words.get(1) == Some(&"stale"));
            Some(String::new())
        }
        "return" => {
            state().return_();
            Some(String::new())
        }
        "release" | "reset" => {
            state().release();
            Some(String::new())
        }
        "counts" => Some(state().counted()),
        _ => None,
    }
}
