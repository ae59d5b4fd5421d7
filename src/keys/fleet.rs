//! The tokens of one store, and which of them is asked. Each is enrolled: it vouches for the catalogue
//! and has a seal of every record that can leave another.
//!
//! What any of them can do is asked of one that serves, the least busy; where that fails and another
//! may not, of the next. What must be known to all is asked of every one. The first makes the keys
//! that stay in a token. A place whose token is away, or does not open this store, is empty until it
//! does (`keys::recruit`).

use std::fmt::Write;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::timeout_at;

use crate::hsm::{self, Standing, Token, TokenConfig, TokenId};
use crate::keys::error::Error;
use crate::limits;

/// The tokens of one store. Clones share them.
#[derive(Clone)]
pub struct Fleet(Arc<[Place]>, Arc<AtomicUsize>);

/// One token of the configuration.
pub(in crate::keys) struct Place {
    label: String,
    /// It opens this store, and so is used.
    token: OnceLock<Token>,
    waiting: Mutex<Waiting>,
}

/// A token that is not used.
#[derive(Default)]
struct Waiting {
    /// What opens it; none where it is used from the beginning.
    config: Option<TokenConfig>,
    /// It is being opened.
    opening: bool,
    /// It is open, and not known to be this store's.
    token: Option<Token>,
    /// Why it is not used.
    why: Option<Error>,
}

impl Fleet {
    /// Tokens that are open and are all used. The first makes the keys that stay in a token.
    pub fn of(first: Token, others: Vec<Token>) -> Self {
        let places = std::iter::once(first).chain(others).map(|token| Place {
            label: token.info().label.clone(),
            token: OnceLock::from(token),
            waiting: Mutex::default(),
        });
        Self(places.collect(), Arc::default())
    }

    /// Tokens that are yet to be opened: none is used until a catalogue is opened with them.
    pub fn recruits(configs: Vec<TokenConfig>) -> Self {
        let places = configs.into_iter().map(|config| Place {
            label: config.label.clone(),
            token: OnceLock::new(),
            waiting: Mutex::new(Waiting {
                config: Some(config),
                ..Waiting::default()
            }),
        });
        Self(places.collect(), Arc::default())
    }

    /// The tokens that are used, the first of the configuration first.
    pub fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.0.iter().filter_map(|place| place.token.get())
    }

    /// The token of this id, where it is used.
    pub fn at_hand(&self, id: TokenId) -> Option<&Token> {
        self.tokens().find(|token| token.id() == id)
    }

    /// The token of this label, where it is used.
    pub fn labelled(&self, label: &str) -> Option<&Token> {
        let mut places = self.0.iter();
        places
            .find(|place| place.label == label)
            .and_then(|place| place.token.get())
    }

    /// The token that makes the keys that stay in one.
    ///
    /// # Errors
    /// [`Error::TokenAway`] while it does not serve.
    pub fn first(&self) -> Result<&Token, Error> {
        let place = self.0.first().ok_or(hsm::Error::Abandoned)?;
        place.serving()
    }

    /// Nothing, where no place is empty; else why the first of them is.
    pub(in crate::keys) fn vacancy(&self) -> Option<Error> {
        let empty = self.0.iter().find(|place| place.token.get().is_none());
        empty.map(Place::away)
    }

    /// Refuses while one of the tokens that are used does not serve: what one does not vouch for
    /// shuts it out.
    pub(in crate::keys) fn all_serve(&self) -> Result<(), Error> {
        let mut used = self.0.iter().filter(|place| place.token.get().is_some());
        used.try_for_each(|place| place.serving().map(drop))
    }

    /// Why no key is used, those that are open included: every token refuses, as one does that was
    /// made anew behind us. One that is only away is expected back.
    pub fn refusal(&self) -> Option<Error> {
        let mut refusal = None;
        for place in &*self.0 {
            // One that was never used here is not counted upon.
            let Some(token) = place.token.get() else {
                continue;
            };
            match token.standing() {
                Standing::Refusing(why) => {
                    refusal.get_or_insert_with(|| place.because(hsm::Error::Unavailable(why)));
                }
                Standing::Serving | Standing::Away(_) => return None,
            }
        }
        refusal
    }

    /// Does something real with each token that is used: a seal and its opening. One that works is
    /// enough.
    ///
    /// # Errors
    /// [`Error::NoTokenServes`], which says of each why.
    pub async fn probe(&self, deadline: Instant) -> Result<(), Error> {
        let mut probes = JoinSet::new();
        for token in self.tokens() {
            let (id, probe) = (token.id(), token.probe(deadline));
            probes.spawn(async move { (id, probe.await) });
        }
        let mut failed = Vec::new();
        while let Some(probed) = probes.join_next().await {
            match probed {
                Ok((_, Ok(()))) => return Ok(()),
                Ok((id, Err(error))) => failed.push((id, error)),
                Err(_) => {}
            }
        }
        let mut reasons = String::new();
        for place in &*self.0 {
            let id = place.token.get().map(Token::id);
            let error = failed.iter().find(|(failed, _)| Some(*failed) == id);
            let why = match error {
                Some((_, error)) => place.because(error.clone()),
                None => place.away(),
            };
            let separator = if reasons.is_empty() { "" } else { "; " };
            // A string takes whatever is written.
            let _ = write!(reasons, "{separator}{why}");
        }
        Err(Error::NoTokenServes { reasons })
    }

    /// Random bytes of one that serves.
    ///
    /// # Errors
    /// What the tokens answered.
    pub async fn random(&self, deadline: Instant, len: usize) -> Result<Vec<u8>, hsm::Error> {
        self.any(|_| true, |token| token.random(deadline, len))
            .await
    }

    /// Asks one token that can, and where it fails as another may not, the next.
    pub(in crate::keys) async fn any<T, J>(
        &self,
        can: impl Fn(&Token) -> bool,
        ask: impl Fn(&Token) -> J,
    ) -> Result<T, hsm::Error>
    where
        J: Future<Output = Result<T, hsm::Error>>,
    {
        let mut failed = None;
        for token in self.by_load(can) {
            match ask(token).await {
                Err(error) if error.may_try_another() => {
                    failed.get_or_insert(error);
                }
                answer => return answer,
            }
        }
        Err(failed.unwrap_or(hsm::Error::Abandoned))
    }

    /// Asks every token at once; at least one must answer. The others are waited for as long as
    /// `patience` after the first.
    pub(in crate::keys) async fn every<T, J>(
        &self,
        patience: Duration,
        ask: impl Fn(&Token) -> J,
    ) -> Result<Vec<(TokenId, T)>, hsm::Error>
    where
        T: Send + 'static,
        J: Future<Output = Result<T, hsm::Error>> + Send + 'static,
    {
        let mut tokens = self.tokens();
        if let (Some(token), None) = (tokens.next(), tokens.next()) {
            return Ok(vec![(token.id(), ask(token).await?)]);
        }
        let mut asked = JoinSet::new();
        for token in self.tokens() {
            let (id, job) = (token.id(), ask(token));
            asked.spawn(async move { (id, job.await) });
        }
        let (mut answers, mut failed) = (Vec::new(), None);
        let mut until = Instant::now() + limits::COMMAND_TOKEN_WAIT;
        while let Ok(Some(answer)) = timeout_at(until.into(), asked.join_next()).await {
            match answer {
                Ok((id, Ok(answer))) => {
                    if answers.is_empty() {
                        until = Instant::now() + patience;
                    }
                    answers.push((id, answer));
                }
                Ok((_, Err(error))) if error.may_try_another() => failed = Some(error),
                Ok((_, Err(error))) => return Err(error),
                Err(_) => {}
            }
        }
        if answers.is_empty() {
            return Err(failed.unwrap_or(hsm::Error::Abandoned));
        }
        Ok(answers)
    }

    /// The tokens that can, in the order in which they are to be asked: those that serve, the least
    /// busy first and among equals each in turn; then the others, which say at once why not.
    pub(in crate::keys) fn by_load(&self, can: impl Fn(&Token) -> bool) -> Vec<&Token> {
        let mut tokens: Vec<_> = self.tokens().filter(|token| can(token)).collect();
        if tokens.len() > 1 {
            let turn = self.1.fetch_add(1, Ordering::Relaxed) % tokens.len();
            tokens.rotate_left(turn);
            tokens.sort_by_cached_key(|token| {
                let serves = matches!(token.standing(), Standing::Serving);
                (!serves, token.load())
            });
        }
        tokens
    }

    pub(in crate::keys) fn places(&self) -> &[Place] {
        &self.0
    }
}

