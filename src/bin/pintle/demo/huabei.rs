//! Alipay's part of the day: Huabei by QR code and by the customer's code, a sale that nobody knows
//! the end of, a refund, and the books. Alipay is the local one of `examples/alipay_gateway`, the till
//! is that of `examples/till`; every request is signed and every answer verified by Pintle.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alipay_gateway::book::Buyer;
use alipay_gateway::gateway::{App, Gateway, Settings as GatewaySettings};
use alipay_gateway::keys::AppKeys;
use alipay_gateway::script::{Effect, Rule};
use anyhow::{Context, Result, bail};

use crate::demo::story::Day;
use crate::demo::till::alipay::{self, yuan};
use crate::demo::till::journal::Instalments;
use crate::demo::till::refund::RefundEnd;
use crate::demo::till::{End, Sale, Settings, Till, receipt};

const APP_ID: &str = "2021000000000001";
const SHOP: &str = "TEST SHOP 测试商店";
/// What the customer's phone shows.
const AUTH_CODE: &str = "281234567890123456";
/// Between two queries; a shop has 3 to 5 s.
const POLL: Duration = Duration::from_millis(60);

/// The till, and the Alipay that it speaks to.
pub struct Shop {
    gateway: Gateway,
    till: Till,
}

impl Day<'_> {
    /// Starts both. The till's journal is in the folder.
    pub(super) async fn open_shop(&mut self, folder: &Path) -> Result<Shop> {
        let gateway = Gateway::start(0, GatewaySettings::default()).await?;
        let keys = AppKeys::of_pintle_dev()?;
        gateway.add_app(APP_ID, App { keys, aes: None });
        let text = format!(
            "{} (a local one, which has public keys only)",
            gateway.url()
        );
        self.page.line("Alipay", &text);
        let settings = Settings {
            app: alipay::App {
                app_id: APP_ID.to_owned(),
                app_key: "alipay-app-rsa2".to_owned(),
                alipay_key: "alipay-rsa2".to_owned(),
                sign_type: "RSA2".to_owned(),
                charset: "utf-8".to_owned(),
                gateway: gateway.url(),
                patience: Duration::from_secs(5),
            },
            terminal: "T0001-20261123-".to_owned(),
            journal: folder.join("till.jsonl"),
            poll: POLL,
            queries: 3,
            tries: 3,
            notify_port: 0,
            danger_never_cancels: false,
        };
        let till = Till::open(settings, self.client.clone(), Arc::new(|_| false)).await?;
        let left = till.recover().await?.len();
        self.page
            .line("till", &format!("its journal has {left} open trades"));
        Ok(Shop { gateway, till })
    }

    pub(super) async fn huabei_by_qr(&mut self, shop: &Shop) -> Result<String> {
        let offered = shop.till.offer(&sale(60_000, 3, true)).await?;
        let Ok(offer) = offered else {
            bail!("there is no QR code");
        };
        self.page.line("till", &format!("shows {}:", offer.qr_code));
        let code = receipt::qr_code(&offer.qr_code).context("the QR code is too long")?;
        for line in code.lines() {
            println!("                    {line}");
        }
        let scanned = shop.gateway.scan(&offer.qr_code, Buyer::Pays);
        self.page
            .mark(scanned, "the customer scans it and pays by Huabei");
        let end = shop.till.collect(&offer).await?;
        let text = "the till has it from Alipay, signature verified by Pintle: paid";
        self.page.mark(end == End::Paid, text);
        Ok(offer.no)
    }

    pub(super) async fn huabei_by_scan(&mut self, shop: &Shop) -> Result<()> {
        let title = "Huabei by the customer's code, ¥1200.00 in 12, who pays the fee";
        self.page.part("15:10", title);
        let wait = Effect::WaitForPassword {
            queries: 1,
            paid: true,
        };
        shop.gateway.script([rule("alipay.trade.pay", wait, 1)]);
        let sale = sale(120_000, 12, false);
        let (no, end) = shop.till.sell_by_scan(&sale, AUTH_CODE).await?;
        self.page.line(
            "till",
            &format!("{no}: 10003, the customer types a password"),
        );
        self.page
            .mark(end == End::Paid, "queried until it was paid");
        let trade = shop
            .gateway
            .trade(&no)
            .context("Alipay has no such trade")?;
        let by = trade.fund_bill_list().to_string();
        self.page
            .mark(by.contains("PCREDIT"), &format!("Alipay: {by}"));
        Ok(())
    }

    /// Alipay does not know, and then does not say: the sale was made, and must be unmade.
    pub(super) async fn unknown(&mut self, shop: &Shop) -> Result<()> {
        self.page.part(
            "16:20",
            "A sale, ¥88.00, of which nobody knows whether it was paid",
        );
        let unknown = |done| Effect::Unknown { done };
        shop.gateway.script([
            rule("alipay.trade.pay", unknown(true), 1),
            rule("alipay.trade.query", unknown(false), 3),
            rule("notify", Effect::Silent { done: false }, 9),
        ]);
        let sale = Sale {
            instalments: None,
            ..sale(8_800, 3, true)
        };
        let (no, end) = shop.till.sell_by_scan(&sale, AUTH_CODE).await?;
        self.page.line(
            "till",
            &format!("{no}: 20000, three queries, 20000 each, cancelled"),
        );
        self.page.mark(
            end == End::Cancelled,
            "the screen says 已撤销, and so does Alipay",
        );
        let trade = shop
            .gateway
            .trade(&no)
            .context("Alipay has no such trade")?;
        let text = format!("Alipay had it paid, and has paid back {}", trade.refunded());
        self.page.mark(trade.paid && trade.kept().0 == 0, &text);
        Ok(())
    }

    pub(super) async fn refund(&mut self, shop: &Shop, no: &str) -> Result<()> {
        self.page
            .part("17:30", "The first customer brings something back: ¥200.00");
        let end = shop.till.refund(no, 20_000).await?;
        let text = "refunded once, whatever is sent twice: it has a number of its own";
        self.page.mark(end == RefundEnd::Refunded, text);
        let book = shop.till.book();
        let trade = book.trade(no).context("the till has no such trade")?;
        let paper = receipt::framed(&receipt::receipt(SHOP, no, trade));
        for line in paper.lines() {
            println!("                    {line}");
        }
        Ok(())
    }

    /// Three books: the till's from its journal, the gateway's from Alipay's verified words, and
    /// Alipay's own.
    pub(super) async fn close(&mut self, shop: &Shop) -> Result<()> {
        self.page
            .part("21:00", "The books at close: till, gateway, Alipay");
        // The last notification may still be on its way.
        tokio::time::sleep(POLL).await;
        let (book, account) = (shop.till.book(), shop.till.account());
        let mut sums = [0; 3];
        for (no, trade) in book.trades() {
            let alipay = shop.gateway.trade(no).map_or(0, |trade| trade.kept().0);
            let row = [trade.kept(), account.kept(no), alipay];
            for (sum, one) in sums.iter_mut().zip(row) {
                *sum += one;
            }
            self.page.line(no, &columns(row));
        }
        self.page.line("together", &columns(sums));
        let agree = sums == [sums[0]; 3] && book.is_settled();
        self.page.mark(
            agree,
            "the same to the fen, and every trade is paid or cancelled",
        );
        let counts = shop.gateway.counts();
        let text = format!(
            "Alipay verified {} requests and refused none",
            counts.verified
        );
        self.page
            .mark(counts.refused == 0 && counts.verified > 0, &text);
        let verified = shop.till.verified();
        let text =
            format!("the till had {verified} answers and notifications verified, all of them");
        self.page
            .mark(shop.till.refused() == 0 && verified > 0, &text);
        Ok(())
    }
}

fn sale(fen: u64, number: u8, shop_pays_fee: bool) -> Sale {
    Sale {
        fen,
        subject: "花呗分期 Coffee machine".to_owned(),
        instalments: Some(Instalments {
            number,
            shop_pays_fee,
        }),
    }
}

fn rule(method: &str, effect: Effect, times: u32) -> Rule {
    Rule {
        method: method.to_owned(),
        out_trade_no: None,
        times,
        effect,
    }
}

fn columns(fen: [u64; 3]) -> String {
    let [till, gateway, alipay] = fen.map(yuan);
    format!("{till:>10} {gateway:>10} {alipay:>10}")
}
