//! Known answers: runs every vector file under `tests/vectors/<noun>/` and, where the environment
//! variable `PINTLE_VECTORS` names a folder, every one in it, through the library.
//!
//! One line per operation, `op=… ran=…` or `op=… unsupported=… why="…"`, then `N passed, N failed`.
//! It fails on a mismatch, on a file it cannot read, on a field it does not understand, and when it
//! ran nothing. What the service makes of the same files is not asked here.

mod alipay;
mod alipay_certificates;
mod alipay_content;
mod alipay_page;
mod case;
mod check_value;
mod data;
mod dukpt;
mod encryption;
mod key_block;
mod mac;
mod pin_block;
mod pin_verification;
mod report;
mod signature;
mod sm;
mod unionpay;
mod unionpay_pin;
mod unsupported;

use crate::case::{Case, Op};
use crate::report::Report;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut report = Report::default();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    run_folder(&own, &mut report);
    if let Some(folder) = std::env::var_os("PINTLE_VECTORS") {
        run_folder(Path::new(&folder), &mut report);
    }
    report.print();
    if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run_folder(folder: &Path, report: &mut Report) {
    let mut files = Vec::new();
    if let Err(error) = collect(folder, &mut files) {
        return report.failed(&folder.display().to_string(), &error.to_string());
    }
    files.sort();
    if files.is_empty() {
        report.failed(
            &folder.display().to_string(),
            "no *.json file in this folder",
        );
    }
    for file in files {
        let name = file.display().to_string();
        let parsed = std::fs::read(&file)
            .map_err(|error| error.to_string())
            .and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string()));
        match parsed {
            Ok(Value::Array(cases)) => run_cases(&name, &cases, report),
            Ok(Value::Object(groups)) if groups.contains_key("_about") => {
                alipay::run(&name, &groups, report);
            }
            Ok(_) => report.failed(&name, "neither a list of cases nor Alipay's form"),
            Err(error) => report.failed(&name, &error),
        }
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
    }
    Ok(())
}

fn run_cases(file: &str, cases: &[Value], report: &mut Report) {
    for (index, value) in cases.iter().enumerate() {
        let case = match Case::parse(value) {
            Ok(case) => case,
            Err(error) => {
                report.failed(&format!("{file} case {index}"), &error);
                continue;
            }
        };
        let place = format!("{file} case {index} «{}»", case.name);
        match operation(case.op) {
            None => report.unsupported(case.op, unsupported::reason(case.op)),
            Some(op) => {
                let outcome = report::guarded(|| op.run(&case));
                report.outcome(case.op, &place, outcome);
            }
        }
    }
}

fn operation(name: &str) -> Option<&'static Op> {
    [
        pin_block::OPS,
        unionpay_pin::OPS,
        pin_verification::OPS,
        mac::OPS,
        check_value::OPS,
        dukpt::OPS,
        key_block::OPS,
        signature::OPS,
        sm::OPS,
        unionpay::OPS,
        data::OPS,
        encryption::OPS,
    ]
    .into_iter()
    .flatten()
    .find(|op| op.name == name)
}
