//! `till`: a point of sale on the command line, against `pintle dev` and the local Alipay of
//! `examples/alipay_gateway`. It holds no key of Alipay's world: Pintle signs and verifies.

#[path = "till.rs"]
#[expect(dead_code, reason = "shared with the stories, which use more of it")]
mod till;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use pintle::client::Client;

use till::alipay::{App, fen, yuan};
use till::journal::Instalments;
use till::{End, Sale, Settings, Till, receipt};

/// A till.
#[derive(Parser)]
struct Arguments {
    /// Pintle's address.
    #[arg(long, default_value = "http://127.0.0.1:50551")]
    pintle: String,
    /// Alipay's address: the local one.
    #[arg(long, default_value = "http://127.0.0.1:18080/gateway.do")]
    alipay: String,
    /// The journal, which the next start takes up.
    #[arg(long, default_value = "till-journal.jsonl")]
    journal: PathBuf,
    /// RSA2 or SM2.
    #[arg(long, default_value = "RSA2")]
    sign_type: String,
    /// Seconds between two queries.
    #[arg(long, default_value_t = 3)]
    poll: u64,
    #[command(subcommand)]
    act: Act,
}

#[derive(Subcommand)]
enum Act {
    /// Signs in (签到) and makes a card sale with a PIN.
    Card {
        /// Yuan, with two decimals.
        amount: String,
    },
    /// Shows a QR code for the customer to scan.
    Qr(Selling),
    /// Scans the customer's code.
    Scan {
        /// 16 to 24 digits, 25… to 30….
        auth_code: String,
        #[command(flatten)]
        selling: Selling,
    },
    /// Pays back, in whole or in part.
    Refund {
        /// The number on the receipt.
        no: String,
        /// Yuan, with two decimals.
        amount: String,
    },
    /// Takes up what the last run left open, as every run does first, and prints the book.
    Book,
}

#[derive(clap::Args)]
struct Selling {
    /// Yuan, with two decimals.
    amount: String,
    /// Huabei instalments: 3, 6 or 12.
    #[arg(long)]
    instalments: Option<u8>,
    /// Who pays their fee.
    #[arg(long, value_enum, default_value_t = Payer::Shop)]
    fee: Payer,
    /// What is sold; a word such as [wait-paid] or [unknown] scripts the local Alipay.
    #[arg(long, default_value = "咖啡机 Coffee machine")]
    subject: String,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Payer {
    Shop,
    Customer,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let client = Client::danger_connect_plaintext(&arguments.pintle).await?;
    if let Act::Card { amount } = &arguments.act {
        return till::card::sell(&client, amount_of(amount)?).await;
    }
    let till = Till::open(settings(&arguments)?, client, Arc::new(|_| false)).await?;
    for (no, end) in till.recover().await? {
        println!("{no}: left open by the last run, now {end:?}");
    }
    match &arguments.act {
        Act::Card { .. } => {}
        Act::Qr(selling) => {
            let end = match till.offer(&sale(selling)?).await? {
                Err(end) => end,
                Ok(offer) => {
                    let code = receipt::qr_code(&offer.qr_code);
                    println!("{}\n{}", code.unwrap_or_default(), offer.qr_code);
                    (offer.no.clone(), till.collect(&offer).await?)
                }
            };
            print(&till, &end.0);
        }
        Act::Scan { auth_code, selling } => {
            let (no, end) = till.sell_by_scan(&sale(selling)?, auth_code).await?;
            print(&till, &no);
            if end == End::Open {
                bail!("{no} is open: nobody knows. Start the till again");
            }
        }
        Act::Refund { no, amount } => {
            let end = till.refund(no, amount_of(amount)?).await?;
            println!("{end:?}");
            print(&till, no);
        }
        Act::Book => {
            for (no, trade) in till.book().trades() {
                println!("{no}  {:>12}  {:?}", yuan(trade.kept()), trade.state);
            }
            println!("kept  {}", yuan(till.book().kept()));
        }
    }
    Ok(())
}

fn settings(arguments: &Arguments) -> Result<Settings> {
    let (app_key, alipay_key) = match arguments.sign_type.as_str() {
        "RSA2" => ("alipay-app-rsa2", "alipay-rsa2"),
        "SM2" => ("alipay-app-sm2", "alipay-sm2"),
        other => bail!("{other}: RSA2 or SM2"),
    };
    Ok(Settings {
        app: App {
            app_id: "2021000000000001".to_owned(),
            app_key: app_key.to_owned(),
            alipay_key: alipay_key.to_owned(),
            sign_type: arguments.sign_type.clone(),
            charset: "utf-8".to_owned(),
            gateway: arguments.alipay.clone(),
            patience: Duration::from_secs(10),
        },
        terminal: "T0001".to_owned(),
        journal: arguments.journal.clone(),
        poll: Duration::from_secs(arguments.poll),
        queries: 20,
        tries: 5,
        notify_port: 0,
        danger_never_cancels: false,
    })
}

fn sale(selling: &Selling) -> Result<Sale> {
    Ok(Sale {
        fen: amount_of(&selling.amount)?,
        subject: selling.subject.clone(),
        instalments: selling.instalments.map(|number| Instalments {
            number,
            shop_pays_fee: selling.fee == Payer::Shop,
        }),
    })
}

fn amount_of(text: &str) -> Result<u64> {
    match fen(text) {
        Some(fen) if fen > 0 => Ok(fen),
        _ => bail!("{text}: an amount such as 600.00"),
    }
}

fn print(till: &Till, no: &str) {
    if let Some(trade) = till.book().trade(no) {
        let lines = receipt::receipt("TEST SHOP 测试商店", no, trade);
        println!("{}", receipt::framed(&lines));
    }
}
