//! Every key that stays on the token, judged by its template: one that lets itself or another out,
//! or does two things, is named, whoever made it. Usages are the attacker's tools too: who has the
//! PIN may call whatever a template allows (Clulow, CHES 2003; Bortolozzo et al., CCS 2010).
//!
//! Session objects are not looked at: they are this process's own, other processes' are not to be
//! seen, and one on its way out (`wrapped`) is extractable for one call. Never reads a value.
//! That the master keys are there and theirs is `master`'s to say; its check is the stricter one.

use std::collections::HashSet;
use std::fmt;

use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::Session;
use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_KEY_TYPE, CK_MECHANISM_TYPE, CK_OBJECT_CLASS, CK_ULONG,
    CKA_ALLOWED_MECHANISMS, CKA_CLASS, CKA_COPYABLE, CKA_DECRYPT, CKA_DERIVE, CKA_ENCRYPT,
    CKA_EXTRACTABLE, CKA_ID, CKA_KEY_TYPE, CKA_LABEL, CKA_MODIFIABLE, CKA_PRIVATE, CKA_SENSITIVE,
    CKA_SIGN, CKA_TRUSTED, CKA_UNWRAP, CKA_VERIFY, CKA_WRAP, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY,
    CKO_SECRET_KEY,
};

use crate::hsm::error::{Class, Error};
use crate::hsm::mechanism::Use;
use crate::hsm::profile::Profile;
use crate::hsm::raw::Calls;
use crate::hsm::{kept, master, sensitive_field};
use crate::limits;

/// A key whose template is unsafe, and the rule that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsafeKey {
    /// `secret key`, `private key` or `public key`.
    pub class: &'static str,
    /// `CKA_LABEL`.
    pub label: String,
    /// `CKA_ID`.
    pub id: Vec<u8>,
    /// The rule's short name.
    pub rule: &'static str,
    /// What is wrong, as a sentence about the key.
    pub fault: &'static str,
}

impl fmt::Display for UnsafeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            class, label, id, ..
        } = self;
        let id = hex::encode(id);
        write!(
            f,
            "{class} {label:?} (CKA_ID {id}) {} ({})",
            self.fault, self.rule
        )
    }
}

/// Refuses a token with an unsafe key, by the first that is found.
pub(in crate::hsm) fn all(
    session: &Session,
    calls: &Calls,
    profile: &Profile,
) -> Result<(), Error> {
    match findings(session, calls, profile)?.into_iter().next() {
        Some(found) => Err(Error::TemplateUnsafe(Box::new(found))),
        None => Ok(()),
    }
}

/// Every unsafe key, once for each rule it breaks.
pub(in crate::hsm) fn findings(
    session: &Session,
    calls: &Calls,
    profile: &Profile,
) -> Result<Vec<UnsafeKey>, Error> {
    let stays = [Attribute::Token(true)];
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    for object in session.find_objects(&stays)? {
        let sheet = match Sheet::read(session, calls, object) {
            Ok(Some(sheet)) => sheet,
            Ok(None) => continue,
            // Destroyed since it was found; of a token that is away every object is invalid, and
            // none is found.
            Err(error) if error.class() == Class::Object => {
                if session.find_objects(&stays)?.contains(&object) {
                    return Err(error);
                }
                continue;
            }
            Err(error) => return Err(error),
        };
        let is_twin = kept::is_ours(&sheet.label)
            && !seen.insert((
                sheet.class,
                sheet.key_type,
                sheet.label.clone(),
                sheet.id.clone(),
            ));
        let twin = is_twin.then_some(&TWIN);
        let broken = RULES.iter().filter(|rule| (rule.broken)(&sheet, profile));
        found.extend(broken.chain(twin).map(|rule| sheet.breaks(rule)));
    }
    Ok(found)
}

/// One rule: its name, what is wrong with a key that breaks it, and how that is seen.
struct Rule {
    name: &'static str,
    fault: &'static str,
    broken: fn(&Sheet, &Profile) -> bool,
}

