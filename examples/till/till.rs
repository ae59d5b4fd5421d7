//! A till that sells by Alipay and Huabei, whatever happens on the way: every trade ends paid or
//! cancelled, at the till as at Alipay, and the same number is never used for another try.
//!
//! The rules it lives by: what cannot be signed was not sent, and is given up. What was sent and not
//! answered is queried. What is still not paid at the last query is cancelled at once, until Alipay
//! says that it is. Every step is in the journal before it is taken, and a till that starts again
//! takes up what its journal left open.

pub mod alipay;
pub mod book;
pub mod card;
pub mod http;
pub mod journal;
pub mod notification;
pub mod pin_pad;
pub mod receipt;
pub mod refund;
mod sale;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pintle::client::Client;
use serde_json::Value;
use tokio::sync::Notify;

use alipay::{Alipay, Answer, App, Silence};
use book::{Account, Book, State, Word};
use http::Listener;
use journal::{How, Instalments, Journal, Record};

/// What a till is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The app, and both keys.
    pub app: App,
    /// The first letters of every trade's number.
    pub terminal: String,
    /// Where the journal is.
    pub journal: PathBuf,
    /// Between two queries: 3 to 5 s in a shop.
    pub poll: Duration,
    /// How many queries, before the till gives up and cancels.
    pub queries: u32,
    /// How often a cancel or a refund is sent again, before the till leaves it to the next start.
    pub tries: u32,
    /// The port for notifications; 0 takes a free one.
    pub notify_port: u16,
    /// A till that does not cancel, to show that the books see it.
    pub danger_never_cancels: bool,
}

/// A sale to make.
#[derive(Clone, Debug)]
pub struct Sale {
    /// The amount in fen.
    pub fen: u64,
    /// What it is for; without `/`, `=` and `&`, which Alipay does not take in a subject.
    pub subject: String,
    /// Huabei's instalments.
    pub instalments: Option<Instalments>,
}

/// How a sale ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Paid.
    Paid,
    /// Cancelled: the customer has paid nothing, or has it back.
    Cancelled,
    /// Given up before anything was sent.
    Aborted,
    /// Nobody knows yet; the next start of the till takes it up.
    Open,
}

