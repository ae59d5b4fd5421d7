//! What the till believes of each trade, from its journal alone; and what Alipay has told, from
//! answers and notifications whose signature was right.

use std::collections::BTreeMap;

use super::journal::{How, Instalments, Record};

/// Where a trade stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing was sent.
    Opened,
    /// Alipay may know of it.
    Sent,
    /// Paid.
    Paid,
    /// To be cancelled, come what may.
    Cancelling,
    /// Closed or paid back at Alipay.
    Cancelled,
    /// Given up before anything was sent.
    Aborted,
}

impl State {
    /// Whether a till may go home on it.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Paid | Self::Cancelled | Self::Aborted)
    }
}

/// A trade.
#[derive(Clone, Debug)]
pub struct Trade {
    /// How the customer pays.
    pub how: How,
    /// The amount in fen.
    pub fen: u64,
    /// Instalments.
    pub instalments: Option<Instalments>,
    /// Where it stands.
    pub state: State,
    /// Alipay's number, once paid.
    pub trade_no: String,
    /// Whether Huabei paid it.
    pub huabei: bool,
    /// By `out_request_no`.
    pub refunds: BTreeMap<String, Refund>,
}

/// A refund.
#[derive(Clone, Copy, Debug)]
pub struct Refund {
    /// The amount in fen.
    pub fen: u64,
    /// What Alipay has said: yes, no, or nothing yet.
    pub done: Option<bool>,
}

impl Trade {
    /// What the shop has of it, in fen.
    pub fn kept(&self) -> u64 {
        match self.state {
            State::Paid => self
                .fen
                .saturating_sub(self.back(|done| done == Some(true))),
            _ => 0,
        }
    }

    /// The sum of the refunds of which `counts` holds, in fen.
    fn back(&self, counts: impl Fn(Option<bool>) -> bool) -> u64 {
        let counted = self.refunds.values().filter(|refund| counts(refund.done));
        counted.map(|refund| refund.fen).sum()
    }
}

/// The till's book.
#[derive(Clone, Debug, Default)]
pub struct Book {
    trades: BTreeMap<String, Trade>,
}

impl Book {
    /// Replays a journal.
    pub fn replay(records: &[Record]) -> Self {
        let mut book = Self::default();
        for record in records {
            book.apply(record);
        }
        book
    }

    /// Takes a step, if the trade stands where the step begins; answers whether it did.
    pub fn apply(&mut self, record: &Record) -> bool {
        let fits = self.fits(record);
        if !fits {
            return false;
        }
        if let Record::Opened {
            no,
            how,
            fen,
            instalments,
        } = record
        {
            let trade = Trade {
                how: *how,
                fen: *fen,
                instalments: *instalments,
                state: State::Opened,
                trade_no: String::new(),
                huabei: false,
                refunds: BTreeMap::new(),
            };
            self.trades.insert(no.clone(), trade);
            return true;
        }
        let Some(trade) = self.trades.get_mut(record.no()) else {
            return false;
        };
        match record {
            Record::Opened { .. } => {}
            Record::Sent { .. } => trade.state = State::Sent,
            Record::Paid {
                trade_no, huabei, ..
            } => {
                trade.state = State::Paid;
                trade.huabei = *huabei;
                trade.trade_no.clone_from(trade_no);
            }
            Record::Cancelling { .. } => trade.state = State::Cancelling,
            Record::Cancelled { .. } => trade.state = State::Cancelled,
            Record::Aborted { .. } => trade.state = State::Aborted,
            Record::Refunding { request, fen, .. } => {
                let refund = Refund {
                    fen: *fen,
                    done: None,
                };
                trade.refunds.insert(request.clone(), refund);
            }
            Record::Refunded { request, .. } | Record::RefundRefused { request, .. } => {
                let done = matches!(record, Record::Refunded { .. });
                if let Some(refund) = trade.refunds.get_mut(request) {
                    refund.done = Some(done);
                }
            }
        }
        true
    }

    /// Whether a step may be taken now.
    pub fn fits(&self, record: &Record) -> bool {
        let trade = self.trades.get(record.no());
        let state = trade.map(|trade| &trade.state);
        match record {
            Record::Opened { .. } => state.is_none(),
            Record::Sent { .. } | Record::Aborted { .. } => state == Some(&State::Opened),
            Record::Paid { .. } | Record::Cancelling { .. } => state == Some(&State::Sent),
            Record::Cancelled { .. } => matches!(state, Some(State::Cancelling | State::Sent)),
            Record::Refunding { request, fen, .. } => trade.is_some_and(|trade| {
                let room = trade
                    .fen
                    .saturating_sub(trade.back(|done| done != Some(false)));
                trade.state == State::Paid && *fen <= room && !trade.refunds.contains_key(request)
            }),
            Record::Refunded { request, .. } | Record::RefundRefused { request, .. } => trade
                .and_then(|trade| trade.refunds.get(request))
                .is_some_and(|refund| refund.done.is_none()),
        }
    }

    /// One trade.
    pub fn trade(&self, no: &str) -> Option<&Trade> {
        self.trades.get(no)
    }

    /// Every trade.
    pub fn trades(&self) -> impl Iterator<Item = (&String, &Trade)> {
        self.trades.iter()
    }

    /// Whether nothing is left to be taken up.
    pub fn is_settled(&self) -> bool {
        let mut trades = self.trades.values();
        trades.all(|trade| {
            trade.state.is_final() && trade.refunds.values().all(|refund| refund.done.is_some())
        })
    }

    /// What the shop has, in fen.
    pub fn kept(&self) -> u64 {
        self.trades.values().map(Trade::kept).sum()
    }
}

/// What Alipay has said of one trade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// Paid so much, in fen.
    pub paid: u64,
    /// So much of it paid back.
    pub refunded: u64,
    /// Closed, whatever was paid before.
    pub closed: bool,
}

impl Word {
    /// What the shop has of it, in fen.
    pub fn kept(&self) -> u64 {
        if self.closed {
            0
        } else {
            self.paid.saturating_sub(self.refunded)
        }
    }
}

/// What Alipay has said, by `out_trade_no`. Words come twice and in any order: closed stays closed,
/// and what was paid back is never less.
#[derive(Clone, Debug, Default)]
pub struct Account {
    words: BTreeMap<String, Word>,
}

impl Account {
    /// A word of Alipay's.
    pub fn hear(&mut self, no: &str, word: Word) {
        let known = self.words.entry(no.to_owned()).or_default();
        known.paid = known.paid.max(word.paid);
        known.refunded = known.refunded.max(word.refunded);
        known.closed |= word.closed;
    }

    /// What another till life has heard.
    pub fn join(&mut self, other: &Self) {
        for (no, word) in &other.words {
            self.hear(no, *word);
        }
    }

    /// What the shop has of one trade, in fen.
    pub fn kept(&self, no: &str) -> u64 {
        self.words.get(no).map_or(0, Word::kept)
    }
}
