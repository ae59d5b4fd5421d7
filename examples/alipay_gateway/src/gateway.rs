//! The gateway: its apps, its book, its script, and the listener.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::book::{Answer, Book, Buyer};
use crate::keys::{AlipayKeys, AppKeys, SignType};
use crate::script::{Effect, Rule, Script, by_subject};
use crate::trade::{Notify, Trade};
use crate::{control, notify, v2, v3};

/// The longest request.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What a merchant has set up for an app.
#[derive(Clone, Debug, Default)]
pub struct App {
    /// The public keys it uploaded.
    pub keys: AppKeys,
    /// Its content encryption key, AES-128.
    pub aes: Option<Vec<u8>>,
}

/// How the gateway behaves as a whole.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bodies that a careless reader cuts wrongly: `}` and `"sign"` inside strings.
    pub tricky: bool,
    /// Customers who scan and pay each QR code after so long.
    pub scans_after: Option<Duration>,
    /// How long after the last try a notification is sent again.
    pub notify_intervals: Vec<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tricky: false,
            scans_after: None,
            notify_intervals: [1, 4, 10, 30].map(Duration::from_secs).into(),
        }
    }
}

/// A gateway that runs; it ends when dropped.
pub struct Gateway {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    listener: JoinHandle<()>,
}

pub(crate) struct Shared {
    pub keys: AlipayKeys,
    pub settings: Settings,
    forger: OnceLock<AlipayKeys>,
    apps: Mutex<HashMap<String, App>>,
    book: Mutex<Book>,
    script: Mutex<Script>,
    counts: Mutex<Counts>,
}

/// What came in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Requests whose signature was right.
    pub verified: u64,
    /// Requests whose signature was wrong.
    pub refused: u64,
    /// Notifications that were acknowledged.
    pub acknowledged: u64,
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Answered,
    Late(u64),
    Silent,
    Lost,
    Forged,
    SignedUnescaped,
}

