//! The stories themselves.

use alipay_gateway::book::Buyer;
use alipay_gateway::script::Effect;

use crate::day::{Counter, Mishap, PRICE, Story};
use crate::till::book::State;
use crate::till::journal::Instalments;

const PRECREATE: &str = "alipay.trade.precreate";
const PAY: &str = "alipay.trade.pay";
const QUERY: &str = "alipay.trade.query";
const CANCEL: &str = "alipay.trade.cancel";
const REFUND: &str = "alipay.trade.refund";
const REFUND_QUERY: &str = "alipay.trade.fastpay.refund.query";
const NOTIFY: &str = "notify";

const PAYS: Counter = Counter::Qr(Some(Buyer::Pays));
const GOES_AWAY: Counter = Counter::Qr(None);
const SILENT: Effect = Effect::Silent { done: false };
const SILENT_DONE: Effect = Effect::Silent { done: true };
/// Longer than a till waits.
const LATE: Effect = Effect::Late { ms: 600 };

/// Every story.
pub fn all() -> Vec<Story> {
    let mut all = smooth();
    all.extend(unanswered());
    all.extend(undecided());
    all.extend(false_words());
    all.extend(refunds());
    all.extend(power());
    all.extend(pintle_away());
    all.extend(planted());
    all
}

fn story(name: &str, counter: Counter, ends: State) -> Story {
    Story {
        name: name.to_owned(),
        counter,
        sign_type: "RSA2",
        charset: "utf-8",
        instalments: Some(Instalments {
            number: 3,
            shop_pays_fee: true,
        }),
        rules: Vec::new(),
        mishap: Mishap::None,
        refunds: Vec::new(),
        app_key: None,
        planted: false,
        ends: Some(ends),
    }
}

impl Story {
    fn rule(mut self, method: &'static str, effect: Effect) -> Self {
        self.rules.push((method, effect));
        self
    }

    fn times(mut self, times: u32, method: &'static str, effect: &Effect) -> Self {
        for _ in 0..times {
            self.rules.push((method, effect.clone()));
        }
        self
    }

    fn mishap(self, mishap: Mishap) -> Self {
        Self { mishap, ..self }
    }

    fn refund(mut self, fen: u64) -> Self {
        self.refunds.push(fen);
        self
    }
}

fn smooth() -> Vec<Story> {
    let mut all = Vec::new();
    for (number, shop_pays_fee) in [(3, true), (6, false), (12, true)] {
        let payer = if shop_pays_fee { "shop" } else { "customer" };
        let instalments = Some(Instalments {
            number,
            shop_pays_fee,
        });
        for (how, counter) in [("scanned", Counter::Scan), ("QR", PAYS)] {
            let name = format!("{how}: {number} instalments, the {payer} pays the fee");
            all.push(Story {
                instalments,
                ..story(&name, counter, State::Paid)
            });
        }
    }
    all.push(Story {
        sign_type: "SM2",
        ..story("scanned: SM2", Counter::Scan, State::Paid)
    });
    all.push(Story {
        charset: "gbk",
        ..story("QR: GBK", PAYS, State::Paid)
    });
    all.push(Story {
        sign_type: "SM2",
        charset: "gbk",
        instalments: None,
        ..story("QR: SM2 and GBK, no instalments", PAYS, State::Paid)
    });
    all.push(story(
        "QR: the customer goes away",
        GOES_AWAY,
        State::Cancelled,
    ));
    all
}

