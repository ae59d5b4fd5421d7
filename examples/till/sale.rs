//! A sale from its number to its end.

use serde_json::{Map, Value, json};

use super::alipay::{Answer, Signed, Silence, yuan};
use super::book::{State, Word};
use super::journal::{How, Record};
use super::{End, Fault, Sale, Till};

/// A QR code that is on the screen.
#[derive(Clone, Debug)]
pub struct Offer {
    /// `out_trade_no`.
    pub no: String,
    /// What the customer scans.
    pub qr_code: String,
}

/// What Alipay said of a trade.
enum Said {
    Paid { trade_no: String, huabei: bool },
    Closed,
    Waits,
    Refused,
    Unknown,
}

impl Till {
    /// The till scans the customer's code: paid at once, or the customer types a password, or
    /// nobody knows. Answers the number and the end.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn sell_by_scan(&self, sale: &Sale, auth_code: &str) -> Result<(String, End), Fault> {
        let no = self.take_number(How::Scan, sale)?;
        self.step("pay: numbered")?;
        let mut content = self.content(&no, sale);
        content.insert("scene".to_owned(), json!("bar_code"));
        content.insert("auth_code".to_owned(), json!(auth_code));
        let Some(signed) = self.sign_or_abort(&no, "alipay.trade.pay", content).await? else {
            return Ok((no, End::Aborted));
        };
        self.shared.record(&Record::Sent { no: no.clone() })?;
        self.step("pay: sent")?;
        let answer = self.alipay.send(signed).await;
        self.step("pay: answered")?;
        let end = match self.said(&no, sale.fen, answer, true) {
            Said::Paid { trade_no, huabei } => self.paid(&no, trade_no, huabei)?,
            Said::Refused => self.cancel(&no).await?,
            Said::Closed | Said::Waits | Said::Unknown => self.collect_trade(&no, sale.fen).await?,
        };
        Ok((no, end))
    }

    /// Asks for a QR code. Without one the trade is over already, and its end is answered.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn offer(&self, sale: &Sale) -> Result<Result<Offer, (String, End)>, Fault> {
        let no = self.take_number(How::Qr, sale)?;
        self.step("precreate: numbered")?;
        for attempt in 0..self.settings.tries {
            let content = self.content(&no, sale);
            let signed = match attempt {
                0 => {
                    self.sign_or_abort(&no, "alipay.trade.precreate", content)
                        .await?
                }
                // Something may have been sent: giving up is no longer safe, trying again is.
                _ => self.sign("alipay.trade.precreate", content).await,
            };
            let Some(signed) = signed else {
                if self.state(&no) == Some(State::Aborted) {
                    return Ok(Err((no, End::Aborted)));
                }
                tokio::time::sleep(self.settings.poll).await;
                continue;
            };
            self.shared.record(&Record::Sent { no: no.clone() })?;
            self.step("precreate: sent")?;
            let answer = self.alipay.send(signed).await;
            self.step("precreate: answered")?;
            match answer {
                Ok(answer) if answer.code() == "10000" && !answer.text("qr_code").is_empty() => {
                    let qr_code = answer.text("qr_code").to_owned();
                    return Ok(Ok(Offer { no, qr_code }));
                }
                Ok(answer) if answer.code() == "40004" => break,
                _ => tokio::time::sleep(self.settings.poll).await,
            }
        }
        let end = self.cancel(&no).await?;
        Ok(Err((no, end)))
    }

    /// Waits until the customer has paid what is on the screen, or cancels it.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn collect(&self, offer: &Offer) -> Result<End, Fault> {
        let book = self.book();
        let fen = book.trade(&offer.no).map_or(0, |trade| trade.fen);
        self.collect_trade(&offer.no, fen).await
    }

    /// What a start of the till does with a trade that its journal left open: the customer has gone,
    /// so there is one query, and then the cancel.
    pub(super) async fn take_up(&self, no: &str, state: &State) -> Result<End, Fault> {
        match state {
            State::Opened => {
                self.shared.record(&Record::Aborted { no: no.to_owned() })?;
                Ok(End::Aborted)
            }
            State::Sent => {
                let fen = self.book().trade(no).map_or(0, |trade| trade.fen);
                match self.query(no, fen).await {
                    Said::Paid { trade_no, huabei } => self.paid(no, trade_no, huabei),
                    _ => self.cancel(no).await,
                }
            }
            State::Cancelling => self.cancel_until_done(no).await,
            State::Paid => Ok(End::Paid),
            State::Cancelled => Ok(End::Cancelled),
            State::Aborted => Ok(End::Aborted),
        }
    }

    /// Queries until it is paid, closed, or enough.
    async fn collect_trade(&self, no: &str, fen: u64) -> Result<End, Fault> {
        for _ in 0..self.settings.queries {
            // Whoever is told first ends the wait: the clock or a notification.
            let _ = tokio::time::timeout(self.settings.poll, self.shared.news.notified()).await;
            if self.state(no) == Some(State::Paid) {
                return Ok(End::Paid);
            }
            self.step("query: due")?;
            let said = self.query(no, fen).await;
            self.step("query: answered")?;
            match said {
                Said::Paid { trade_no, huabei } => return self.paid(no, trade_no, huabei),
                Said::Closed => {
                    self.shared
                        .record(&Record::Cancelled { no: no.to_owned() })?;
                    return Ok(End::Cancelled);
                }
                Said::Waits | Said::Refused | Said::Unknown => {}
            }
        }
        self.cancel(no).await
    }

    async fn query(&self, no: &str, fen: u64) -> Said {
        let content = json!({"out_trade_no": no});
        let answer = self.call("alipay.trade.query", &content).await;
        self.said(no, fen, answer, false)
    }

    /// Decides to cancel; what was paid in the meantime is paid.
    async fn cancel(&self, no: &str) -> Result<End, Fault> {
        if self.settings.danger_never_cancels {
            return Ok(End::Open);
        }
        if !self
            .shared
            .record(&Record::Cancelling { no: no.to_owned() })?
        {
            return Ok(match self.state(no) {
                Some(State::Paid) => End::Paid,
                _ => End::Open,
            });
        }
        self.step("cancel: decided")?;
        self.cancel_until_done(no).await
    }

    async fn cancel_until_done(&self, no: &str) -> Result<End, Fault> {
        for _ in 0..self.settings.tries {
            let content = json!({"out_trade_no": no});
            let answer = self.call("alipay.trade.cancel", &content).await;
            self.step("cancel: answered")?;
            let done = answer.is_ok_and(|answer| {
                let about = answer.text("out_trade_no") == no;
                about && answer.code() == "10000" && answer.text("retry_flag") != "Y"
            });
            if done {
                let word = Word {
                    closed: true,
                    ..Word::default()
                };
                self.shared.hear(no, word);
                self.shared
                    .record(&Record::Cancelled { no: no.to_owned() })?;
                return Ok(End::Cancelled);
            }
            tokio::time::sleep(self.settings.poll).await;
        }
        Ok(End::Open)
    }

    fn paid(&self, no: &str, trade_no: String, huabei: bool) -> Result<End, Fault> {
        let no = no.to_owned();
        self.shared.record(&Record::Paid {
            no,
            trade_no,
            huabei,
        })?;
        Ok(End::Paid)
    }

    /// Reads an answer to pay or query. One about another trade, or another amount, says nothing.
    fn said(&self, no: &str, fen: u64, answer: Result<Answer, Silence>, pay: bool) -> Said {
        let Ok(answer) = answer else {
            return Said::Unknown;
        };
        match answer.code() {
            "10000" if answer.text("out_trade_no") == no => {}
            "10003" => return Said::Waits,
            "40004" if answer.text("sub_code") != "ACQ.SYSTEM_ERROR" => return Said::Refused,
            _ => return Said::Unknown,
        }
        let status = if pay {
            "TRADE_SUCCESS"
        } else {
            answer.text("trade_status")
        };
        match status {
            "TRADE_SUCCESS" | "TRADE_FINISHED" if answer.fen("total_amount") == Some(fen) => {
                let word = Word {
                    paid: fen,
                    ..Word::default()
                };
                self.shared.hear(no, word);
                Said::Paid {
                    trade_no: answer.text("trade_no").to_owned(),
                    huabei: answer.by_huabei(),
                }
            }
            "TRADE_CLOSED" => {
                let word = Word {
                    closed: true,
                    ..Word::default()
                };
                self.shared.hear(no, word);
                Said::Closed
            }
            "WAIT_BUYER_PAY" => Said::Waits,
            _ => Said::Unknown,
        }
    }

    /// Signs the first request of a trade, or gives the trade up: nothing was sent.
    async fn sign_or_abort(
        &self,
        no: &str,
        method: &str,
        content: Map<String, Value>,
    ) -> Result<Option<Signed>, Fault> {
        let signed = self.sign(method, content).await;
        if signed.is_none() {
            self.shared.record(&Record::Aborted { no: no.to_owned() })?;
        }
        self.step("signed")?;
        Ok(signed)
    }

    async fn sign(&self, method: &str, content: Map<String, Value>) -> Option<Signed> {
        let content = Value::Object(content);
        let signed = self.alipay.sign(method, &content, &self.notify_url()).await;
        signed.ok()
    }

    fn content(&self, no: &str, sale: &Sale) -> Map<String, Value> {
        let mut content = Map::new();
        for (name, value) in [
            ("out_trade_no", no),
            ("total_amount", &yuan(sale.fen)),
            ("subject", &sale.subject),
            ("product_code", "FACE_TO_FACE_PAYMENT"),
            ("terminal_id", &self.settings.terminal),
        ] {
            content.insert(name.to_owned(), json!(value));
        }
        if let Some(instalments) = sale.instalments {
            let percent = if instalments.shop_pays_fee {
                "100"
            } else {
                "0"
            };
            let extend = json!({
                "hb_fq_num": instalments.number.to_string(), "hb_fq_seller_percent": percent,
            });
            content.insert("extend_params".to_owned(), extend);
        }
        content
    }
}
