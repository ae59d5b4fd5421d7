//! What the book does with a trade.

use super::*;

const CODE: &str = "281234567890123456";

fn call(book: &mut Book, method: &str, content: Value) -> Answer {
    call_with(book, method, content, Buyer::Pays)
}

fn call_with(book: &mut Book, method: &str, content: Value, buyer: Buyer) -> Answer {
    book.call(
        "app",
        &format!("alipay.trade.{method}"),
        &content,
        None,
        buyer,
    )
}

fn sale(number: &str) -> Value {
    json!({
        "out_trade_no": number, "total_amount": "600.00", "subject": "花呗", "auth_code": CODE,
        "extend_params": {"hb_fq_num": "3", "hb_fq_seller_percent": "100"},
    })
}

fn field<'a>(answer: &'a Answer, name: &str) -> &'a Value {
    let Answer::Done(told) = answer else {
        panic!("{answer:?}");
    };
    &told[name]
}

#[test]
fn a_payment_is_made_once_however_often_it_is_asked_for() {
    let mut book = Book::default();
    let first = call(&mut book, "pay", sale("A"));
    assert_eq!(call(&mut book, "pay", sale("A")), first);
    assert_eq!(
        field(&first, "fund_bill_list")[0]["fund_channel"],
        "PCREDIT"
    );
    assert_eq!(field(&first, "hb_fq_pay_info")["user_install_num"], "3");
    assert_eq!(book.to_json()["kept_amount"], "600.00");
    let mut other = sale("A");
    other["total_amount"] = json!("600.01");
    assert_eq!(call(&mut book, "pay", other), OTHER);
}

#[test]
fn a_refund_is_made_once_for_each_request_and_never_beyond_the_total() {
    let mut book = Book::default();
    call(&mut book, "pay", sale("A"));
    let part = |request: &str, amount: &str| json!({"out_trade_no": "A", "out_request_no": request, "refund_amount": amount});
    for changed in ["Y", "N"] {
        let answer = call(&mut book, "refund", part("R1", "200.00"));
        assert_eq!(field(&answer, "fund_change"), changed);
        assert_eq!(field(&answer, "refund_fee"), "200.00");
    }
    assert!(matches!(
        call(&mut book, "refund", part("R1", "1.00")),
        Answer::Failed(..)
    ));
    assert!(matches!(
        call(&mut book, "refund", part("R2", "400.01")),
        Answer::Failed(..)
    ));
    call(&mut book, "refund", part("R3", "400.00"));
    let answer = call(&mut book, "query", json!({"out_trade_no": "A"}));
    assert_eq!(field(&answer, "trade_status"), "TRADE_CLOSED");
    assert_eq!(book.to_json()["kept_amount"], "0.00");
}

#[test]
fn a_cancelled_number_is_never_paid_even_where_it_was_not_known() {
    let mut book = Book::default();
    for number in ["unknown", "offered"] {
        if number == "offered" {
            call(&mut book, "precreate", sale(number));
        }
        call(&mut book, "cancel", json!({"out_trade_no": number}));
        assert_eq!(call(&mut book, "pay", sale(number)), CLOSED);
        assert_eq!(call(&mut book, "precreate", sale(number)), CLOSED);
    }
    let wait = Buyer::Waits {
        queries: 0,
        paid: true,
    };
    call_with(&mut book, "pay", sale("waiting"), wait);
    call(&mut book, "cancel", json!({"out_trade_no": "waiting"}));
    let answer = call(&mut book, "query", json!({"out_trade_no": "waiting"}));
    assert_eq!(field(&answer, "trade_status"), "TRADE_CLOSED");
    assert!(!book.type_password("waiting"));
    assert_eq!(book.to_json()["kept_amount"], "0.00");
}

#[test]
fn a_qr_code_is_no_trade_until_it_is_scanned() {
    let mut book = Book::default();
    let answer = call(&mut book, "precreate", sale("A"));
    let qr_code = field(&answer, "qr_code").as_str().unwrap().to_owned();
    assert_eq!(
        call(&mut book, "query", json!({"out_trade_no": "A"})),
        NOT_EXIST
    );
    assert!(book.scan(&qr_code, Buyer::Pays));
    assert!(!book.scan(&qr_code, Buyer::Pays));
    let answer = call(&mut book, "query", json!({"out_trade_no": "A"}));
    assert_eq!(field(&answer, "trade_status"), "TRADE_SUCCESS");
}

#[test]
fn instalments_are_3_6_or_12_and_one_side_pays_the_fee() {
    for (number, percent) in [("4", "0"), ("3", "50"), ("3", "")] {
        let mut content = sale("A");
        content["extend_params"] = json!({"hb_fq_num": number, "hb_fq_seller_percent": percent});
        let answer = call(&mut Book::default(), "pay", content);
        assert!(matches!(answer, Answer::Failed("ACQ.INVALID_PARAMETER", _)));
    }
    let mut content = sale("A");
    content["extend_params"] = json!({"hb_fq_num": "3"});
    let answer = call(&mut Book::default(), "pay", content);
    assert!(matches!(answer, Answer::Failed("ACQ.INVALID_PARAMETER", _)));
}