impl Place {
    /// What the configuration calls its token.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Whether its token is used.
    pub fn is_filled(&self) -> bool {
        self.token.get().is_some()
    }

    /// Uses a token from now on.
    pub fn fill(&self, token: Token) {
        // Only one looks after a place.
        let _ = self.token.set(token);
        *self.waiting() = Waiting::default();
    }

    /// What opens its token.
    pub fn config(&self) -> Option<TokenConfig> {
        self.waiting().config.clone()
    }

    /// Its token, where that is open and not used yet.
    pub fn candidate(&self) -> Option<Token> {
        self.waiting().token.clone()
    }

    /// Why it is empty, if that is known.
    pub fn why(&self) -> Option<Error> {
        let waiting = self.waiting();
        let hangs = waiting.opening.then_some(hsm::Error::Hung.into());
        waiting.why.clone().or(hangs)
    }

    /// Whether its token is to be opened now, by whoever asks: not while somebody does, nor with a PIN
    /// that was refused.
    pub fn begin_opening(&self) -> bool {
        let mut waiting = self.waiting();
        let refused = |why: &Error| {
            matches!(
                why,
                Error::TokenUnavailable(hsm::Error::PinIncorrect | hsm::Error::PinLocked)
            )
        };
        let begins = !waiting.opening
            && waiting.token.is_none()
            && !waiting.why.as_ref().is_some_and(refused);
        waiting.opening |= begins;
        begins
    }

    /// Its token is open, and not known to be this store's.
    pub fn opened(&self, token: Token) {
        let mut waiting = self.waiting();
        waiting.opening = false;
        waiting.token = Some(token);
    }

    /// Notes why it is empty; tells whether that is news.
    pub fn stays_empty(&self, why: Error) -> bool {
        let mut waiting = self.waiting();
        waiting.opening = false;
        let before = waiting.why.replace(why).map(|why| why.to_string());
        before != waiting.why.as_ref().map(ToString::to_string)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serving(&self) -> Result<&Token, Error> {
        match self.token.get() {
            None => Err(self.away()),
            Some(token) => match token.standing() {
                Standing::Serving => Ok(token),
                Standing::Away(why) | Standing::Refusing(why) => {
                    Err(self.because(hsm::Error::Unavailable(why)))
                }
            },
        }
    }

    /// Why it is empty, under its name.
    fn away(&self) -> Error {
        let why = self.why();
        Error::TokenAway {
            token: self.label.clone(),
            why: Arc::new(why.unwrap_or_else(|| hsm::Error::Abandoned.into())),
        }
    }

    fn because(&self, why: hsm::Error) -> Error {
        Error::TokenAway {
            token: self.label.clone(),
            why: Arc::new(Error::TokenUnavailable(why)),
        }
    }
}
