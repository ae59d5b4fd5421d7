//! The `pintle` command: assembles the library into `serve`, `dev`, `demo`, `init`, `keys`,
//! `ceremony`, `catalogue`, `store`, `token`, `bench`, `doctor`, `audit` and `completions`. Holds no
//! logic of its own.

mod assembly;
mod audit;
mod bench;
mod catalogue;
mod ceremony;
mod cli;
#[cfg(feature = "embedded-token")]
mod demo;
mod dev;
mod doctor;
mod exit;
mod init;
mod keys;
mod output;
mod progress;
mod report;
mod serve;
mod settings;
mod store;
mod token;
mod usages;
mod verify;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    exit::report(run(&cli))
}

fn run(cli: &cli::Cli) -> exit::Outcome {
    pintle::process::harden();
    match &cli.command {
        cli::Command::Init(arguments) => init::run(arguments, cli.output),
        cli::Command::Serve(arguments) => serve::run(arguments),
        cli::Command::Dev(arguments) => dev::run(arguments),
        #[cfg(feature = "embedded-token")]
        cli::Command::Demo(arguments) => demo::run(arguments),
        #[cfg(not(feature = "embedded-token"))]
        cli::Command::Demo(_) => dev::refuse_without_embedded_token(),
        cli::Command::Keys(arguments) => keys::run(arguments, cli.output),
        cli::Command::Catalogue(arguments) => verify::run(arguments, cli.output),
        cli::Command::Store(arguments) => store::run(arguments, cli.output),
        cli::Command::Bench(arguments) => bench::run(arguments, cli.output),
        cli::Command::Report(arguments) => report::run(arguments, cli.output),
        cli::Command::Ceremony(arguments) => ceremony::run(arguments, cli.output),
        cli::Command::Token(arguments) => token::run(arguments, cli.output),
        cli::Command::Doctor(arguments) => doctor::run(arguments, cli.output),
        cli::Command::Audit(arguments) => audit::run(arguments, cli.output),
        cli::Command::Completions { shell } => {
            cli::print_completions(*shell);
            Ok(())
        }
    }
}
