//! One case of a vector file, one operation that can run it, and the comparison between them.
//! Every field must be one that the file form or the operation names.

use crate::report::Outcome;
use serde_json::{Map, Value};

/// A case as the file has it.
pub struct Case<'a> {
    pub name: &'a str,
    pub op: &'a str,
    inputs: &'a Map<String, Value>,
    expect: &'a Map<String, Value>,
}

/// An operation: its fields and how it is computed.
pub struct Op {
    pub name: &'static str,
    required: &'static [&'static str],
    optional: &'static [&'static str],
    /// Fields of `expect` that only explain.
    remarks: &'static [&'static str],
    compute: fn(&Case<'_>) -> Result<Answer, String>,
}

/// What the library said.
pub enum Answer {
    /// It refused.
    Refused,
    /// It gave these fields.
    Gave(Vec<(&'static str, Value)>),
    /// The library does not offer this.
    Unsupported(&'static str),
}

impl<'a> Case<'a> {
    /// Checks the form that all cases share.
    pub fn parse(value: &'a Value) -> Result<Self, String> {
        let fields = value.as_object().ok_or("not an object")?;
        known(fields, CASE_FIELDS, "of the case")?;
        Ok(Self {
            name: text(fields, "name")?,
            op: text(fields, "op")?,
            inputs: object(fields, "inputs")?,
            expect: object(fields, "expect")?,
        })
    }

    /// Whether an input is there.
    pub fn has(&self, name: &str) -> bool {
        self.inputs.contains_key(name)
    }

    /// An input of text.
    pub fn text(&self, name: &str) -> Result<&'a str, String> {
        text(self.inputs, name)
    }

    /// An input of bytes.
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>, String> {
        bytes(name, self.text(name)?)
    }

    /// An input of a given number of bytes.
    pub fn array<const N: usize>(&self, name: &str) -> Result<[u8; N], String> {
        let bytes = self.bytes(name)?;
        bytes
            .try_into()
            .map_err(|_| format!("the input {name} is not {N} bytes"))
    }

    /// An input that is a whole number.
    pub fn number(&self, name: &str) -> Result<usize, String> {
        let number = self.inputs.get(name).and_then(Value::as_u64);
        let number = number.and_then(|number| usize::try_from(number).ok());
        number.ok_or_else(|| format!("the input {name} is not a number"))
    }

    /// What is expected in a field.
    pub fn expected(&self, name: &str) -> Option<&'a Value> {
        self.expect.get(name)
    }

    /// How many bytes are expected in a field; none where the case expects something else.
    pub fn expected_length(&self, name: &str) -> Option<usize> {
        self.expect
            .get(name)
            .and_then(Value::as_str)
            .map(|text| text.len() / 2)
    }
}

impl Op {
    /// An operation that takes exactly these inputs.
    pub const fn new(
        name: &'static str,
        required: &'static [&'static str],
        compute: fn(&Case<'_>) -> Result<Answer, String>,
    ) -> Self {
        Self {
            name,
            required,
            optional: &[],
            remarks: &[],
            compute,
        }
    }

    /// With inputs that may be absent.
    pub const fn optional(mut self, names: &'static [&'static str]) -> Self {
        self.optional = names;
        self
    }

