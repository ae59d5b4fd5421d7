//! `pintle keys`: plan, apply, list, show, import, disable, enable, usages. Works on the store and the
//! token of the configuration file, at this machine.

use std::time::Duration;

use indicatif::ProgressBar;
use pintle::keys::act::Act;
use pintle::keys::attributes::State;
use pintle::keys::catalogue::Catalogue;
use pintle::keys::import;
use pintle::keys::key_ref::KeyName;
use pintle::keys::lifecycle::{self, VersionOf};
use pintle::keys::provision::{self, Action, Plan};
use pintle::keys::template::Template;
use serde_json::json;

use crate::cli::{self, Keys, KeysCommand};
use crate::exit::{Failure, Kind, Outcome};
use crate::output::{Output, print, print_json, table};
use crate::{catalogue, settings, usages};

/// Does one thing to the catalogue.
pub fn run(arguments: &Keys, output: Output) -> Outcome {
    settings::log(false, "error");
    if let KeysCommand::Usages = arguments.command {
        usages::show(output);
        return Ok(());
    }
    let server = settings::load(&arguments.configured.config)?;
    let opened = match &arguments.command {
        KeysCommand::Apply(_)
        | KeysCommand::Import { .. }
        | KeysCommand::Disable(_)
        | KeysCommand::Enable(_) => catalogue::open_all(&server)?,
        KeysCommand::Usages | KeysCommand::Plan(_) | KeysCommand::List | KeysCommand::Show(_) => {
            catalogue::open_at_hand(&server)?
        }
    };
    settings::runtime()?.block_on(async {
        match &arguments.command {
            KeysCommand::Usages => Ok(()),
            KeysCommand::Plan(template) => plan(&opened, template, output).await,
            KeysCommand::Apply(template) => apply(&opened, template, output).await,
            KeysCommand::List => list(&opened, output).await,
            KeysCommand::Show(key) => show(&opened, key, output).await,
            KeysCommand::Import { file } => import_file(&opened, file, output).await,
            KeysCommand::Disable(key) => set_state(&opened, key, State::Disabled).await,
            KeysCommand::Enable(key) => set_state(&opened, key, State::Active).await,
        }
    })
}

async fn plan(catalogue: &Catalogue, arguments: &cli::Template, output: Output) -> Outcome {
    let template = Template::read(&arguments.template).map_err(catalogue::failure)?;
    let tenant = catalogue::default_tenant()?;
    let plan = provision::plan(catalogue, &template, &tenant)
        .await
        .map_err(catalogue::failure)?;
    print_plan(&plan, "would create", output);
    Ok(())
}

async fn apply(catalogue: &Catalogue, arguments: &cli::Template, output: Output) -> Outcome {
    let template = Template::read(&arguments.template).map_err(catalogue::failure)?;
    let tenant = catalogue::default_tenant()?;
    let spinner = spinner("making keys");
    let applied = provision::apply(catalogue, &template, &tenant).await;
    spinner.finish_and_clear();
    print_plan(&applied.map_err(catalogue::failure)?, "created", output);
    Ok(())
}

async fn list(catalogue: &Catalogue, output: Output) -> Outcome {
    let listed = catalogue::list(catalogue).await?;
    let documents: Vec<_> = listed.iter().map(catalogue::document).collect();
    let rows = listed.iter().map(catalogue::row).collect();
    print(output, &documents, &catalogue::HEAD, rows);
    Ok(())
}

async fn show(catalogue: &Catalogue, key: &cli::KeyName, output: Output) -> Outcome {
    let mut listed = catalogue::list(catalogue).await?;
    listed.retain(|one| {
        one.id.name == key.name && key.version.is_none_or(|version| version == one.id.version)
    });
    let newest = listed
        .iter()
        .max_by_key(|one| one.id.version)
        .ok_or_else(|| unknown(key))?;
    let document = catalogue::document(newest);
    match (output, document.as_object()) {
        (Output::Table, Some(fields)) => {
            let text = |value: &serde_json::Value| match value {
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Null => "-".to_owned(),
                other => other.to_string(),
            };
            let rows = fields
                .iter()
                .map(|(name, value)| vec![name.clone(), text(value)])
                .collect();
            println!("{}", table(&["", &key.name], rows));
        }
        _ => print_json(&document),
    }
    Ok(())
}

async fn import_file(catalogue: &Catalogue, file: &std::path::Path, output: Output) -> Outcome {
    let tenant = catalogue::default_tenant()?;
    let spinner = spinner("bringing keys in");
    let imported = import::import_file(catalogue, file, &tenant).await;
    spinner.finish_and_clear();
    let headers = imported.map_err(catalogue::failure)?;
    let rows = headers
        .iter()
        .map(|h| {
            vec![
                h.name.to_string(),
                h.version.to_string(),
                h.algorithm.to_string(),
            ]
        })
        .collect();
    let documents: Vec<_> = headers
        .iter()
        .map(|h| json!({"name": h.name.to_string(), "version": h.version}))
        .collect();
    print(output, &documents, &["imported", "ver", "algorithm"], rows);
    Ok(())
}

async fn set_state(catalogue: &Catalogue, key: &cli::KeyName, to: State) -> Outcome {
    let tenant = catalogue::default_tenant()?;
    let name = KeyName::parse(&key.name).map_err(|error| Failure::new(Kind::Usage, error))?;
    let version = match key.version {
        Some(version) => version,
        None => {
            let listed = catalogue::list(catalogue).await?;
            let versions = listed.iter().filter(|one| one.id.name == key.name);
            versions
                .map(|one| one.id.version)
                .max()
                .ok_or_else(|| unknown(key))?
        }
    };
    let version = VersionOf {
        tenant: &tenant,
        name: &name,
        version,
    };
    let header = lifecycle::set_state(catalogue, version, to, &Act::operator())
        .await
        .map_err(catalogue::failure)?;
    eprintln!(
        "{} version {} is {}; every server follows within 2 s",
        name, header.version, header.state
    );
    Ok(())
}

fn print_plan(plan: &Plan, create: &str, output: Output) {
    let what = |action: &Action| match action {
        Action::Create => (create.to_owned(), String::new()),
        Action::Import => ("import it".to_owned(), "a partner's public key".to_owned()),
        Action::Matches { version, state } => {
            ("matches".to_owned(), format!("version {version}, {state}"))
        }
        Action::Differs { version, fields } => (
            "DIFFERS".to_owned(),
            format!("version {version}: {}", fields.join(", ")),
        ),
        Action::Unmanaged => ("not in the template".to_owned(), String::new()),
    };
    let rows: Vec<Vec<String>> = plan
        .steps
        .iter()
        .map(|step| {
            let (action, detail) = what(&step.action);
            vec![step.name.clone(), action, detail]
        })
        .collect();
    let documents: Vec<_> = rows
        .iter()
        .map(|row| json!({"key": row[0], "action": row[1], "detail": row[2]}))
        .collect();
    print(output, &documents, &["key", "action", "detail"], rows);
}

fn unknown(key: &cli::KeyName) -> Failure {
    Failure::new(Kind::NotFound, format!("{}: no such key", key.name))
        .next("`pintle keys list` names them all")
}

fn spinner(text: &'static str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(text);
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}
