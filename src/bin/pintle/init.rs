//! `pintle init`: the master keys, once. A running server never makes one.

use pintle::hsm::Token;
use serde_json::json;

use crate::cli::Init;
use crate::exit::Outcome;
use crate::output::{Output, print};
use crate::settings;

/// Makes the token where asked, and its five master keys.
pub fn run(arguments: &Init, output: Output) -> Outcome {
    let server = settings::load(&arguments.configured.config)?;
    let named = settings::named(&server, arguments.token.as_deref())?;
    let config = settings::token_config(named)?;
    let so_pin = match &arguments.create_token_so_pin_file {
        Some(file) => Some(settings::pin(file)?),
        None => None,
    };
    let report = Token::initialize(&config, so_pin.as_ref()).map_err(settings::token_failure)?;
    let rows: Vec<Vec<String>> = report
        .made
        .iter()
        .map(|key| vec![key.label().to_owned(), report.token.label.clone()])
        .collect();
    let made: Vec<&str> = report.made.iter().map(|key| key.label()).collect();
    print(
        output,
        &json!({
            "token": report.token.label,
            "serial": report.token.serial,
            "token_made": report.token_made,
            "made": made,
        }),
        &["master key made", "token"],
        rows,
    );
    if report.token.software {
        eprintln!("note: this is a software token; production refuses it");
    }
    if server.tokens().count() == 1 {
        eprintln!("note: only this token can open the store: nothing can be served if it is lost");
    } else if server.store.path.exists() {
        eprintln!("next: pintle token enroll {}", report.token.label);
        return Ok(());
    }
    eprintln!("next: pintle keys plan -t keys-template/acquirer.toml, then apply");
    Ok(())
}
