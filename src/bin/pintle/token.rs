//! `pintle token`: the tokens that can open the store. Enrols another, rotates `seal`, destroys
//! what was rotated away, writes off what is lost.

use std::path::Path;

use pintle::config::server::Server;
use pintle::hsm::{self, TokenConfig, TokenId};
use pintle::keys::catalogue::Catalogue;
use pintle::keys::enrol;
use pintle::keys::root::findings::Finding;
use pintle::keys::rotation;
use pintle::store::RecordId;
use serde_json::{Value, json};

use crate::cli::{Token, TokenCommand};
use crate::exit::{Failure, Kind, Outcome};
use crate::output::{Output, print};
use crate::{catalogue, progress, settings};

/// What every one of these works with.
struct Desk {
    catalogue: Catalogue,
    /// What opens the token whose keys are rotated.
    config: TokenConfig,
    tokens: Vec<hsm::Token>,
    output: Output,
}

/// Does one of them.
pub fn run(arguments: &Token, output: Output) -> Outcome {
    settings::log(false, "error");
    let server = settings::load(&arguments.configured.config)?;
    let runtime = settings::runtime()?;
    let other = match &arguments.command {
        TokenCommand::Enroll { other, .. } => other.as_deref(),
        TokenCommand::List | TokenCommand::RotateSeal { .. } | TokenCommand::Dismiss { .. } => None,
    };
    let rotated = match &arguments.command {
        TokenCommand::RotateSeal { token, .. } => token.as_deref(),
        TokenCommand::List | TokenCommand::Enroll { .. } | TokenCommand::Dismiss { .. } => None,
    };
    let config = settings::token_config(settings::named(&server, rotated)?)?;
    let catalogue = match &arguments.command {
        // Looks only, also on the day on which one is away.
        TokenCommand::List => catalogue::open_at_hand(&server)?,
        TokenCommand::Enroll { .. }
        | TokenCommand::RotateSeal { .. }
        | TokenCommand::Dismiss { .. } => open(&server, other)?,
    };
    let desk = Desk {
        tokens: catalogue.fleet().tokens().cloned().collect(),
        catalogue,
        config,
        output,
    };
    runtime.block_on(async {
        match &arguments.command {
            TokenCommand::List => desk.list().await,
            TokenCommand::Enroll { label, other: _ } => desk.enroll(label.as_deref()).await,
            TokenCommand::RotateSeal {
                destroy_old: true,
                confirm,
                ..
            } => desk.destroy_old(confirm.as_deref()).await,
            TokenCommand::RotateSeal {
                destroy_old: false, ..
            } => desk.rotate().await,
            TokenCommand::Dismiss { id, confirm } => desk.dismiss(id, confirm).await,
        }
    })
}

/// The catalogue with every token of the configuration, and another that is to be enrolled.
fn open(server: &Server, other: Option<&Path>) -> Result<Catalogue, Failure> {
    let mut tokens = settings::open_tokens(server)?;
    if let Some(file) = other {
        let other = settings::load(file)?;
        let other = settings::token_config(settings::named(&other, None)?)?;
        let other = settings::open_token(&other)?;
        if tokens.first().is_some_and(|first| first.id() == other.id()) {
            return Err(Failure::new(
                Kind::Usage,
                format!(
                    "{}: this is the token that is enrolled first",
                    file.display()
                ),
            ));
        }
        // Named last, so that it is found last; it may be in the configuration already.
        tokens.retain(|known| known.id() != other.id());
        tokens.push(other);
    }
    catalogue::open_among(server, tokens)
}