const RULES: [Rule; 18] = [
    // C_GetAttributeValue of CKA_VALUE.
    Rule {
        name: "sensitive",
        fault: "can be read: it is not CKA_SENSITIVE",
        broken: |key, _| key.is_closed() && !key.is(CKA_SENSITIVE),
    },
    // C_WrapKey under any key of the attacker's own, and C_Decrypt or arithmetic outside.
    Rule {
        name: "extractable",
        fault: "can be wrapped and taken out: it is CKA_EXTRACTABLE",
        broken: |key, _| key.is_closed() && key.flag(CKA_EXTRACTABLE) != Some(false),
    },
    // Usable without the PIN by whoever reaches the token.
    Rule {
        name: "private",
        fault: "can be used without a login: it is not CKA_PRIVATE",
        broken: |key, _| key.is_closed() && !key.is(CKA_PRIVATE),
    },
    // Wrap a key, decrypt what came out: twelve calls of ECB undo RFC 3394 (Clulow §2.2).
    Rule {
        name: "wrap+decrypt",
        fault: "both wraps and decrypts: what it wraps it gives away",
        broken: |key, _| key.is(CKA_WRAP) && key.is(CKA_DECRYPT),
    },
    // The same the other way: a key that arrived wrapped for the token is decrypted into the clear.
    Rule {
        name: "unwrap+decrypt",
        fault: "both unwraps and decrypts: what was wrapped under it can be had in the clear",
        broken: |key, _| key.is(CKA_UNWRAP) && key.is(CKA_DECRYPT),
    },
    // Encrypt a value of one's own, unwrap it: a key the attacker knows, under our roof.
    Rule {
        name: "unwrap+encrypt",
        fault: "both unwraps and encrypts: known values become keys of the token",
        broken: |key, _| key.is(CKA_UNWRAP) && key.is(CKA_ENCRYPT),
    },
    // A CBC-MAC or CMAC is an encryption of one's own choosing; see the rule before.
    Rule {
        name: "unwrap+sign",
        fault: "both unwraps and signs: a MAC of a chosen block is its encryption",
        broken: |key, _| key.is(CKA_UNWRAP) && key.is(CKA_SIGN),
    },
    // ECB of the zero block gives CMAC's subkeys, and with them forgeries; and a key that wraps and
    // signs makes wrapped keys from MACs.
    Rule {
        name: "two uses",
        fault: "does two things: encrypting, wrapping and authenticating are a key each",
        broken: |key, _| key.class == CKO_SECRET_KEY && key.uses() > 1,
    },
    // CKM_EXTRACT_KEY_FROM_KEY and its like take a value out byte by byte (Clulow §2.3).
    Rule {
        name: "derive",
        fault: "derives: its value comes out piece by piece",
        broken: |key, _| key.class == CKO_SECRET_KEY && key.is(CKA_DERIVE),
    },
    // Raw RSA is one operation: a decryption is a signature of a chosen number, a signature opens
    // what was encrypted. Not so where the token lets it sign over a hash and decrypt by OAEP only, as the
    // keys of `sensitive_field`: neither takes a chosen number.
    Rule {
        name: "sign+open",
        fault: "both signs and opens: a signature of a chosen block opens what was encrypted",
        broken: |key, _| {
            let opens = key.is(CKA_UNWRAP)
                || key.is(CKA_DERIVE)
                || (key.is(CKA_DECRYPT) && !sensitive_field::is_bound(&key.allowed));
            key.class == CKO_PRIVATE_KEY && key.is(CKA_SIGN) && opens
        },
    },
    // C_SetAttributeValue turns on whatever the rules above forbid.
    Rule {
        name: "modifiable",
        fault: "can be given any other use: it is CKA_MODIFIABLE",
        broken: |key, _| key.is_closed() && key.is(CKA_MODIFIABLE),
    },
    // So does C_CopyObject: on kryoptic a copy of an unmodifiable key gains WRAP, DERIVE, MODIFIABLE.
    Rule {
        name: "copyable",
        fault: "can be copied with any other use: it is CKA_COPYABLE",
        broken: |key, _| key.is_closed() && key.is(CKA_COPYABLE),
    },
    // C_UnwrapKey with SENSITIVE = false, then CKA_VALUE: whoever has a blob has the key.
    Rule {
        name: "unwrap template",
        fault: "unwraps without pinning what comes of it: CKA_UNWRAP_TEMPLATE leaves something open",
        broken: |key, _| key.is(CKA_UNWRAP) && !key.pins,
    },
    // A GCM key under ECB gives its hash subkey; an AES key under a derivation its value.
    Rule {
        name: "any mechanism",
        fault: "works by any mechanism: it has no CKA_ALLOWED_MECHANISMS",
        broken: |key, _| key.class == CKO_SECRET_KEY && key.allowed.is_empty(),
    },
    Rule {
        name: "wide mechanisms",
        fault: "works by more than its use needs: its CKA_ALLOWED_MECHANISMS are too many or another's",
        broken: |key, profile| key.class == CKO_SECRET_KEY && key.is_wide(profile),
    },
    // Who knows the other half of a planted pair wraps whatever may leave under it.
    Rule {
        name: "public wrap",
        fault: "wraps, and anybody may have its private half",
        broken: |key, _| key.class == CKO_PUBLIC_KEY && key.is(CKA_WRAP),
    },
    // What is WRAP_WITH_TRUSTED leaves under it; kryoptic lets any user make one.
    Rule {
        name: "trusted",
        fault: "is trusted to wrap others: it is CKA_TRUSTED",
        broken: |key, _| key.is(CKA_TRUSTED),
    },
    // A key of another kind under a master key's name is taken for it by people, and by tools.
    Rule {
        name: "impostor",
        fault: "has a master key's label and is none",
        broken: |key, _| master::is_impostor(&key.label, key.class, key.key_type),
    },
];

/// Which of two keys of one name is used is chance, or the choice of who planted the second.
const TWIN: Rule = Rule {
    name: "twin",
    fault: "is there twice, by its label and CKA_ID",
    broken: |_, _| false,
};

