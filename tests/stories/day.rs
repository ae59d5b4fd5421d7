//! One story: a till, what happens to it, and the three books at its end.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use alipay_gateway::book::Buyer;
use alipay_gateway::gateway::Gateway;
use alipay_gateway::script::{Effect, Rule};
use alipay_gateway::trade::Status;
use pintle::client::Client;

use crate::cable::Cable;
use crate::screen;
use crate::till::alipay::App;
use crate::till::book::{Account, Book, State};
use crate::till::journal::{Instalments, Journal};
use crate::till::refund::RefundEnd;
use crate::till::{End, Fault, Sale, Settings, Till, receipt};

/// The app of every till.
pub const APP_ID: &str = "2021000000000001";
/// Between two queries. A shop has 3 to 5 s.
pub const POLL: Duration = Duration::from_millis(30);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(400);
/// Queries before a till cancels.
const QUERIES: u32 = 4;
/// What every sale is about, in fen.
pub const PRICE: u64 = 60_001;
const AUTH_CODE: &str = "281234567890123456";

/// What all stories share.
pub struct World {
    pub gateway: Gateway,
    /// Address of Pintle.
    pub pintle: String,
    pub folder: PathBuf,
}

/// What happens at the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// The customer's code is scanned.
    Scan,
    /// The customer scans the QR code and does this; `None` goes away.
    Qr(Option<Buyer>),
}

/// What goes wrong beside the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// Nothing.
    None,
    /// The till's power fails at its n-th step, from 0.
    Power(u32),
    /// The cable to Pintle is out from the n-th step to the next start.
    Cable(u32),
    /// Somebody else says that the trade was paid.
    ForgedNotification,
}

/// A story.
pub struct Story {
    pub name: String,
    pub counter: Counter,
    pub sign_type: &'static str,
    pub charset: &'static str,
    pub instalments: Option<Instalments>,
    /// Effects of the gateway, by method.
    pub rules: Vec<(&'static str, Effect)>,
    pub mishap: Mishap,
    /// Refunds after the sale, in fen.
    pub refunds: Vec<u64>,
    /// The key that signs, where it is not the usual one.
    pub app_key: Option<&'static str>,
    /// A till that breaks a rule, and books that must see it.
    pub planted: bool,
    /// How it must end; not said for a power failure, where the moment decides.
    pub ends: Option<State>,
}

/// What came of it.
pub struct Told {
    pub number: u32,
    pub name: String,
    pub outcome: String,
    /// In fen: till, gateway, Alipay.
    pub kept: [u64; 3],
    pub complaints: Vec<String>,
    pub planted: bool,
}

impl Told {
    /// Whether the books agree; of a planted break, whether they saw it.
    pub fn as_it_should_be(&self) -> bool {
        self.complaints.is_empty() != self.planted
    }
}

/// One life of a till, between two starts.
struct Life<'a> {
    world: &'a World,
    story: &'a Story,
    till: Till,
}

/// Tells a story to its end.
pub async fn tell(world: Arc<World>, story: Story, number: u32) -> Told {
    let terminal = format!("S{number:03}");
    let rules = story.rules.iter().map(|(method, effect)| Rule {
        method: (*method).to_owned(),
        out_trade_no: Some(format!("{terminal}000001")),
        times: 1,
        effect: effect.clone(),
    });
    world.gateway.script(rules);
    let cable = Arc::new(Cable::to(world.pintle.clone()).await);
    let mut account = Account::default();
    let settings = settings(&world, &story, &terminal);

    let life = Life::begin(&world, &story, settings.clone(), &cable, story.mishap).await;
    let day = life.day().await;
    // A notification that is on its way belongs to this life.
    tokio::time::sleep(POLL).await;
    account.join(&life.till.account());
    drop(life);
    // The next morning, with power and cable.
    cable.plug(true);
    let open = day.is_err() || !Book::replay(&records(&settings)).is_settled();
    let mut outcome = "";
    if open && !story.planted {
        let life = Life::begin(&world, &story, settings.clone(), &cable, Mishap::None).await;
        life.till.recover().await.unwrap();
        account.join(&life.till.account());
        outcome = ", at the next start";
    }
    judge(&world, &story, &settings, &account, number, outcome, day)
}

fn settings(world: &World, story: &Story, terminal: &str) -> Settings {
    let (app_key, alipay_key) = match story.sign_type {
        "SM2" => ("alipay-app-sm2", "alipay-sm2"),
        _ => ("alipay-app-rsa2", "alipay-rsa2"),
    };
    Settings {
        app: App {
            app_id: APP_ID.to_owned(),
            app_key: story.app_key.unwrap_or(app_key).to_owned(),
            alipay_key: alipay_key.to_owned(),
            sign_type: story.sign_type.to_owned(),
            charset: story.charset.to_owned(),
            gateway: world.gateway.url(),
            patience: PATIENCE,
        },
        terminal: terminal.to_owned(),
        journal: world.folder.join(format!("{terminal}.jsonl")),
        poll: POLL,
        queries: QUERIES,
        tries: 4,
        notify_port: 0,
        danger_never_cancels: story.planted,
    }
}