impl Desk {
    async fn list(&self) -> Outcome {
        let census = rotation::census(&self.catalogue);
        let census = census.await.map_err(catalogue::failure)?;
        let vouching = enrol::vouching(&self.catalogue);
        let vouching = vouching.await.map_err(catalogue::failure)?;
        let mut lines: Vec<(TokenId, Option<[u8; 16]>, u64)> = census
            .iter()
            .map(|((token, key), records)| (*token, Some(*key), *records))
            .collect();
        for token in &self.tokens {
            let keys = token.seal_keys();
            for key in std::iter::once(keys.current).chain(keys.older) {
                if !census.contains_key(&(token.id(), key)) {
                    lines.push((token.id(), Some(key), 0));
                }
            }
        }
        for (token, _) in &vouching {
            if !lines.iter().any(|(known, _, _)| known == token) {
                lines.push((*token, None, 0));
            }
        }
        lines.sort_unstable();
        let lines = lines.into_iter().map(|(id, key, records)| {
            let vouches = vouching.iter().find(|(token, _)| *token == id);
            let vouches = match vouches {
                Some((_, true)) => "yes",
                Some((_, false)) => "stale",
                None => "no",
            };
            [
                self.label(id),
                id.to_string(),
                vouches.to_owned(),
                key.map(hex::encode).unwrap_or_default(),
                key.map(|key| self.standing(id, key)).unwrap_or_default(),
                records.to_string(),
            ]
        });
        let lines: Vec<[String; 6]> = lines.collect();
        let documents: Vec<Value> = lines
            .iter()
            .map(|[label, id, vouches, key, standing, records]| {
                json!({
                    "label": label, "token": id, "vouches": vouches, "seal_key": key,
                    "seal_key_is": standing, "records": records.parse::<u64>().ok(),
                })
            })
            .collect();
        let head = ["token", "id", "vouches", "seal key", "is", "records"];
        let rows = lines.into_iter().map(Vec::from).collect();
        print(self.output, &documents, &head, rows);
        Ok(())
    }

    async fn enroll(&self, label: Option<&str>) -> Outcome {
        let others = self.tokens.iter().skip(1);
        let other = match label {
            Some(label) => others.clone().find(|token| token.info().label == label),
            None => others.clone().last(),
        };
        let other = other.ok_or_else(|| {
            Failure::new(
                Kind::NotFound,
                "the configuration has no other such [[hsm.token]]",
            )
            .next("name one of its labels, or another configuration file with --other")
        })?;
        let bar = progress::bar("enrolling", self.catalogue.stats().records);
        let done = enrol::enroll(&self.catalogue, other.id(), &|seen| bar.set_position(seen)).await;
        bar.finish_and_clear();
        let done = done.map_err(catalogue::failure)?;
        let label = &other.info().label;
        let document = json!({
            "token": other.id().to_string(), "label": label, "sealed": done.sealed,
            "opened": done.opened, "bound": ids(&done.bound), "refused": findings(&done.refused),
        });
        let counts = [
            done.sealed,
            done.opened,
            done.bound.len() as u64,
            done.refused.len() as u64,
        ];
        self.tell(
            &document,
            &["enrolled", "sealed", "opens", "cannot follow", "refused"],
            label,
            &counts,
        );
        for id in &done.bound {
            eprintln!("cannot follow: {id}, which is in the other token only");
        }
        if !done.bound.is_empty() {
            eprintln!(
                "next: make those keys anew, or bring them in, on this token under names of its \
                 own; if {label} is used alone they do not open"
            );
        }
        eprintln!("next: name {label} as an [[hsm.token]] in every server's configuration");
        refuse(&done.refused)
    }

    async fn rotate(&self) -> Outcome {
        let bar = progress::bar("sealing anew", self.catalogue.stats().records);
        let tell = |seen| bar.set_position(seen);
        let done = rotation::rotate_seal(&self.catalogue, &self.config, &tell).await;
        bar.finish_and_clear();
        let done = done.map_err(catalogue::failure)?;
        let document = json!({
            "label": self.config.label, "made": done.made, "written": done.written,
            "seal_key": hex::encode(done.keys.current), "older": done.keys.older.len(),
            "refused": findings(&done.refused),
        });
        let counts = [
            u64::from(done.made),
            done.written,
            done.keys.older.len() as u64,
            done.refused.len() as u64,
        ];
        self.tell(
            &document,
            &["token", "keys made", "sealed anew", "older keys", "refused"],
            &self.config.label,
            &counts,
        );
        if done.refused.is_empty() {
            eprintln!(
                "next: back the store up; then, when no older backup is needed any more, \
                 pintle token rotate-seal --destroy-old --confirm {}",
                self.config.label
            );
        }
        refuse(&done.refused)
    }

