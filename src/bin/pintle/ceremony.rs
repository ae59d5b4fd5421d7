//! `pintle ceremony`: open, enter, close, abandon, adopt, status, minutes. A key brought in by two or three
//! custodians in separate sittings at this machine, outside PCI only, and said so at every step.

mod keyboard;
mod minutes;

use std::path::Path;

use pintle::config::server::Server;
use pintle::keys::catalogue::Catalogue;
use pintle::keys::ceremony::adoption::adopt;
use pintle::keys::ceremony::file::CeremonyFile;
use pintle::keys::ceremony::{self, Entered, HostComponents, Seat, Status};
use pintle::keys::component::Component;
use pintle::keys::key_ref::KeyName;
use pintle::{limits, secret};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::ceremony::keyboard::Keyboard;
use crate::cli::{self, Ceremony, CeremonyCommand};
use crate::exit::{Failure, Kind, Outcome};
use crate::output::{Output, print};
use crate::{catalogue, settings};

/// Takes one step of a ceremony.
pub fn run(arguments: &Ceremony, output: Output) -> Outcome {
    settings::log(false, "error");
    let server = settings::load(&arguments.configured.config)?;
    let accepted = match insecure(&arguments.command) {
        Some(said) => Some(accept(said, &server)?),
        None => None,
    };
    if let CeremonyCommand::Enter { .. } = arguments.command {
        // Before the token is opened: a pipe gets no further.
        keyboard::refuse_a_pipe()?;
    }
    let runtime = settings::runtime()?;
    let hall = Hall {
        catalogue: catalogue::open_all(&server)?,
        tenant: catalogue::default_tenant()?,
        machine: machine(),
        runtime,
    };
    match (&arguments.command, accepted) {
        (CeremonyCommand::Open { file, .. }, Some(accepted)) => hall.open(file, accepted, output),
        (CeremonyCommand::Enter { key, custodian, .. }, Some(accepted)) => {
            hall.enter(&name(key)?, &name(custodian)?, accepted)
        }
        (CeremonyCommand::Close { key, officer, .. }, Some(accepted)) => {
            hall.close(&name(key)?, &name(officer)?, accepted, output)
        }
        (
            CeremonyCommand::Abandon {
                key,
                officer,
                reason,
            },
            _,
        ) => hall.abandon(&name(key)?, &name(officer)?, reason, output),
        (
            CeremonyCommand::Adopt {
                file,
                object,
                officer,
            },
            _,
        ) => hall.adopt(file, object, &name(officer)?, output),
        (CeremonyCommand::Status(key), _) => hall.status(&name(&key.key)?, output),
        (CeremonyCommand::Minutes(key), _) => hall.minutes(&name(&key.key)?, output),
        (
            CeremonyCommand::Open { .. }
            | CeremonyCommand::Enter { .. }
            | CeremonyCommand::Close { .. },
            None,
        ) => Err(unaccepted()),
    }
}

/// Where a ceremony takes place.
struct Hall {
    catalogue: Catalogue,
    tenant: KeyName,
    machine: String,
    runtime: Runtime,
}

impl Hall {
    fn open(&self, file: &Path, accepted: HostComponents, output: Output) -> Outcome {
        let file = CeremonyFile::read(file).map_err(catalogue::failure)?;
        let opening = ceremony::open(
            &self.catalogue,
            &self.tenant,
            &file,
            &self.machine,
            accepted,
        );
        let status = self.runtime.block_on(opening).map_err(catalogue::failure)?;
        print_status(&status, output);
        eprintln!(
            "next: each custodian, alone: pintle ceremony enter {} --custodian NAME \
             --insecure-components",
            status.key
        );
        Ok(())
    }

    /// One sitting; then the process waits, with nothing of the component in it, until the custodian
    /// has put the package away.
    fn enter(&self, key: &KeyName, custodian: &KeyName, accepted: HostComponents) -> Outcome {
        let sitting = ceremony::sit(&self.catalogue, &self.tenant, key, custodian, accepted);
        let seat = self.runtime.block_on(sitting).map_err(catalogue::failure)?;
        let keyboard = Keyboard::take(&self.runtime)?;
        let entered = self.sitting(&keyboard, seat);
        secret::wipe_stack();
        let entered = entered?;
        eprintln!(
            "The sitting of {custodian} is over; the component is stored masked, and is no more in \
             this process's memory."
        );
        match entered.missing {
            0 => eprintln!("All have sat. An officer who is none of them closes the ceremony."),
            missing => eprintln!("{missing} still to sit."),
        }
        let away = "Put the package away as your procedure says, then press Enter";
        if keyboard.line(away).is_err() {
            eprintln!("The component of this sitting stays: it was stored before.");
        }
        Ok(())
    }

    /// Everything that sees the component. Not inlined: its frame is below the one that wipes.
    #[inline(never)]
    fn sitting(&self, keyboard: &Keyboard, seat: Seat) -> Result<Entered, Failure> {
        let package = keyboard.line("Serial number of the package")?;
        let component = typed(keyboard, &seat)?;
        let entering = seat.enter(&self.catalogue, &package, component, &self.machine);
        self.runtime.block_on(entering).map_err(catalogue::failure)
    }

    fn close(
        &self,
        key: &KeyName,
        officer: &KeyName,
        accepted: HostComponents,
        output: Output,
    ) -> Outcome {
        let closing = ceremony::close(
            &self.catalogue,
            &self.tenant,
            key,
            officer,
            &self.machine,
            accepted,
        );
        let closed = self.runtime.block_on(closing);
        secret::wipe_stack();
        let closed = closed.map_err(catalogue::failure)?;
        minutes::print(&[closed], output);
        Ok(())
    }

