//! A refund, whole or in part. Its own number makes it one refund, however often it is asked for.

use serde_json::json;

use super::alipay::{Answer, Silence, yuan};
use super::book::Word;
use super::journal::Record;
use super::{Fault, Till};

/// How a refund ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundEnd {
    /// The customer has the money.
    Refunded,
    /// Alipay has refused, or the till: not paid, or more than is left.
    Refused,
    /// Given up before anything was sent.
    Aborted,
    /// Nobody knows yet; the next start of the till takes it up.
    Open,
}

impl Till {
    /// Pays back so many fen of a paid trade.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn refund(&self, no: &str, fen: u64) -> Result<RefundEnd, Fault> {
        let book = self.book();
        let count = book.trade(no).map_or(0, |trade| trade.refunds.len());
        let request = format!("{no}R{}", count + 1);
        let record = Record::Refunding {
            no: no.to_owned(),
            request: request.clone(),
            fen,
        };
        if !book.fits(&record) {
            return Ok(RefundEnd::Refused);
        }
        let content = content(no, &request, fen);
        let signed = self.alipay.sign("alipay.trade.refund", &content, "").await;
        let Ok(signed) = signed else {
            return Ok(RefundEnd::Aborted);
        };
        self.step("refund: signed")?;
        if !self.shared.record(&record)? {
            return Ok(RefundEnd::Refused);
        }
        self.step("refund: sent")?;
        let answer = self.alipay.send(signed).await;
        self.step("refund: answered")?;
        match self.refund_said(no, &request, answer)? {
            RefundEnd::Open => self.finish_refund(no, &request, fen).await,
            end => Ok(end),
        }
    }

    /// Asks again, with the same number, until Alipay says yes or no.
    pub(super) async fn finish_refund(
        &self,
        no: &str,
        request: &str,
        fen: u64,
    ) -> Result<RefundEnd, Fault> {
        for _ in 0..self.settings.tries {
            tokio::time::sleep(self.settings.poll).await;
            let asked = json!({"out_trade_no": no, "out_request_no": request});
            let answer = self.call("alipay.trade.fastpay.refund.query", &asked).await;
            self.step("refund: queried")?;
            let done = answer.is_ok_and(|answer| {
                answer.text("out_request_no") == request
                    && answer.text("refund_status") == "REFUND_SUCCESS"
                    && answer.fen("refund_amount") == Some(fen)
            });
            if done {
                return self.refunded(no, request);
            }
            let answer = self
                .call("alipay.trade.refund", &content(no, request, fen))
                .await;
            self.step("refund: answered again")?;
            match self.refund_said(no, request, answer)? {
                RefundEnd::Open => {}
                end => return Ok(end),
            }
        }
        Ok(RefundEnd::Open)
    }

    fn refund_said(
        &self,
        no: &str,
        request: &str,
        answer: Result<Answer, Silence>,
    ) -> Result<RefundEnd, Fault> {
        match answer {
            Ok(answer) if answer.code() == "10000" && answer.text("out_trade_no") == no => {
                self.refunded(no, request)
            }
            Ok(answer)
                if answer.code() == "40004" && answer.text("sub_code") != "ACQ.SYSTEM_ERROR" =>
            {
                self.shared.record(&Record::RefundRefused {
                    no: no.to_owned(),
                    request: request.to_owned(),
                })?;
                Ok(RefundEnd::Refused)
            }
            _ => Ok(RefundEnd::Open),
        }
    }

    fn refunded(&self, no: &str, request: &str) -> Result<RefundEnd, Fault> {
        self.shared.record(&Record::Refunded {
            no: no.to_owned(),
            request: request.to_owned(),
        })?;
        let back = self
            .book()
            .trade(no)
            .map_or(0, |trade| trade.fen - trade.kept());
        let word = Word {
            refunded: back,
            ..Word::default()
        };
        self.shared.hear(no, word);
        Ok(RefundEnd::Refunded)
    }
}

fn content(no: &str, request: &str, fen: u64) -> serde_json::Value {
    json!({"out_trade_no": no, "out_request_no": request, "refund_amount": yuan(fen)})
}