impl Gateway {
    /// Listens on loopback; port 0 takes a free one.
    ///
    /// # Errors
    /// A port that is taken.
    pub async fn start(port: u16, settings: Settings) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            keys: AlipayKeys::test()?,
            settings,
            forger: OnceLock::new(),
            apps: Mutex::default(),
            book: Mutex::default(),
            script: Mutex::default(),
            counts: Mutex::default(),
        });
        let own = Arc::clone(&shared);
        let listener = tokio::spawn(accept(listener, own));
        Ok(Self {
            address,
            shared,
            listener,
        })
    }

    /// Where v2 requests go.
    pub fn url(&self) -> String {
        format!("http://{}/gateway.do", self.address)
    }

    /// Adds an app or replaces it.
    pub fn add_app(&self, app_id: &str, app: App) {
        locked(&self.shared.apps).insert(app_id.to_owned(), app);
    }

    /// Adds rules to the script.
    pub fn script(&self, rules: impl IntoIterator<Item = Rule>) {
        locked(&self.shared.script).add(rules);
    }

    /// A buyer scans a QR code; false where it is no longer good.
    pub fn scan(&self, qr_code: &str, buyer: Buyer) -> bool {
        let done = locked(&self.shared.book).scan(qr_code, buyer);
        self.shared.tell();
        done
    }

    /// A buyer types the password; false where there is nothing to pay.
    pub fn type_password(&self, out_trade_no: &str) -> bool {
        let done = locked(&self.shared.book).type_password(out_trade_no);
        self.shared.tell();
        done
    }

    /// Somebody who is not Alipay says that a trade was paid; answers what the merchant said.
    ///
    /// # Errors
    /// No such trade, or no notification address.
    pub async fn forge_notification(&self, out_trade_no: &str) -> Result<String> {
        let mut trade = self.trade(out_trade_no).context("no such trade")?;
        trade.pay();
        notify::send(&self.shared, &trade, true).await
    }

    /// One trade.
    pub fn trade(&self, out_trade_no: &str) -> Option<Trade> {
        let book = locked(&self.shared.book);
        let found = book
            .trades()
            .find(|trade| trade.out_trade_no == out_trade_no);
        found.cloned()
    }

    /// Every trade of an app.
    pub fn trades(&self, app_id: &str) -> Vec<Trade> {
        let book = locked(&self.shared.book);
        let own = book.trades().filter(|trade| trade.app_id == app_id);
        own.cloned().collect()
    }

    /// What came in so far.
    pub fn counts(&self) -> Counts {
        *locked(&self.shared.counts)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Shared {
    pub fn app(&self, app_id: &str) -> Option<App> {
        locked(&self.apps).get(app_id).cloned()
    }

    pub fn add_app(&self, app_id: &str, app: App) {
        locked(&self.apps).insert(app_id.to_owned(), app);
    }

    pub fn add_rules(&self, rules: Vec<Rule>) {
        locked(&self.script).add(rules);
    }

    pub fn books(&self) -> Value {
        locked(&self.book).to_json()
    }

    pub fn scan(self: &Arc<Self>, qr_code: &str, buyer: Buyer) -> bool {
        let done = locked(&self.book).scan(qr_code, buyer);
        self.tell();
        done
    }

    pub fn type_password(self: &Arc<Self>, out_trade_no: &str) -> bool {
        let done = locked(&self.book).type_password(out_trade_no);
        self.tell();
        done
    }

    pub fn count(&self, change: impl Fn(&mut Counts)) {
        change(&mut locked(&self.counts));
    }

    /// The rule for a notification.
    pub fn notify_effect(&self, out_trade_no: &str) -> Option<Effect> {
        locked(&self.script).take("notify", out_trade_no)
    }

    /// A signature of Alipay's, or of somebody else.
    pub fn sign(&self, sign_type: SignType, message: &[u8], forged: bool) -> Result<String> {
        if !forged {
            return self.keys.sign(sign_type, message);
        }
        if self.forger.get().is_none() {
            let _ = self.forger.set(AlipayKeys::generate()?);
        }
        let forger = self.forger.get().context("no forger")?;
        forger.sign(sign_type, message)
    }

    /// One call whose signature was right: what is answered, and what becomes of the answer.
    pub fn act(
        self: &Arc<Self>,
        app_id: &str,
        method: &str,
        content: &Value,
        notify: Option<Notify>,
    ) -> (Answer, Fate) {
        let text = |name: &str| {
            content
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let number = text("out_trade_no");
        let effect = locked(&self.script).take(method, number).or_else(|| {
            let first = method == "alipay.trade.pay" && !locked(&self.book).knows(app_id, number);
            if first {
                by_subject(text("subject"))
            } else {
                None
            }
        });
        let done = |buyer| {
            let answer = locked(&self.book).call(app_id, method, content, notify.clone(), buyer);
            self.tell();
            answer
        };
        let done_if = |wanted: bool| {
            if wanted {
                done(Buyer::Pays);
            }
        };
        let outcome = match effect {
            None | Some(Effect::Duplicate) => (done(Buyer::Pays), Fate::Answered),
            Some(Effect::WaitForPassword { queries, paid }) => {
                (done(Buyer::Waits { queries, paid }), Fate::Answered)
            }
            Some(Effect::Unknown { done }) => {
                done_if(done);
                (Answer::Unknown, Fate::Answered)
            }
            Some(Effect::Fail { sub_code }) => (Answer::FailedAs(sub_code), Fate::Answered),
            Some(Effect::Late { ms }) => (done(Buyer::Pays), Fate::Late(ms)),
            Some(Effect::Silent { done }) => {
                done_if(done);
                (Answer::Unknown, Fate::Silent)
            }
            Some(Effect::Lost) => (done(Buyer::Pays), Fate::Lost),
            Some(Effect::Forged) => {
                let mut imagined = locked(&self.book).clone();
                imagined.type_password(number);
                let answer = imagined.call(app_id, method, content, None, Buyer::Pays);
                (answer, Fate::Forged)
            }
            Some(Effect::SignedUnescaped) => (done(Buyer::Pays), Fate::SignedUnescaped),
            Some(Effect::Retry) => (Answer::retry(number), Fate::Answered),
        };
        self.scan_later(&outcome.0);
        outcome
    }

    fn scan_later(self: &Arc<Self>, answer: &Answer) {
        let Answer::Done(told) = answer else {
            return;
        };
        let qr_code = told.get("qr_code").and_then(Value::as_str);
        if let (Some(after), Some(qr_code)) = (self.settings.scans_after, qr_code) {
            let (own, qr_code) = (Arc::clone(self), qr_code.to_owned());
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                own.scan(&qr_code, Buyer::Pays);
            });
        }
    }

    /// Sends the notifications that are due.
    fn tell(self: &Arc<Self>) {
        let news = std::mem::take(&mut locked(&self.book).news);
        for trade in news {
            if trade.notify.is_some() {
                tokio::spawn(notify::until_acknowledged(Arc::clone(self), trade));
            }
        }
    }
}

/// What a handler makes of a request.
pub(crate) struct Reply {
    pub response: Response<Full<Bytes>>,
    pub fate: Fate,
}

impl Reply {
    /// An ordinary answer.
    pub fn plain(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Self {
        let mut response = Response::new(Full::new(body.into()));
        *response.status_mut() = status;
        let kind = hyper::header::HeaderValue::from_static(kind);
        response.headers_mut().insert("content-type", kind);
        Self {
            response,
            fate: Fate::Answered,
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| handle(Arc::clone(&shared), request));
            // A cut connection is one of the stories.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn handle(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|_| anyhow::anyhow!("no body"))?.to_bytes();
    let reply = match head.uri.path() {
        "/gateway.do" => v2::answer(&shared, &head, &body)?,
        path if path.starts_with("/v3/") => v3::answer(&shared, &head, &body)?,
        _ => control::answer(&shared, &head, &body),
    };
    match reply.fate {
        Fate::Answered | Fate::Forged | Fate::SignedUnescaped => {}
        Fate::Late(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
        Fate::Silent => std::future::pending().await,
        Fate::Lost => anyhow::bail!("the connection is cut"),
    }
    Ok(reply.response)
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
