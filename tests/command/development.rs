//! `pintle demo` and `pintle dev`.

use std::process::Command;

use crate::process::{Server, pintle, python, run};

#[test]
fn the_demo_checks_every_output_outside() {
    let (code, out, err) = run(pintle().arg("demo").env("PINTLE_PYTHON", python()));
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("10 outputs, each checked by a program that is not Pintle: all right"));
    for refused in [
        "KEY_USAGE_REFUSED",
        "PIN_FORMAT_REFUSED",
        "PIN_BLOCK_REJECTED",
        "valid = false",
    ] {
        assert!(out.contains(refused), "{refused} is not shown:\n{out}");
    }
    for shown in [
        "█", // The QR code.
        "已撤销",
        "the same to the fen, and every trade is paid or cancelled",
        "requests and refused none",
        "answers and notifications verified, all of them",
    ] {
        assert!(out.contains(shown), "{shown} is not shown:\n{out}");
    }
}

#[test]
fn the_demo_exits_1_when_one_bit_of_any_output_is_wrong() {
    for output in [
        "sign-in", "pin-aes", "pin-sm4", "pin-tdes", "mac", "rsa2", "sm2",
    ] {
        let mut demo = pintle();
        demo.args(["demo", "--corrupt", output])
            .env("PINTLE_PYTHON", python());
        let (code, out, err) = run(&mut demo);
        assert_eq!(code, 1, "{output}: {out}{err}");
        assert!(err.contains("1 of 10 outputs are wrong"), "{output}: {err}");
    }
}

#[test]
fn the_demo_without_its_outside_checks_says_what_prepares_them() {
    let (code, _, err) = run(pintle().args(["demo", "--python", "/nonexistent/python"]));
    assert_eq!(code, 3);
    assert!(err.contains("make demo"), "{err}");
}

#[test]
fn dev_answers_a_stock_client_that_knows_nothing_but_its_address() {
    let folder = tempfile::tempdir().unwrap();
    let dev = |folder: &std::path::Path| {
        let mut dev = pintle();
        dev.args([
            "dev",
            "--danger-plaintext-listen",
            "127.0.0.1:0",
            "--folder",
        ])
        .arg(folder);
        Server::start(&mut dev, false, |line| {
            line.trim_start()
                .strip_prefix("data ")?
                .split_whitespace()
                .next()
                .map(str::to_owned)
        })
    };
    // Twice: what the folder holds is used again.
    for _ in 0..2 {
        let (server, address) = dev(folder.path());
        let client = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/stock_client.py");
        let (code, out, err) = run(Command::new(python()).args([client, &address]));
        assert_eq!(code, 0, "{out}{err}");
        assert!(out.contains("calls: ok"));
        assert_eq!(server.stop(), 0);
    }
}

#[test]
fn dev_refuses_an_address_that_is_not_loopback() {
    let (code, _, err) = run(pintle().args(["dev", "--danger-plaintext-listen", "0.0.0.0:0"]));
    assert_eq!(code, 2);
    assert!(err.contains("loopback"), "{err}");
}

#[test]
fn completions_know_the_commands() {
    let (code, out, _) = run(pintle().args(["completions", "bash"]));
    assert_eq!(code, 0);
    assert!(out.contains("pintle") && out.contains("doctor"));
}
