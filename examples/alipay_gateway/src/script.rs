//! What goes wrong, and when: rules that the first fitting call uses up, and words in a subject for
//! those who drive a till by hand.

use serde::{Deserialize, Serialize};

/// What happens to a call instead of the ordinary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// `pay`: 10003, until so many queries were answered; then the buyer has paid, or still waits.
    WaitForPassword {
        /// Queries before the buyer decides.
        queries: u32,
        /// Whether the password comes.
        paid: bool,
    },
    /// 20000; whether the work was done or not.
    Unknown {
        /// Whether it was done.
        done: bool,
    },
    /// 40004 with this sub_code, and nothing is done.
    Fail {
        /// Such as ACQ.BUYER_BALANCE_NOT_ENOUGH.
        sub_code: String,
    },
    /// The work is done, and the answer comes late.
    Late {
        /// How late, in milliseconds.
        ms: u64,
    },
    /// The request is never answered; the connection stays open.
    Silent {
        /// Whether the work was done.
        done: bool,
    },
    /// The work is done and the connection is cut before the answer.
    Lost,
    /// The answer is signed by another key than Alipay's. The work is not done, and the answer says
    /// that it was.
    Forged,
    /// v2: the answer is signed before its slashes are escaped, as some of Alipay's servers do it.
    SignedUnescaped,
    /// `cancel`: nothing is done, and retry_flag is Y.
    Retry,
    /// `notify`: sent twice, though it was acknowledged.
    Duplicate,
}

/// One rule.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rule {
    /// A method such as `alipay.trade.pay`, or `notify`.
    pub method: String,
    /// Only for this trade; for every one without it.
    #[serde(default)]
    pub out_trade_no: Option<String>,
    /// How often it holds.
    #[serde(default = "once")]
    pub times: u32,
    /// What it does.
    #[serde(flatten)]
    pub effect: Effect,
}

fn once() -> u32 {
    1
}

/// The rules that are left.
#[derive(Default)]
pub struct Script {
    rules: Vec<Rule>,
}

impl Script {
    /// Adds rules after those there are.
    pub fn add(&mut self, rules: impl IntoIterator<Item = Rule>) {
        self.rules.extend(rules);
    }

    /// The effect for a call, used up once.
    pub fn take(&mut self, method: &str, out_trade_no: &str) -> Option<Effect> {
        let rule = self.rules.iter_mut().find(|rule| {
            let fits = rule
                .out_trade_no
                .as_deref()
                .is_none_or(|no| no == out_trade_no);
            rule.times > 0 && rule.method == method && fits
        })?;
        rule.times -= 1;
        Some(rule.effect.clone())
    }
}

/// What a word in the subject of a `pay` asks for.
pub fn by_subject(subject: &str) -> Option<Effect> {
    let words: [(&str, Effect); 7] = [
        (
            "[wait-paid]",
            Effect::WaitForPassword {
                queries: 2,
                paid: true,
            },
        ),
        (
            "[wait-unpaid]",
            Effect::WaitForPassword {
                queries: 2,
                paid: false,
            },
        ),
        ("[unknown]", Effect::Unknown { done: false }),
        ("[unknown-paid]", Effect::Unknown { done: true }),
        ("[late]", Effect::Late { ms: 15_000 }),
        ("[silent]", Effect::Silent { done: false }),
        ("[lost]", Effect::Lost),
    ];
    let fail = || {
        let sub_code = "ACQ.BUYER_BALANCE_NOT_ENOUGH".to_owned();
        subject
            .contains("[fail]")
            .then_some(Effect::Fail { sub_code })
    };
    let found = words.into_iter().find(|(word, _)| subject.contains(word));
    found.map(|(_, effect)| effect).or_else(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_used_as_often_as_it_says_and_only_for_its_trade() {
        let rule = r#"{"method": "m", "out_trade_no": "A", "times": 2, "effect": "unknown", "done": true}"#;
        let mut script = Script::default();
        script.add([serde_json::from_str(rule).unwrap()]);
        assert_eq!(script.take("m", "B"), None);
        assert_eq!(script.take("other", "A"), None);
        for _ in 0..2 {
            assert_eq!(script.take("m", "A"), Some(Effect::Unknown { done: true }));
        }
        assert_eq!(script.take("m", "A"), None);
    }
}