    async fn destroy_old(&self, confirm: Option<&str>) -> Outcome {
        confirmed(confirm, &self.config.label)?;
        let done = rotation::destroy_old_seals(&self.catalogue, &self.config).await;
        let (keys, destroyed) = done.map_err(|error| {
            catalogue::failure(error).next("pintle token rotate-seal seals them anew")
        })?;
        let document = json!({
            "label": self.config.label, "destroyed": destroyed,
            "seal_key": hex::encode(keys.current),
        });
        let head = ["token", "seal keys destroyed"];
        self.tell(&document, &head, &self.config.label, &[destroyed as u64]);
        Ok(())
    }

    async fn dismiss(&self, id: &str, confirm: &str) -> Outcome {
        confirmed(Some(confirm), id)?;
        let lost = hex::decode(id).ok().and_then(|id| id.try_into().ok());
        let lost = lost.map(TokenId).ok_or_else(|| {
            Failure::new(Kind::Usage, "a token's id is 32 hexadecimal digits")
                .next("pintle token list shows them")
        })?;
        let bar = progress::bar("dismissing", self.catalogue.stats().records);
        let done = enrol::dismiss(&self.catalogue, lost, &|seen| bar.set_position(seen)).await;
        bar.finish_and_clear();
        let done = done.map_err(catalogue::failure)?;
        let document = json!({
            "token": id, "written": done.written, "lost": ids(&done.lost),
            "refused": findings(&done.refused),
        });
        let counts = [
            done.written,
            done.lost.len() as u64,
            done.refused.len() as u64,
        ];
        let head = ["dismissed", "records", "lost with it", "refused"];
        self.tell(&document, &head, id, &counts);
        for id in &done.lost {
            eprintln!("lost with it: {id}");
        }
        refuse(&done.refused)
    }

    fn tell(&self, document: &Value, head: &[&str], label: &str, counts: &[u64]) {
        let counts = counts.iter().map(u64::to_string);
        let row = std::iter::once(label.to_owned()).chain(counts).collect();
        print(self.output, document, head, vec![row]);
    }

    fn label(&self, id: TokenId) -> String {
        let token = self.tokens.iter().find(|token| token.id() == id);
        token.map_or_else(
            || "(not at hand)".to_owned(),
            |token| token.info().label.clone(),
        )
    }

    fn standing(&self, id: TokenId, key: [u8; 16]) -> String {
        let token = self.tokens.iter().find(|token| token.id() == id);
        let standing = token.map(|token| {
            let keys = token.seal_keys();
            if keys.current == key {
                "current"
            } else if keys.older.contains(&key) {
                "older"
            } else {
                "GONE"
            }
        });
        standing.unwrap_or("").to_owned()
    }
}

fn confirmed(said: Option<&str>, meant: &str) -> Outcome {
    if said == Some(meant) {
        return Ok(());
    }
    Err(
        Failure::new(Kind::Usage, "this cannot be undone, and was not confirmed")
            .next(format!("say that it is meant: --confirm {meant}")),
    )
}

/// Records that do not open make the command fail, after all others are done.
fn refuse(refused: &[Finding]) -> Outcome {
    for Finding { id, why } in refused {
        eprintln!("refused: {id}: {why}");
    }
    if refused.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Verification,
        format!("{} records do not open", refused.len()),
    )
    .next("restore those rows from a backup, or bring the token that sealed them"))
}

fn ids(records: &[RecordId]) -> Vec<Value> {
    let of = |id: &RecordId| json!({"tenant": id.tenant, "name": id.name, "version": id.version});
    records.iter().map(of).collect()
}

fn findings(refused: &[Finding]) -> Vec<Value> {
    let of = |finding: &Finding| {
        let Finding { id, why } = finding;
        json!({
            "tenant": id.tenant, "name": id.name, "version": id.version, "why": why.to_string(),
        })
    };
    refused.iter().map(of).collect()
}