fn unanswered() -> Vec<Story> {
    let paid = |name| story(name, Counter::Scan, State::Paid);
    let qr = |name| story(name, PAYS, State::Paid);
    let away = |name| story(name, GOES_AWAY, State::Cancelled);
    vec![
        story("pay never arrives", Counter::Scan, State::Cancelled).rule(PAY, SILENT),
        paid("pay is done and never answered").rule(PAY, SILENT_DONE),
        paid("pay is done and answered late").rule(PAY, LATE),
        paid("pay is done and its answer lost").rule(PAY, Effect::Lost),
        qr("precreate never arrives").rule(PRECREATE, SILENT),
        qr("precreate is done and answered late").rule(PRECREATE, LATE),
        qr("precreate is done and its answer lost").rule(PRECREATE, Effect::Lost),
        story(
            "precreate never arrives, however often",
            PAYS,
            State::Cancelled,
        )
        .times(4, PRECREATE, &SILENT),
        paid("pay and the first two queries are not answered")
            .rule(PAY, SILENT_DONE)
            .times(2, QUERY, &SILENT)
            .times(2, NOTIFY, &SILENT),
        paid("the query's answer is lost")
            .rule(PAY, SILENT_DONE)
            .rule(QUERY, Effect::Lost),
        away("cancel never arrives, twice").times(2, CANCEL, &SILENT),
        away("cancel is done and its answer lost").rule(CANCEL, Effect::Lost),
        away("cancel is done and answered late").rule(CANCEL, LATE),
        away("cancel never arrives, until the next start").times(4, CANCEL, &SILENT),
        qr("the notification never arrives").times(21, NOTIFY, &SILENT),
        qr("the notification's acknowledgement is lost").rule(NOTIFY, Effect::Lost),
        qr("the notification comes late").rule(NOTIFY, Effect::Late { ms: 100 }),
        qr("the notification comes twice").rule(NOTIFY, Effect::Duplicate),
        qr("the notification comes, and no query is answered").times(4, QUERY, &SILENT),
    ]
}

fn undecided() -> Vec<Story> {
    let wait = |queries, paid| Effect::WaitForPassword { queries, paid };
    let scan = |name, ends| story(name, Counter::Scan, ends);
    let qr = |name, queries, paid, ends| {
        story(
            name,
            Counter::Qr(Some(Buyer::Waits { queries, paid })),
            ends,
        )
    };
    vec![
        scan("waits for the password, then paid", State::Paid).rule(PAY, wait(2, true)),
        scan("waits for the password, never paid", State::Cancelled).rule(PAY, wait(2, false)),
        scan("the password comes too late", State::Cancelled).rule(PAY, wait(9, true)),
        qr(
            "QR: waits for the password, then paid",
            1,
            true,
            State::Paid,
        ),
        qr(
            "QR: waits for the password, never paid",
            1,
            false,
            State::Cancelled,
        ),
        scan("unknown, and it was not paid", State::Cancelled)
            .rule(PAY, Effect::Unknown { done: false }),
        scan("unknown, and it was paid", State::Paid).rule(PAY, Effect::Unknown { done: true }),
        scan(
            "unknown, paid, and nobody says so: cancelled and paid back",
            State::Cancelled,
        )
        .rule(PAY, Effect::Unknown { done: true })
        .times(4, QUERY, &Effect::Unknown { done: false })
        .times(21, NOTIFY, &SILENT),
        scan("cancel asks to be called again", State::Cancelled)
            .rule(PAY, Effect::Unknown { done: false })
            .times(2, CANCEL, &Effect::Retry),
        scan("the buyer has no money", State::Cancelled).rule(
            PAY,
            Effect::Fail {
                sub_code: "ACQ.BUYER_BALANCE_NOT_ENOUGH".to_owned(),
            },
        ),
    ]
}

fn false_words() -> Vec<Story> {
    let scan = |name| story(name, Counter::Scan, State::Cancelled);
    vec![
        scan("forged: pay says paid").rule(PAY, Effect::Forged),
        scan("forged: every query says paid")
            .rule(
                PAY,
                Effect::WaitForPassword {
                    queries: 9,
                    paid: false,
                },
            )
            .times(4, QUERY, &Effect::Forged),
        story("forged: cancel says cancelled", GOES_AWAY, State::Cancelled)
            .rule(CANCEL, Effect::Forged),
        story("forged: precreate shows another code", PAYS, State::Paid)
            .rule(PRECREATE, Effect::Forged),
        story(
            "forged: a notification says paid",
            GOES_AWAY,
            State::Cancelled,
        )
        .mishap(Mishap::ForgedNotification),
        story(
            "forged: a notification before the true one",
            PAYS,
            State::Paid,
        )
        .rule(NOTIFY, Effect::Forged),
    ]
}

