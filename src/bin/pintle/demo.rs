//! `pintle demo`: a till's day over real gRPC on loopback. Every output is recomputed or verified
//! by an independent program in another process; one wrong byte and the demo exits 1.

mod card;
mod huabei;
mod outside;
mod story;
#[path = "../../../examples/till/till.rs"]
#[expect(
    dead_code,
    reason = "the till is an example of its own, which uses more of it"
)]
mod till;
mod transcript;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use crate::cli::Demo;
use crate::dev::{DevServer, Folder};
use crate::exit::{Failure, Kind, Outcome};
use crate::settings;

/// The day, from opening to the receipt.
pub fn run(arguments: &Demo) -> Outcome {
    let began = Instant::now();
    settings::log(false, "error");
    let outside = outside::Outside::prepare(&arguments.python)
        .map_err(|error| Failure::new(Kind::NotFound, error).next("make demo"))?;
    let corrupt = match &arguments.corrupt {
        Some(name) => Some(story::Output::from_name(name).ok_or_else(|| {
            Failure::new(Kind::Usage, format!("{name}: no such output"))
                .next(story::Output::names())
        })?),
        None => None,
    };
    let folder = Folder::new(None)?;
    let runtime = settings::runtime()?;
    let (checked, failed) = runtime.block_on(async {
        let server = DevServer::start(&folder.path, loopback()).await?;
        let told = story::tell(&server, &folder.path, &outside, corrupt).await;
        server.stop().await?;
        told.map_err(Failure::from)
    })?;
    let took = began.elapsed().as_secs_f32();
    if failed > 0 {
        return Err(Failure::new(
            Kind::Other,
            format!("{failed} of {checked} outputs are wrong, said an independent program"),
        ));
    }
    println!(
        "\n{checked} outputs, each checked by a program that is not Pintle: all right. {took:.1} s."
    );
    Ok(())
}

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}
