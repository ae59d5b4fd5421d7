//! The till's journal: a line of JSON for each step, on the disk before the step is taken. What a
//! crash leaves half written at the end was never acted on, and is cut off.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// How the customer and the till meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The customer scans the till's QR code.
    Qr,
    /// The till scans the customer's code.
    Scan,
}

/// Huabei instalments: how many, and who pays the fee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instalments {
    /// 3, 6 or 12.
    pub number: u8,
    /// Whether the shop pays the fee; the customer otherwise.
    pub shop_pays_fee: bool,
}

/// A step. The customer's code is never written down: a payment is not tried again after a crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Record {
    /// A number is taken. Nothing was sent.
    Opened {
        /// `out_trade_no`.
        no: String,
        /// How.
        how: How,
        /// The amount in fen.
        fen: u64,
        /// Instalments, where Huabei's were asked for.
        instalments: Option<Instalments>,
    },
    /// From here Alipay may know of it.
    Sent {
        /// `out_trade_no`.
        no: String,
    },
    /// Alipay said so, and the signature was right.
    Paid {
        /// `out_trade_no`.
        no: String,
        /// Alipay's number.
        trade_no: String,
        /// Whether Huabei paid it.
        huabei: bool,
    },
    /// The till has made up its mind: this trade will not be paid, whatever is heard of it.
    Cancelling {
        /// `out_trade_no`.
        no: String,
    },
    /// Alipay has closed it, or paid it back.
    Cancelled {
        /// `out_trade_no`.
        no: String,
    },
    /// Given up before anything was sent.
    Aborted {
        /// `out_trade_no`.
        no: String,
    },
    /// From here Alipay may know of the refund.
    Refunding {
        /// `out_trade_no`.
        no: String,
        /// `out_request_no`.
        request: String,
        /// The amount in fen.
        fen: u64,
    },
    /// Alipay has paid it back.
    Refunded {
        /// `out_trade_no`.
        no: String,
        /// `out_request_no`.
        request: String,
    },
    /// Alipay has refused the refund.
    RefundRefused {
        /// `out_trade_no`.
        no: String,
        /// `out_request_no`.
        request: String,
    },
}

impl Record {
    /// The trade that it is about.
    pub fn no(&self) -> &str {
        match self {
            Self::Opened { no, .. }
            | Self::Sent { no }
            | Self::Paid { no, .. }
            | Self::Cancelling { no }
            | Self::Cancelled { no }
            | Self::Aborted { no }
            | Self::Refunding { no, .. }
            | Self::Refunded { no, .. }
            | Self::RefundRefused { no, .. } => no,
        }
    }
}

/// The file, open at its end.
pub struct Journal {
    file: File,
}

impl Journal {
    /// Opens or makes it; answers what it says.
    pub fn open(path: &Path) -> io::Result<(Self, Vec<Record>)> {
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).open(path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let lines = text.get(..whole).unwrap_or_default().lines();
        let records: Result<Vec<Record>, _> = lines.map(serde_json::from_str).collect();
        file.set_len(u64::try_from(whole).unwrap_or(0))?;
        file.seek(SeekFrom::End(0))?;
        Ok((Self { file }, records?))
    }

    /// Writes a step and waits until the disk has it.
    pub fn append(&mut self, record: &Record) -> io::Result<()> {
        let line = serde_json::to_string(record)? + "\n";
        self.file.write_all(line.as_bytes())?;
        self.file.sync_data()
    }
}
