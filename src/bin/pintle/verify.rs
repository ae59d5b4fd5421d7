//! `pintle catalogue`: check the whole store against its root, and make the checkpoint that a
//! store put back is measured by.

use std::io::Write;
use std::path::Path;
use std::time::{Instant, SystemTime};

use pintle::config::server::Server;
use pintle::keys::catalogue::Catalogue as Keys;
use pintle::keys::checkpoint::Checkpoint;
use pintle::limits;
use serde_json::json;

use crate::cli::{Catalogue, CatalogueCommand};
use crate::exit::{Failure, Kind, Outcome};
use crate::output::{Output, print};
use crate::{catalogue, settings};

/// Does one of them.
pub fn run(arguments: &Catalogue, output: Output) -> Outcome {
    settings::log(false, "error");
    let server = settings::load(&arguments.configured.config)?;
    let opened = match &arguments.command {
        CatalogueCommand::Verify => catalogue::open_at_hand(&server)?,
        // Every token signs.
        CatalogueCommand::Checkpoint { .. } => catalogue::open_all(&server)?,
    };
    settings::runtime()?.block_on(async {
        match &arguments.command {
            CatalogueCommand::Verify => verify(&opened, &server, output).await,
            CatalogueCommand::Checkpoint { file } => {
                let file = file.as_ref().or(server.store.checkpoint.as_ref());
                let file = file.ok_or_else(|| {
                    Failure::new(Kind::Usage, "no file: [store] checkpoint is not set")
                        .next("name one: pintle catalogue checkpoint FILE")
                })?;
                checkpoint(&opened, file, output).await
            }
        }
    })
}

/// Refuses a store that is older than the configured checkpoint.
pub async fn against_checkpoint(opened: &Keys, server: &Server) -> Outcome {
    let Some(file) = &server.store.checkpoint else {
        return Ok(());
    };
    let deadline = Instant::now() + limits::COMMAND_TOKEN_WAIT;
    let checkpoint = Checkpoint::read(file).map_err(|error| {
        catalogue::failure(error)
            .next("make one, if none was made yet: pintle catalogue checkpoint")
    })?;
    checkpoint.check(opened, deadline).await.map_err(|error| {
        catalogue::failure(error).next(
            "bring the newer store back; where keys are known to be lost, make the checkpoint \
                 anew: pintle catalogue checkpoint",
        )
    })
}

async fn verify(opened: &Keys, server: &Server, output: Output) -> Outcome {
    let stats = opened.stats();
    let findings = opened.findings();
    let named: Vec<_> = findings
        .named
        .iter()
        .map(|one| {
            json!({
                "tenant": one.id.tenant, "name": one.id.name, "version": one.id.version,
                "why": one.why.to_string(),
            })
        })
        .collect();
    let refused = named.len() as u64 + findings.more;
    print(
        output,
        &json!({
            "generation": stats.generation, "records": stats.records, "refused": refused,
            "findings": named, "checkpoint": server.store.checkpoint,
        }),
        &["generation", "records", "refused"],
        vec![vec![
            stats.generation.to_string(),
            stats.records.to_string(),
            refused.to_string(),
        ]],
    );
    if !findings.is_empty() {
        return Err(Failure::new(
            Kind::Verification,
            format!("rows are not what the root vouches for:{findings}"),
        )
        .next("restore those rows from a backup; all others are served"));
    }
    against_checkpoint(opened, server).await
}

async fn checkpoint(opened: &Keys, file: &Path, output: Output) -> Outcome {
    let time = SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| since.as_secs());
    let deadline = Instant::now() + limits::COMMAND_TOKEN_WAIT;
    let made = Checkpoint::make(opened, time, deadline)
        .await
        .map_err(catalogue::failure)?;
    let text = made
        .text()
        .map_err(|error| Failure::new(Kind::Other, error))?;
    write_whole(file, &text)
        .map_err(|error| Failure::new(Kind::Other, format!("{}: {error}", file.display())))?;
    let generation = made.generation.to_string();
    let row = vec![generation, made.records.to_string(), catalogue::time(time)];
    print(output, &made, &["generation", "records", "made"], vec![row]);
    Ok(())
}

/// The old file or the new one, whatever happens.
fn write_whole(file: &Path, text: &str) -> std::io::Result<()> {
    let mut partial = file.as_os_str().to_owned();
    partial.push(".new");
    let mut written = std::fs::File::create(&partial)?;
    written.write_all(text.as_bytes())?;
    written.sync_all()?;
    std::fs::rename(&partial, file)
}