    fn abandon(&self, key: &KeyName, officer: &KeyName, reason: &str, output: Output) -> Outcome {
        let abandoning = ceremony::abandon(
            &self.catalogue,
            &self.tenant,
            key,
            officer,
            &self.machine,
            reason,
        );
        let minutes = self.runtime.block_on(abandoning);
        minutes::print(&[minutes.map_err(catalogue::failure)?], output);
        Ok(())
    }

    fn adopt(&self, file: &Path, object: &str, officer: &KeyName, output: Output) -> Outcome {
        let mut object_id = [0; 16];
        hex::decode_to_slice(object, &mut object_id)
            .map_err(|_| Failure::new(Kind::Usage, "--object is a CKA_ID of 16 bytes in hex"))?;
        let file = CeremonyFile::read(file).map_err(catalogue::failure)?;
        let (catalogue, tenant) = (&self.catalogue, &self.tenant);
        let adopting = adopt(catalogue, tenant, &file, object_id, officer, &self.machine);
        let minutes = self.runtime.block_on(adopting);
        minutes::print(&[minutes.map_err(catalogue::failure)?], output);
        Ok(())
    }

    fn status(&self, key: &KeyName, output: Output) -> Outcome {
        let status = ceremony::status(&self.catalogue, &self.tenant, key);
        let status = self.runtime.block_on(status).map_err(catalogue::failure)?;
        print_status(&status, output);
        Ok(())
    }

    fn minutes(&self, key: &KeyName, output: Output) -> Outcome {
        let read = ceremony::minutes::read(&self.catalogue, &self.tenant, key);
        let read = self.runtime.block_on(read).map_err(catalogue::failure)?;
        if read.is_empty() {
            return Err(Failure::new(
                Kind::NotFound,
                format!("{key}: no ceremony for it has ended"),
            ));
        }
        minutes::print(&read, output);
        Ok(())
    }
}

/// A component that its custodian has confirmed: by its check value, or, where there is none, by
/// typing it twice.
fn typed(keyboard: &Keyboard, seat: &Seat) -> Result<Component, Failure> {
    let algorithm = seat.algorithm();
    let digits = 2 * algorithm.key_bytes().unwrap_or_default();
    for _ in 0..limits::COMPONENT_TRIES_MAX {
        let prompt = format!("Your component, {digits} hexadecimal digits, not shown");
        let component = keyboard.component(&prompt)?;
        eprintln!("{} digits were taken", component.digits());
        if let Err(fault) = component.check(algorithm) {
            eprintln!("refused: {fault}");
            continue;
        }
        let confirmed = match component.check_value(algorithm) {
            Some(value) => {
                let value = hex::encode_upper(&value.bytes);
                eprintln!("Check value of this component: {value}");
                keyboard.line("Is it the one in your package? Type yes")? == "yes"
            }
            None => keyboard
                .component("Once more the same")?
                .is_same(&component),
        };
        if confirmed {
            return Ok(component);
        }
        eprintln!("not confirmed: nothing was stored");
    }
    Err(Failure::new(
        Kind::Verification,
        "no component was entered: nothing was stored",
    )
    .next("compare the package with the ceremony's file, then sit down again"))
}

fn print_status(status: &Status, output: Output) {
    let rows: Vec<Vec<String>> = status
        .custodians
        .iter()
        .map(|(custodian, at)| {
            let at = at.map(catalogue::time);
            vec![
                custodian.to_string(),
                at.unwrap_or_else(|| "not yet".into()),
            ]
        })
        .collect();
    let custodians: Vec<_> = status
        .custodians
        .iter()
        .map(|(custodian, at)| json!({"name": custodian.to_string(), "entered": at.map(catalogue::time)}))
        .collect();
    let document = json!({
        "key": status.key.to_string(), "algorithm": status.algorithm.to_string(),
        "opened": catalogue::time(status.opened), "custodians": custodians,
    });
    print(output, &document, &["custodian", "entered"], rows);
}

/// Whether the dangerous word was said, for the steps that need it.
fn insecure(command: &CeremonyCommand) -> Option<cli::InsecureComponents> {
    match command {
        CeremonyCommand::Open { insecure, .. }
        | CeremonyCommand::Enter { insecure, .. }
        | CeremonyCommand::Close { insecure, .. } => Some(*insecure),
        CeremonyCommand::Abandon { .. }
        | CeremonyCommand::Adopt { .. }
        | CeremonyCommand::Status(_)
        | CeremonyCommand::Minutes(_) => None,
    }
}

/// Says what it means, every time.
fn accept(said: cli::InsecureComponents, server: &Server) -> Result<HostComponents, Failure> {
    if !said.insecure_components {
        return Err(unaccepted());
    }
    let environment = catalogue::environment(server.environment);
    let answers = server.host_components.as_ref();
    let accepted = HostComponents::insecure(environment, answers).map_err(catalogue::failure)?;
    eprintln!(
        "WARNING: components typed here are clear in this computer's memory while they are typed, \
         and the key is while the ceremony is closed. This is not a secure cryptographic device; \
         it does not meet PCI PIN. The key will say HOST_COMPONENTS for ever."
    );
    if let Some(answers) = answers {
        eprintln!("host_components: {}", answers.as_str());
    }
    Ok(accepted)
}

fn unaccepted() -> Failure {
    Failure::new(
        Kind::Usage,
        "components belong into the HSM's own console or PIN pad, not into this computer",
    )
    .next(
        "for development, and for sites outside PCI only: --insecure-components lets custodians \
         type them here",
    )
}

fn name(text: &str) -> Result<KeyName, Failure> {
    KeyName::parse(text).map_err(|error| Failure::new(Kind::Usage, format!("{text:?}: {error}")))
}

fn machine() -> String {
    let system = rustix::system::uname();
    system.nodename().to_string_lossy().into_owned()
}
