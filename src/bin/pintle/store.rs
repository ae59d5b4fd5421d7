//! `pintle store`: a verified backup of a store in use, and a store out of a verified backup.

use std::path::Path;

use pintle::keys::backup::{self, Verified};
use pintle::keys::error::Error;
use pintle::store;
use serde_json::json;

use crate::cli::{Store, StoreCommand};
use crate::exit::{Failure, Kind, Outcome};
use crate::output::{Output, print};
use crate::{catalogue, progress, settings};

/// Does one of them.
pub fn run(arguments: &Store, output: Output) -> Outcome {
    settings::log(false, "error");
    let server = settings::load(&arguments.configured.config)?;
    let tokens = settings::open_at_hand(&server)?;
    let token = tokens
        .first()
        .ok_or_else(|| Failure::new(Kind::Token, "no token is at hand"))?;
    let copying = progress::bar("copying", 1);
    let written = |done, total: u64| {
        copying.set_length(total.max(1));
        copying.set_position(done);
    };
    let reading = progress::counter("verifying");
    let read = |rows| reading.set_position(rows);
    let path = &server.store.path;
    let (file, made) = match &arguments.command {
        StoreCommand::Backup { file } => {
            let made = backup::back_up(path, file, token, &written, &read);
            (file.as_path(), made)
        }
        StoreCommand::Restore { file } => {
            let made = backup::restore(file, path, token, &written, &read);
            (path.as_path(), made)
        }
    };
    copying.finish_and_clear();
    reading.finish_and_clear();
    let made = made.map_err(failure)?;
    tell(file, &made, output);
    if let StoreCommand::Restore { .. } = &arguments.command {
        eprintln!("note: what was changed after this backup was made is as it was before");
        if server.store.checkpoint.is_some() {
            eprintln!("next: pintle catalogue verify; it says whether a checkpoint is newer");
        }
    }
    Ok(())
}

fn tell(file: &Path, made: &Verified, output: Output) {
    let Verified {
        generation,
        records,
    } = made;
    let name = file.display().to_string();
    print(
        output,
        &json!({ "file": name, "generation": generation, "records": records }),
        &["verified", "generation", "records"],
        vec![vec![
            name.clone(),
            generation.to_string(),
            records.to_string(),
        ]],
    );
}

fn failure(error: Error) -> Failure {
    match &error {
        Error::StoreUnavailable(store) => match store.as_ref() {
            store::error::Error::File { path, source } => {
                Failure::new(Kind::Conflict, format!("{}: {source}", path.display()))
                    .next("choose another name, or move what is there away")
            }
            store::error::Error::Foreign(_) => Failure::new(Kind::Verification, error),
            _ => catalogue::failure(error),
        },
        _ => catalogue::failure(error),
    }
}