fn refunds() -> Vec<Story> {
    let part = |name| story(name, Counter::Scan, State::Paid).refund(20_000);
    vec![
        part("refund in part, twice").refund(10_001),
        story("refund of everything", PAYS, State::Paid).refund(PRICE),
        part("refund of more than is left").refund(PRICE),
        part("refund never arrives").rule(REFUND, SILENT),
        part("refund is done and its answer lost").rule(REFUND, Effect::Lost),
        part("refund is done and answered late").rule(REFUND, LATE),
        part("refund is unknown, and was done").rule(REFUND, Effect::Unknown { done: true }),
        part("refund and its query are not answered")
            .rule(REFUND, SILENT_DONE)
            .rule(REFUND_QUERY, SILENT)
            .rule(REFUND, SILENT),
        part("forged: refund says refunded").rule(REFUND, Effect::Forged),
        part("refund is refused").rule(
            REFUND,
            Effect::Fail {
                sub_code: "ACQ.SELLER_BALANCE_NOT_ENOUGH".to_owned(),
            },
        ),
    ]
}

/// The power fails after each step of three sales, as many as each has.
fn power() -> Vec<Story> {
    let fails = |step, what: &str, counter| Story {
        ends: None,
        mishap: Mishap::Power(step),
        ..story(&format!("power fails: {what}"), counter, State::Paid)
    };
    let wait = Effect::WaitForPassword {
        queries: 1,
        paid: true,
    };
    let unknown = |done| Effect::Unknown { done };
    let by_qr = (0..7).map(|step| fails(step, "QR, paid, refunded", PAYS).refund(20_000));
    let by_scan = (0..11).map(|step| {
        let story = fails(step, "scanned, waits, refunded", Counter::Scan);
        story.rule(PAY, wait.clone()).refund(PRICE)
    });
    let cancelled = (0..14).map(|step| {
        fails(step, "unknown, cancelled", Counter::Scan)
            .rule(PAY, unknown(true))
            .times(4, QUERY, &unknown(false))
            .times(30, NOTIFY, &SILENT)
            .rule(CANCEL, Effect::Lost)
    });
    by_qr.chain(by_scan).chain(cancelled).collect()
}

fn pintle_away() -> Vec<Story> {
    vec![
        Story {
            app_key: Some("no-such-key"),
            ..story("the app's key is missing", Counter::Scan, State::Aborted)
        },
        Story {
            app_key: Some("alipay-app-sm2"),
            ..story(
                "the app's key is of another kind",
                GOES_AWAY,
                State::Aborted,
            )
        },
        story(
            "Pintle is away before pay is signed",
            Counter::Scan,
            State::Aborted,
        )
        .mishap(Mishap::Cable(0)),
        // It was paid; but nobody could say so when the till gave up, and that is for good.
        story(
            "Pintle is away when pay is answered",
            Counter::Scan,
            State::Cancelled,
        )
        .mishap(Mishap::Cable(2)),
        story(
            "Pintle is away when the cancel is due",
            GOES_AWAY,
            State::Cancelled,
        )
        .mishap(Mishap::Cable(4)),
    ]
}

/// Tills that break a rule.
fn planted() -> Vec<Story> {
    let broken = |name, counter| Story {
        planted: true,
        ..story(name, counter, State::Cancelled)
    };
    vec![
        broken(
            "PLANTED: a till that does not cancel what is unknown",
            Counter::Scan,
        )
        .rule(PAY, Effect::Unknown { done: true })
        .times(4, QUERY, &Effect::Unknown { done: false })
        .times(21, NOTIFY, &SILENT),
        broken("PLANTED: a till that leaves its QR code open", GOES_AWAY),
    ]
}