const FLAGS: [CK_ATTRIBUTE_TYPE; 13] = [
    CKA_PRIVATE,
    CKA_SENSITIVE,
    CKA_EXTRACTABLE,
    CKA_MODIFIABLE,
    CKA_COPYABLE,
    CKA_ENCRYPT,
    CKA_DECRYPT,
    CKA_WRAP,
    CKA_UNWRAP,
    CKA_SIGN,
    CKA_VERIFY,
    CKA_DERIVE,
    CKA_TRUSTED,
];

/// What is read of one key, in one call.
struct Sheet {
    class: CK_OBJECT_CLASS,
    key_type: Option<CK_KEY_TYPE>,
    label: Vec<u8>,
    id: Vec<u8>,
    flags: [Option<bool>; FLAGS.len()],
    allowed: Vec<CK_MECHANISM_TYPE>,
    pins: bool,
}

impl Sheet {
    /// `None` for what is no key.
    fn read(session: &Session, calls: &Calls, object: ObjectHandle) -> Result<Option<Self>, Error> {
        let mut wanted = vec![
            (CKA_CLASS, size_of::<CK_ULONG>()),
            (CKA_KEY_TYPE, size_of::<CK_ULONG>()),
            (CKA_LABEL, limits::SCAN_NAME_BYTES),
            (CKA_ID, limits::SCAN_NAME_BYTES),
            (
                CKA_ALLOWED_MECHANISMS,
                limits::SCAN_MECHANISMS * size_of::<CK_MECHANISM_TYPE>(),
            ),
        ];
        wanted.extend(FLAGS.map(|flag| (flag, 1)));
        let mut read = calls.attributes(session, object, &wanted)?.into_iter();
        let mut next = || read.next().flatten();
        let class = next().as_deref().and_then(number);
        let Some(class) = class.filter(|class| KEYS.iter().any(|(key, _)| key == class)) else {
            return Ok(None);
        };
        let mut sheet = Self {
            class,
            key_type: next().as_deref().and_then(number),
            label: next().unwrap_or_default(),
            id: next().unwrap_or_default(),
            allowed: numbers(&next().unwrap_or_default()),
            flags: [None; FLAGS.len()],
            pins: false,
        };
        for flag in &mut sheet.flags {
            *flag = match next().as_deref() {
                Some([0]) => Some(false),
                Some([_]) => Some(true),
                _ => None,
            };
        }
        if sheet.is(CKA_UNWRAP) {
            sheet.pins = master::pins_everything(&calls.unwrap_template(session, object)?);
        }
        Ok(Some(sheet))
    }

    fn flag(&self, flag: CK_ATTRIBUTE_TYPE) -> Option<bool> {
        let at = FLAGS.iter().position(|known| *known == flag)?;
        self.flags[at]
    }

    fn is(&self, flag: CK_ATTRIBUTE_TYPE) -> bool {
        self.flag(flag) == Some(true)
    }

    /// A secret or private key.
    fn is_closed(&self) -> bool {
        self.class != CKO_PUBLIC_KEY
    }

    fn does(&self, usage: Use) -> bool {
        match usage {
            Use::Cipher => self.is(CKA_ENCRYPT) || self.is(CKA_DECRYPT),
            Use::Wrap => self.is(CKA_WRAP) || self.is(CKA_UNWRAP),
            Use::Authenticate => self.is(CKA_SIGN) || self.is(CKA_VERIFY),
        }
    }

    fn uses(&self) -> usize {
        let uses = [Use::Cipher, Use::Wrap, Use::Authenticate];
        uses.into_iter().filter(|usage| self.does(*usage)).count()
    }

    /// More mechanisms than one, or one that is for another use. One that this service does not
    /// know is another application's, and its own affair.
    fn is_wide(&self, profile: &Profile) -> bool {
        let strange = |number| {
            profile
                .use_of(number)
                .is_some_and(|usage| !self.does(usage))
        };
        self.allowed.len() > 1 || self.allowed.iter().any(|number| strange(*number))
    }

    fn breaks(&self, rule: &Rule) -> UnsafeKey {
        let class = KEYS.iter().find(|(class, _)| *class == self.class);
        UnsafeKey {
            class: class.map_or("object", |(_, name)| name),
            label: String::from_utf8_lossy(&self.label).into_owned(),
            id: self.id.clone(),
            rule: rule.name,
            fault: rule.fault,
        }
    }
}

const KEYS: [(CK_OBJECT_CLASS, &str); 3] = [
    (CKO_SECRET_KEY, "secret key"),
    (CKO_PRIVATE_KEY, "private key"),
    (CKO_PUBLIC_KEY, "public key"),
];

fn number(bytes: &[u8]) -> Option<CK_ULONG> {
    Some(CK_ULONG::from_ne_bytes(bytes.try_into().ok()?))
}

fn numbers(bytes: &[u8]) -> Vec<CK_MECHANISM_TYPE> {
    let each = bytes.chunks_exact(size_of::<CK_MECHANISM_TYPE>());
    each.filter_map(number).collect()
}