impl<'a> Life<'a> {
    async fn begin(
        world: &'a World,
        story: &'a Story,
        settings: Settings,
        cable: &Arc<Cable>,
        mishap: Mishap,
    ) -> Self {
        let address = format!("http://{}", cable.address);
        let client = Client::danger_connect_plaintext(&address);
        let client = client
            .await
            .unwrap()
            .with_tries(1)
            .with_deadline(PATIENCE * 4);
        let (steps, own) = (AtomicU32::new(0), Arc::clone(cable));
        let power = Arc::new(move |_: &'static str| {
            let step = steps.fetch_add(1, Ordering::Relaxed);
            if mishap == Mishap::Cable(step) {
                own.plug(false);
            }
            mishap == Mishap::Power(step)
        });
        let till = Till::open(settings, client, power).await.unwrap();
        Self { world, story, till }
    }

    /// The sale, and its refunds.
    async fn day(&self) -> Result<(), Fault> {
        let (no, end) = self.sale().await?;
        if end != End::Paid {
            return Ok(());
        }
        for fen in &self.story.refunds {
            if self.till.refund(&no, *fen).await? == RefundEnd::Open {
                break;
            }
        }
        Ok(())
    }

    async fn sale(&self) -> Result<(String, End), Fault> {
        let sale = Sale {
            fen: PRICE,
            subject: "花呗咖啡机 \"} {\" 100%".to_owned(),
            instalments: self.story.instalments,
        };
        let buyer = match self.story.counter {
            Counter::Scan => return self.till.sell_by_scan(&sale, AUTH_CODE).await,
            Counter::Qr(buyer) => buyer,
        };
        let offer = match self.till.offer(&sale).await? {
            Ok(offer) => offer,
            Err(end) => return Ok(end),
        };
        if let Some(buyer) = buyer {
            let seen = screen::read(&receipt::qr_code(&offer.qr_code).unwrap());
            assert!(self.world.gateway.scan(&seen, buyer), "{}", offer.no);
        }
        if self.story.mishap == Mishap::ForgedNotification {
            let answer = self
                .world
                .gateway
                .forge_notification(&offer.no)
                .await
                .unwrap();
            assert_eq!(answer, "failure", "a forged notification was taken");
            assert!(self.till.refused() > 0);
        }
        let end = self.till.collect(&offer).await?;
        Ok((offer.no, end))
    }
}

/// Compares the books: the till's from its journal on the disk, the gateway's from Alipay's verified
/// words, and Alipay's own.
fn judge(
    world: &World,
    story: &Story,
    settings: &Settings,
    account: &Account,
    number: u32,
    later: &str,
    day: Result<(), Fault>,
) -> Told {
    let till = Book::replay(&records(settings));
    let mut complaints = Vec::new();
    let mut kept = [0; 3];
    let mut states = Vec::new();
    for (no, trade) in till.trades() {
        let alipay = world.gateway.trade(no);
        let sums = [
            trade.kept(),
            account.kept(no),
            alipay.as_ref().map_or(0, |trade| trade.kept().0),
        ];
        kept = [kept[0] + sums[0], kept[1] + sums[1], kept[2] + sums[2]];
        if sums != [sums[0]; 3] {
            complaints.push(format!("{no}: till, gateway and Alipay have {sums:?} fen"));
        }
        if !trade.state.is_final() || trade.refunds.values().any(|refund| refund.done.is_none()) {
            complaints.push(format!("{no}: {:?} at the till", trade.state));
        }
        let open = alipay
            .is_some_and(|trade| matches!(trade.status, Status::Offered | Status::WaitBuyerPay));
        if open {
            complaints.push(format!("{no}: neither paid nor closed at Alipay"));
        }
        states.push(trade.state.clone());
    }
    if states.len() != 1 {
        complaints.push(format!("{} numbers for one sale", states.len()));
    }
    if let (Some(ends), false) = (&story.ends, story.planted)
        && states.first() != Some(ends)
    {
        complaints.push(format!("{states:?}, and not {ends:?}"));
    }
    let mut name = story.name.clone();
    match (day, story.mishap) {
        (Err(Fault::Power(step)), Mishap::Power(_)) => name = format!("{name}: after {step}"),
        (Err(fault), _) => complaints.push(fault.to_string()),
        (Ok(()), Mishap::Power(_)) => name = format!("{name}: it was over before"),
        (Ok(()), _) => {}
    }
    let refunded = till.trades().any(|(_, trade)| !trade.refunds.is_empty());
    let back = if refunded { ", refunded" } else { "" };
    let outcome = states
        .first()
        .map_or("nothing".to_owned(), |state| format!("{state:?}"));
    Told {
        number,
        name,
        outcome: format!("{outcome}{back}{later}"),
        kept,
        complaints,
        planted: story.planted,
    }
}

fn records(settings: &Settings) -> Vec<crate::till::journal::Record> {
    Journal::open(&settings.journal).unwrap().1
}
