//! From the configuration file to what the library opens: the token, its PIN, the runtime.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use pintle::config::server::{Server, Token};
use pintle::hsm::{self, Class, Module, ProfileChoice, TokenConfig};
use pintle::secret::Secret;

use crate::exit::{Failure, Kind};

/// Reads and checks the configuration file.
pub fn load(path: &Path) -> Result<Server, Failure> {
    if !path.exists() {
        return Err(
            Failure::new(Kind::NotFound, format!("{}: no such file", path.display())).next(
                "write one (the manual's page `operating` shows it), or name it with --config",
            ),
        );
    }
    Server::load(path).map_err(|error| Failure::new(Kind::Usage, error))
}

/// What opens the token that the configuration names.
pub fn token_config(token: &Token) -> Result<TokenConfig, Failure> {
    let module = match (&token.library, &token.embedded) {
        (Some(library), _) => Module::Library(library.clone()),
        (None, Some(dir)) => Module::Embedded { dir: dir.clone() },
        (None, None) => {
            return Err(Failure::new(Kind::Usage, "[[hsm.token]] names no module"));
        }
    };
    Ok(TokenConfig {
        module,
        label: token.label.clone(),
        pin: Arc::new(pin(&token.pin_file)?),
        symmetric_workers: token.symmetric_workers,
        asymmetric_workers: token.asymmetric_workers,
        call_timeout: token.call_timeout(),
        profile: token.profile.as_deref().map(ProfileChoice::of),
    })
}

/// The first line of a PIN file that nobody else may read.
pub fn pin(path: &Path) -> Result<Secret<String>, Failure> {
    let not_read = |error| {
        Failure::new(
            Kind::NotFound,
            format!("{}: the PIN can't be read: {error}", path.display()),
        )
        .next("write the PIN into that file, readable by this user alone (chmod 600)")
    };
    let mode = std::fs::metadata(path)
        .map_err(not_read)?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        return Err(Failure::new(
            Kind::Usage,
            format!("{}: others may read this PIN", path.display()),
        )
        .next(format!("chmod 600 {}", path.display())));
    }
    let mut text = Secret::new(std::fs::read_to_string(path).map_err(not_read)?);
    let end = text
        .expose_secret()
        .find(['\r', '\n'])
        .unwrap_or(text.expose_secret().len());
    text.expose_secret_mut().truncate(end);
    Ok(text)
}

/// Opens the token, or says what to do.
pub fn open_token(config: &TokenConfig) -> Result<hsm::Token, Failure> {
    hsm::Token::open(config).map_err(token_failure)
}

/// What opens each token of the configuration.
pub fn token_configs(server: &Server) -> Result<Vec<TokenConfig>, Failure> {
    server.tokens().map(token_config).collect()
}

/// The token of this label, by default the first.
pub fn named<'a>(server: &'a Server, label: Option<&str>) -> Result<&'a Token, Failure> {
    let mut tokens = server.tokens();
    let found = match label {
        Some(label) => tokens.find(|token| token.label == label),
        None => tokens.next(),
    };
    found.ok_or_else(|| {
        Failure::new(
            Kind::NotFound,
            "the configuration has no such [[hsm.token]]",
        )
        .next("name one of its labels")
    })
}

/// Every token, for whoever writes: each must be at hand.
pub fn open_tokens(server: &Server) -> Result<Vec<hsm::Token>, Failure> {
    let alone = server.tokens().count() == 1;
    let opened = server.tokens().map(|token| {
        open_token(&token_config(token)?).map_err(|failure| {
            if alone {
                return failure;
            }
            failure.next(format!(
                "what is written without token {}, it will not open; to go on all the same take \
                 it out of the configuration, and enrol it again later",
                token.label
            ))
        })
    });
    opened.collect()
}

/// The tokens that can be opened, for whoever only looks; one is enough, the others are named.
pub fn open_at_hand(server: &Server) -> Result<Vec<hsm::Token>, Failure> {
    let (mut opened, mut failed) = (Vec::new(), None);
    for token in server.tokens() {
        match token_config(token).and_then(|config| open_token(&config)) {
            Ok(token) => opened.push(token),
            Err(failure) => {
                let (token, cause) = (token.label.as_str(), failure.text());
                tracing::warn!(token, cause, "a token is not at hand");
                failed.get_or_insert(failure);
            }
        }
    }
    match failed {
        Some(failure) if opened.is_empty() => Err(failure),
        _ => Ok(opened),
    }
}

/// A failure of the token, with the exit code 5 and the next step.
pub fn token_failure(error: hsm::Error) -> Failure {
    let next = match (&error, error.class()) {
        (hsm::Error::MasterKeyMissing(_) | hsm::Error::TokenMissing { .. }, _) => {
            Some("run `pintle init`, once, where this token has never been used; else restore it")
        }
        (hsm::Error::PinIncorrect, _) => {
            Some("correct the PIN file before the next try: tokens lock after a few")
        }
        (hsm::Error::TemplateUnsafe(_), _) => Some(
            "`pintle doctor` lists every such key; whoever made it can make it by a safe template",
        ),
        (_, Class::Module) => Some("check [[hsm.token]] in the configuration file"),
        _ => None,
    };
    let kind = match &error {
        hsm::Error::MasterKeyExists(_) => Kind::Conflict,
        _ => Kind::Token,
    };
    let failure = Failure::new(kind, error);
    match next {
        Some(next) => failure.next(next),
        None => failure,
    }
}

/// The async runtime of a server or a command.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?)
}

/// Log lines: JSON for `serve`, plain for people. `RUST_LOG` chooses how much.
pub fn log(json: bool, default: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let set = if json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
    if set.is_err() {
        eprintln!("pintle: a logger was set already");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_timeout_of_the_file_is_the_tokens() {
        let folder = tempfile::tempdir().unwrap();
        let pin = folder.path().join("pin");
        std::fs::write(&pin, "1234\n").unwrap();
        let only_us = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&pin, only_us).unwrap();
        let file = format!(
            "library = \"/m.so\"\nlabel = \"t\"\npin_file = {:?}\ncall_timeout_ms = 1500",
            pin.to_str().unwrap()
        );
        let token: Token = toml::from_str(&file).unwrap();
        let config = token_config(&token).unwrap_or_else(|failure| panic!("{}", failure.text()));
        assert_eq!(config.call_timeout, std::time::Duration::from_millis(1500));
    }
}
