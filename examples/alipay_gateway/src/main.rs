//! `alipay-gateway`: the local Alipay as a program.

use std::path::PathBuf;
use std::time::Duration;

use alipay_gateway::gateway::{App, Gateway, Settings};
use alipay_gateway::keys::AppKeys;
use alipay_gateway::script::Rule;
use anyhow::{Context, Result};
use clap::Parser;

/// A local Alipay on 127.0.0.1.
#[derive(Parser)]
struct Arguments {
    /// The port; 0 takes a free one.
    #[arg(long, default_value_t = 18_080)]
    port: u16,
    /// An app, as APP_ID=PUBLIC_KEY_FILE; repeat it for another app or another key of the same one.
    /// Without it the app of `pintle dev`, 2021000000000001, with its published test keys.
    #[arg(long, value_name = "APP_ID=FILE")]
    app: Vec<String>,
    /// Rules of the script, a JSON list in a file.
    #[arg(long)]
    script: Option<PathBuf>,
    /// Customers scan and pay each QR code after so many milliseconds.
    #[arg(long)]
    scans_after_ms: Option<u64>,
    /// Answers with `}` and `"sign"` inside strings.
    #[arg(long)]
    tricky: bool,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let settings = Settings {
        tricky: arguments.tricky,
        scans_after: arguments.scans_after_ms.map(Duration::from_millis),
        ..Settings::default()
    };
    let gateway = Gateway::start(arguments.port, settings).await?;
    if arguments.app.is_empty() {
        gateway.add_app(
            "2021000000000001",
            App {
                keys: AppKeys::of_pintle_dev()?,
                aes: None,
            },
        );
    }
    let mut apps: Vec<(String, AppKeys)> = Vec::new();
    for app in &arguments.app {
        let (app_id, file) = app.split_once('=').context("--app is APP_ID=FILE")?;
        let text = std::fs::read_to_string(file).with_context(|| file.to_owned())?;
        if !apps.iter().any(|(known, _)| known == app_id) {
            apps.push((app_id.to_owned(), AppKeys::default()));
        }
        for (known, keys) in &mut apps {
            if known == app_id {
                keys.add(&text).with_context(|| file.to_owned())?;
            }
        }
    }
    for (app_id, keys) in apps {
        gateway.add_app(&app_id, App { keys, aes: None });
    }
    if let Some(script) = &arguments.script {
        let rules: Vec<Rule> = serde_json::from_slice(&std::fs::read(script)?)?;
        gateway.script(rules);
    }
    println!("a local Alipay, published test keys, never the real one");
    println!("  v2       {}", gateway.url());
    println!("  v3       http://{}/v3/alipay/trade/…", gateway.address);
    println!("  books    http://{}/books", gateway.address);
    println!(
        "  keys     http://{}/keys   (Alipay's public keys)",
        gateway.address
    );
    println!(
        "  control  http://{}/control/{{apps,rules,scan,password}}",
        gateway.address
    );
    println!("Ctrl-C stops it.");
    tokio::signal::ctrl_c().await?;
    Ok(())
}