    /// With fields of `expect` that are not compared.
    pub const fn remarks(mut self, names: &'static [&'static str]) -> Self {
        self.remarks = names;
        self
    }

    /// Computes and compares.
    pub fn run(&self, case: &Case<'_>) -> Outcome {
        match self.compare(case) {
            Ok(None) => Outcome::Passed,
            Ok(Some(why)) => Outcome::Unsupported(why),
            Err(why) => Outcome::Failed(why),
        }
    }

    fn compare(&self, case: &Case<'_>) -> Result<Option<&'static str>, String> {
        known(
            case.inputs,
            &[self.required, self.optional].concat(),
            "of inputs",
        )?;
        for name in self.required {
            if !case.has(name) {
                return Err(format!("the input {name} is missing"));
            }
        }
        match (self.compute)(case)? {
            Answer::Unsupported(why) => Ok(Some(why)),
            Answer::Refused => self.compare_refusal(case).map(|()| None),
            Answer::Gave(fields) => self.compare_fields(case, &fields).map(|()| None),
        }
    }

    fn compare_refusal(&self, case: &Case<'_>) -> Result<(), String> {
        known(
            case.expect,
            &[&["error", "valid"], self.remarks].concat(),
            "of a refusal",
        )?;
        let negative = case.expect.contains_key("error")
            || case.expect.get("valid") == Some(&Value::Bool(false));
        if negative {
            Ok(())
        } else {
            Err("refused, but should be accepted".to_owned())
        }
    }

    fn compare_fields(
        &self,
        case: &Case<'_>,
        fields: &[(&'static str, Value)],
    ) -> Result<(), String> {
        if case.expect.contains_key("error") {
            let invalid = fields.contains(&("valid", Value::Bool(false)));
            let verdict = if invalid {
                Ok(())
            } else {
                Err("accepted, but should be refused")
            };
            return verdict.map_err(str::to_owned);
        }
        let mut compared = 0;
        for (name, expected) in case.expect {
            if self.remarks.contains(&name.as_str()) {
                continue;
            }
            let given = fields.iter().find(|(given, _)| given == name);
            let (_, given) = given.ok_or(format!("unknown field {name} of expect"))?;
            if !equal(given, expected) {
                return Err(format!("{name}: expected {expected}, got {given}"));
            }
            compared += 1;
        }
        if compared == 0 {
            Err("it expects nothing".to_owned())
        } else {
            Ok(())
        }
    }
}

impl Answer {
    /// One field of bytes.
    pub fn bytes(name: &'static str, bytes: &[u8]) -> Self {
        Self::Gave(vec![(name, hex(bytes))])
    }

    /// One field of text.
    pub fn text(name: &'static str, text: &str) -> Self {
        Self::Gave(vec![(name, Value::String(text.to_owned()))])
    }

    /// The verdict of a verification.
    pub fn valid(valid: bool) -> Self {
        Self::Gave(vec![("valid", Value::Bool(valid))])
    }
}

/// Bytes as the files write them.
pub fn hex(bytes: &[u8]) -> Value {
    Value::String(hex::encode_upper(bytes))
}

/// Bytes of hexadecimal text.
pub fn bytes(name: &str, text: &str) -> Result<Vec<u8>, String> {
    hex::decode(text).map_err(|_| format!("{name} is not hexadecimal"))
}

/// A field of text.
pub fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    fields
        .get(name)
        .and_then(Value::as_str)
        .ok_or(format!("the field {name} is not a text"))
}

/// A field with fields of its own.
pub fn object<'a>(
    fields: &'a Map<String, Value>,
    name: &str,
) -> Result<&'a Map<String, Value>, String> {
    fields
        .get(name)
        .and_then(Value::as_object)
        .ok_or(format!("the field {name} is no object"))
}

/// Refuses a field that is not in the list.
pub fn known(fields: &Map<String, Value>, names: &[&str], whose: &str) -> Result<(), String> {
    match fields.keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) => Err(format!("unknown field {name} {whose}")),
        None => Ok(()),
    }
}

fn equal(given: &Value, expected: &Value) -> bool {
    match (given, expected) {
        (Value::String(given), Value::String(expected)) => given.eq_ignore_ascii_case(expected),
        _ => given == expected,
    }
}

/// What every case may have; `source` and the like are for readers.
const CASE_FIELDS: &[&str] = &[
    "name",
    "source",
    "op",
    "inputs",
    "expect",
    "confirmed_by",
    "not_confirmed_by",
    "not_independent",
    "also_in",
    "note",
    "published",
];