/// Why a till stops in the middle.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The journal cannot be written: without it nothing may be sent.
    #[error("the journal cannot be written")]
    Journal(#[from] io::Error),
    /// The power has failed, say the stories.
    #[error("the power has failed at `{0}`")]
    Power(&'static str),
}

/// Asked between any two steps whether the power fails there. In a shop nobody asks.
pub type Power = Arc<dyn Fn(&'static str) -> bool + Send + Sync>;

/// The till.
pub struct Till {
    settings: Settings,
    alipay: Alipay,
    shared: Arc<Shared>,
    power: Power,
    listener: Listener,
}

/// What a sale and the listener both see.
struct Shared {
    inner: Mutex<Inner>,
    news: Notify,
}

struct Inner {
    journal: Journal,
    book: Book,
    account: Account,
}

impl Till {
    /// Opens the journal and listens for notifications. [`Self::recover`] comes next.
    ///
    /// # Errors
    /// A journal that cannot be read, or a port that is taken.
    pub async fn open(settings: Settings, pintle: Client, power: Power) -> Result<Self, Fault> {
        let (journal, records) = Journal::open(&settings.journal)?;
        let shared = Arc::new(Shared {
            inner: Mutex::new(Inner {
                journal,
                book: Book::replay(&records),
                account: Account::default(),
            }),
            news: Notify::new(),
        });
        let alipay = Alipay::new(settings.app.clone(), pintle);
        let (own, way) = (Arc::clone(&shared), alipay.clone());
        let listener = Listener::start(settings.notify_port, move |form| {
            let (own, way) = (Arc::clone(&own), way.clone());
            async move { own.heard(&way, &form).await }
        });
        Ok(Self {
            listener: listener.await?,
            settings,
            alipay,
            shared,
            power,
        })
    }

    /// Takes up what the journal left open, trade by trade, and answers how each ended.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn recover(&self) -> Result<Vec<(String, End)>, Fault> {
        let book = self.book();
        let mut ends = Vec::new();
        for (no, trade) in book.trades() {
            if !trade.state.is_final() {
                ends.push((no.clone(), self.take_up(no, &trade.state).await?));
            }
        }
        for (no, trade) in self.book().trades() {
            for (request, refund) in &trade.refunds {
                if refund.done.is_none() {
                    self.finish_refund(no, request, refund.fen).await?;
                }
            }
        }
        Ok(ends)
    }

    /// The till's book.
    pub fn book(&self) -> Book {
        self.shared.inner().book.clone()
    }

    /// What Alipay has told since the till was opened.
    pub fn account(&self) -> Account {
        self.shared.inner().account.clone()
    }

    /// Answers and notifications that Pintle has found to be Alipay's.
    pub fn verified(&self) -> u32 {
        self.alipay.counts().0
    }

    /// Answers and notifications that were somebody else's.
    pub fn refused(&self) -> u32 {
        self.alipay.counts().1
    }

    fn notify_url(&self) -> String {
        format!("http://{}/notify", self.listener.address)
    }

    /// Takes a number that was never used.
    fn take_number(&self, how: How, sale: &Sale) -> Result<String, Fault> {
        let count = self.shared.inner().book.trades().count();
        let no = format!("{}{:06}", self.settings.terminal, count + 1);
        self.shared.record(&Record::Opened {
            no: no.clone(),
            how,
            fen: sale.fen,
            instalments: sale.instalments,
        })?;
        Ok(no)
    }

    /// One call of which nobody minds whether it is signed: a query, or a cancel to be tried again.
    async fn call(&self, method: &str, content: &Value) -> Result<Answer, Silence> {
        let signed = self.alipay.sign(method, content, "").await;
        self.alipay
            .send(signed.map_err(|_| Silence::NoAnswer)?)
            .await
    }

    /// Between two steps.
    fn step(&self, name: &'static str) -> Result<(), Fault> {
        if (self.power)(name) {
            return Err(Fault::Power(name));
        }
        Ok(())
    }

    fn state(&self, no: &str) -> Option<State> {
        let inner = self.shared.inner();
        inner.book.trade(no).map(|trade| trade.state.clone())
    }
}

impl Shared {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Journal first, then the book; answers whether the trade stood where the step begins.
    fn record(&self, record: &Record) -> Result<bool, Fault> {
        let mut inner = self.inner();
        if !inner.book.fits(record) {
            return Ok(false);
        }
        inner.journal.append(record)?;
        Ok(inner.book.apply(record))
    }

    fn hear(&self, no: &str, word: Word) {
        self.inner().account.hear(no, word);
    }

    /// A notification; answers whether Alipay may stop repeating it. However often it comes, it
    /// changes a trade once, and never one that is being cancelled.
    async fn heard(&self, alipay: &Alipay, form: &[u8]) -> bool {
        let told = alipay.read_notification(form).await.filter(|told| {
            let inner = self.inner();
            inner
                .book
                .trade(&told.no)
                .is_some_and(|trade| trade.fen == told.total)
        });
        let Some(told) = told else {
            return false;
        };
        let closed = told.status == "TRADE_CLOSED";
        let word = Word {
            paid: told.total,
            refunded: told.refunded,
            closed,
        };
        self.hear(&told.no, word);
        let paid = ["TRADE_SUCCESS", "TRADE_FINISHED"].contains(&told.status.as_str());
        let done = !paid
            || self
                .record(&Record::Paid {
                    no: told.no,
                    trade_no: told.trade_no,
                    huabei: told.huabei,
                })
                .is_ok();
        self.news.notify_waiters();
        done
    }
}
