//! `X98_NO_PAN`: `0‖length‖PIN‖F…`, bound to no PAN (UnionPay's POS terminals, field 53 "PIN
//! without PAN", where the card's number was not known when the PIN was entered).
//!
//! Weaker than any format of ISO 9564-1: nothing random, nothing of the PAN, so equal PINs are
//! equal blocks under one key and a block goes with any PAN. Pintle takes it as input only, from
//! terminal keys whose policy says `weak = true`, towards zone keys. Enciphering is here for
//! terminals in tests.

use crate::domain::pin_block::field::Layout;
use crate::domain::pin_block::format_0;

pub(super) const LAYOUT: Layout = format_0::LAYOUT;
