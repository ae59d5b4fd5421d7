//! A desk to work at: a store beside a token, a catalogue over both, and a hand in the file that
//! goes past all of our code.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pintle::hsm::Token;
use pintle::keys::attributes::Environment;
use pintle::keys::catalogue::{Catalogue, CatalogueOptions};
use pintle::keys::error::{Error, Refusal};
use pintle::keys::key_ref::{KeyName, NamedKey};
use pintle::keys::open_key::OpenKey;
use pintle::keys::policy::CallerScope;
use pintle::keys::provision;
use pintle::keys::template::Template;
use pintle::store::Store;
use tokio::runtime::Runtime;

use crate::place::Place;

pub struct Desk {
    pub runtime: Runtime,
    pub token: Token,
    pub path: PathBuf,
    pub catalogue: Catalogue,
}

impl Desk {
    /// A new token and an empty store of test keys.
    pub fn set_up(place: &Place) -> Self {
        place.initialize();
        Self::at(place)
    }

    /// The token and the store that are there.
    pub fn at(place: &Place) -> Self {
        Self::of(place, &Token::open(&place.config()).unwrap())
    }

    /// The store that is there, by this token.
    pub fn of(place: &Place, token: &Token) -> Self {
        let token = token.clone();
        let path = place.folder.join("store.db");
        let catalogue = open(&path, &token, Environment::Test);
        Self {
            runtime: Runtime::new().unwrap(),
            token,
            path,
            catalogue,
        }
    }

    /// With the keys of `keys-template/dev.toml`.
    pub fn with_dev_keys(place: &Place) -> Self {
        let desk = Self::set_up(place);
        desk.apply(&dev_template()).unwrap();
        desk
    }

    pub fn apply(&self, template: &Template) -> Result<provision::Plan, Error> {
        self.runtime
            .block_on(provision::apply(&self.catalogue, template, &tenant()))
    }

    pub fn plan(&self, template: &Template) -> Result<provision::Plan, Error> {
        self.runtime
            .block_on(provision::plan(&self.catalogue, template, &tenant()))
    }

    /// Another catalogue over the same store, which has nothing open yet.
    pub fn fresh(&self) -> Catalogue {
        open(&self.path, &self.token, Environment::Test)
    }

    pub fn resolve(&self, catalogue: &Catalogue, name: &str) -> Result<Arc<OpenKey>, Error> {
        self.resolve_version(catalogue, name, 0)
    }

    pub fn resolve_version(
        &self,
        catalogue: &Catalogue,
        name: &str,
        version: u32,
    ) -> Result<Arc<OpenKey>, Error> {
        let key = NamedKey::parse(name, version).unwrap();
        self.runtime
            .block_on(catalogue.resolve(&everything(), &key, soon()))
    }

    /// Who names a refused record, in a listing.
    pub fn refused(&self, catalogue: &Catalogue) -> Vec<String> {
        let listed = self.runtime.block_on(catalogue.list(None, soon())).unwrap();
        listed
            .iter()
            .filter_map(|row| match &row.header {
                Err(Error::RecordRefused { name, .. }) => Some(name.clone()),
                Err(error) => panic!("{error}"),
                Ok(_) => None,
            })
            .collect()
    }

    /// The file, as somebody has it who goes past our code.
    pub fn file(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(&self.path).unwrap()
    }
}

pub fn open(path: &Path, token: &Token, environment: Environment) -> Catalogue {
    let store = Store::open(path).unwrap();
    Catalogue::open(store, token.clone(), CatalogueOptions::new(environment)).unwrap()
}

pub fn dev_template() -> Template {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/keys-template/dev.toml");
    Template::read(Path::new(path)).unwrap()
}

pub fn template(text: &str) -> Template {
    Template::parse(Path::new("keys.toml"), text).unwrap()
}

pub fn tenant() -> KeyName {
    KeyName::parse("default").unwrap()
}

pub fn everything() -> CallerScope {
    CallerScope::new("default", ["*"]).unwrap()
}

pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// The key that a refusal names, and why its record is refused.
pub fn named(error: &Error) -> Option<(&str, Refusal)> {
    match error {
        Error::RecordRefused { name, why, .. } => Some((name, *why)),
        _ => None,
    }
}

/// The error of something that must not succeed; open keys have no `Debug`.
pub fn refusal<T>(result: Result<T, Error>) -> Error {
    match result {
        Ok(_) => panic!("this must be refused"),
        Err(error) => error,
    }
}
