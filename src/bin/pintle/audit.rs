//! `pintle audit`: recompute a journal's hash chain.

use indicatif::ProgressBar;
use pintle::audit::verify_file;
use serde_json::json;

use crate::cli::{Audit, AuditCommand};
use crate::exit::{Failure, Kind, Outcome};
use crate::output::{Output, print};

/// Verifies a journal.
pub fn run(arguments: &Audit, output: Output) -> Outcome {
    let AuditCommand::Verify { file } = &arguments.command;
    if !file.is_file() {
        return Err(Failure::new(
            Kind::NotFound,
            format!("{}: no such file", file.display()),
        ));
    }
    let spinner = ProgressBar::new_spinner().with_message("recomputing the chain");
    spinner.enable_steady_tick(std::time::Duration::from_millis(100));
    let verified = verify_file(file);
    spinner.finish_and_clear();
    let summary = verified.map_err(|broken| {
        Failure::new(Kind::Verification, format!("{}: {broken}", file.display()))
            .next("keep the file as it is: everything before that line still stands")
    })?;
    let head = hex::encode(summary.head);
    print(
        output,
        &json!({
            "records": summary.records, "first": summary.first, "last": summary.last, "head": head,
        }),
        &["records", "first", "last", "head"],
        vec![vec![
            summary.records.to_string(),
            summary.first,
            summary.last,
            head,
        ]],
    );
    Ok(())
}
