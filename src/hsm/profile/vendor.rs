//! What a make of token does its own way, as a file says it: numbers that no standard gives (SM2,
//! SM3, SM4; GM/T and OASIS have none), the number it means RFC 5649 by, and what it wants asked
//! otherwise. A number is a claim: the trial says whether the token at hand keeps it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::hsm::error::Error;
use crate::hsm::mechanism::{Allowed, SmMechanism};
use crate::limits;

/// Which profile a token has, where its manufacturer is not to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProfileChoice {
    /// One that the program brings along.
    Named(String),
    /// A file of the operator's own.
    File(PathBuf),
}

impl ProfileChoice {
    /// `x.toml` and what has a folder in it is a file, anything else a name.
    pub fn of(text: &str) -> Self {
        let path = Path::new(text);
        if path.components().count() > 1 || path.extension().is_some_and(|end| end == "toml") {
            return Self::File(path.to_owned());
        }
        Self::Named(text.to_owned())
    }
}

/// One make of token.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::hsm) struct Vendor {
    pub name: String,
    /// The public document or header that the numbers are from.
    pub source: String,
    /// Parts of `manufacturerID` that it is known by.
    manufacturer: Vec<String>,
    /// Parts of `model`, where the manufacturer has others too.
    #[serde(default)]
    model: Vec<String>,
    /// The number that it means RFC 5649 by.
    kwp: Option<u64>,
    #[serde(default)]
    pub sm: SmNumbers,
    #[serde(default)]
    pub quirks: Quirks,
}

/// Numbers of mechanisms and key types of the Chinese standards.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::hsm) struct SmNumbers {
    pub ckk_sm2: Option<u64>,
    pub ckk_sm4: Option<u64>,
    sm4_key_gen: Option<u64>,
    sm4_ecb: Option<u64>,
    sm4_cbc: Option<u64>,
    sm4_mac: Option<u64>,
    sm2_key_gen: Option<u64>,
    sm2_sign: Option<u64>,
    sm2_sign_sm3: Option<u64>,
    sm3: Option<u64>,
}

/// What it wants asked otherwise.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::hsm) struct Quirks {
    /// C_UnwrapKey wants CKA_VALUE_LEN for a secret key; others refuse it.
    #[serde(default)]
    pub value_len_on_unwrap: bool,
    /// Sessions for symmetric work that it is fastest with.
    pub symmetric_workers: Option<usize>,
}

impl SmNumbers {
    /// The mechanisms it has numbers for.
    pub fn mechanisms(&self) -> impl Iterator<Item = (SmMechanism, u64)> {
        SmMechanism::ALL
            .into_iter()
            .filter_map(|mechanism| Some((mechanism, self.number(mechanism)?)))
    }

    fn number(&self, mechanism: SmMechanism) -> Option<u64> {
        match mechanism {
            SmMechanism::Sm4KeyGen => self.sm4_key_gen,
            SmMechanism::Sm4Ecb => self.sm4_ecb,
            SmMechanism::Sm4Cbc => self.sm4_cbc,
            SmMechanism::Sm4Mac => self.sm4_mac,
            SmMechanism::Sm2KeyGen => self.sm2_key_gen,
            SmMechanism::Sm2Sign => self.sm2_sign,
            SmMechanism::Sm2SignSm3 => self.sm2_sign_sm3,
            SmMechanism::Sm3 => self.sm3,
        }
    }
}

impl Vendor {
    /// The profile chosen, or else the one its manufacturer and model are known by, or none.
    ///
    /// # Errors
    /// [`Error::ProfileUnknown`], [`Error::ProfileFile`].
    pub fn find(
        choice: Option<&ProfileChoice>,
        manufacturer: &str,
        model: &str,
    ) -> Result<Option<Arc<Self>>, Error> {
        let vendor = match choice {
            Some(ProfileChoice::File(path)) => Some(Self::read(path)?),
            Some(ProfileChoice::Named(name)) => {
                let text = BUILT_IN.iter().find(|(known, _)| known == name);
                let (known, text) = text.ok_or_else(|| Error::ProfileUnknown {
                    name: name.clone(),
                    known: names(),
                })?;
                Some(Self::parse(Path::new(known), text)?)
            }
            None => {
                let mut fits = None;
                for (name, text) in BUILT_IN {
                    let vendor = Self::parse(Path::new(name), text)?;
                    if fits.is_none() && vendor.fits(manufacturer, model) {
                        fits = Some(vendor);
                    }
                }
                fits
            }
        };
        Ok(vendor.map(Arc::new))
    }

    /// RFC 5649 by its number, which is one of two.
    pub fn kwp(&self) -> Option<Allowed> {
        KWP.into_iter().find(|kwp| Some(kwp.number()) == self.kwp)
    }

    fn read(path: &Path) -> Result<Self, Error> {
        let refuse = |why: &dyn ToString| Error::ProfileFile {
            path: path.to_owned(),
            why: why.to_string(),
        };
        let bytes = std::fs::metadata(path)
            .map_err(|error| refuse(&error))?
            .len();
        if bytes > limits::PROFILE_BYTES_MAX {
            return Err(refuse(&"it is too long for a profile"));
        }
        let text = std::fs::read_to_string(path).map_err(|error| refuse(&error))?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let refuse = |why: String| Error::ProfileFile {
            path: path.to_owned(),
            why,
        };
        let vendor: Self = toml::from_str(text).map_err(|error| refuse(error.to_string()))?;
        match vendor.fault() {
            Some(why) => Err(refuse(why.to_owned())),
            None => Ok(vendor),
        }
    }

    fn fault(&self) -> Option<&'static str> {
        if self.kwp.is_some() && self.kwp().is_none() {
            return Some("kwp must be 0x210A or 0x210B");
        }
        let mut numbers: Vec<u64> = self.sm.mechanisms().map(|(_, number)| number).collect();
        // Under another's number the token would do another thing.
        numbers.extend(Allowed::ALL.map(Allowed::number));
        numbers.sort_unstable();
        if numbers.windows(2).any(|pair| pair[0] == pair[1]) {
            return Some("two mechanisms have one number");
        }
        let [sm2, sm4] = [self.sm.ckk_sm2, self.sm.ckk_sm4];
        if sm2.is_some() && sm2 == sm4 {
            return Some("two key types have one number");
        }
        let workers = 1..=limits::POOL_WORKERS_MAX;
        let asked = self.quirks.symmetric_workers;
        if asked.is_some_and(|asked| !workers.contains(&asked)) {
            return Some("symmetric_workers must be 1 to 64");
        }
        None
    }

    fn fits(&self, manufacturer: &str, model: &str) -> bool {
        let says = |text: &str, parts: &[String]| {
            let text = text.to_lowercase();
            parts.iter().any(|part| text.contains(&part.to_lowercase()))
        };
        says(manufacturer, &self.manufacturer)
            && (self.model.is_empty() || says(model, &self.model))
    }
}

const KWP: [Allowed; 2] = [Allowed::AesKwp, Allowed::AesKwpAt210A];

const BUILT_IN: [(&str, &str); 5] = [
    ("softhsm", include_str!("softhsm.toml")),
    ("kryoptic", include_str!("kryoptic.toml")),
    ("swpkcs11", include_str!("swpkcs11.toml")),
    ("ep11", include_str!("ep11.toml")),
    ("westone", include_str!("westone.toml")),
];

fn names() -> String {
    BUILT_IN.map(|(name, _)| name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vendor, Error> {
        Vendor::parse(Path::new("test"), text)
    }

    fn found(choice: Option<&ProfileChoice>, manufacturer: &str, model: &str) -> Option<String> {
        let vendor = Vendor::find(choice, manufacturer, model).unwrap();
        vendor.map(|vendor| vendor.name.clone())
    }

    #[test]
    fn every_built_in_profile_parses_and_says_its_source() {
        for (name, text) in BUILT_IN {
            let vendor = parse(text).unwrap();
            assert_eq!(vendor.name, name);
            assert!(!vendor.source.is_empty() && !vendor.manufacturer.is_empty());
        }
    }

    #[test]
    fn a_profile_is_chosen_by_manufacturer_by_name_or_as_a_file() {
        assert_eq!(
            found(None, "SoftHSM project", "SoftHSM v2").unwrap(),
            "softhsm"
        );
        assert_eq!(found(None, "Kryoptic Project", "v1").unwrap(), "kryoptic");
        assert_eq!(found(None, "SANSEC", "SJJ1012").unwrap(), "swpkcs11");
        assert_eq!(found(None, "IBM", "EP11").unwrap(), "ep11");
        assert_eq!(found(None, "IBM", "Soft"), None);
        assert_eq!(found(None, "Anybody", "EP11"), None);
        let westone = ProfileChoice::of("westone");
        assert_eq!(
            found(Some(&westone), "SoftHSM project", "x").unwrap(),
            "westone"
        );
        let unknown = Vendor::find(Some(&ProfileChoice::of("unknown")), "SoftHSM", "x");
        assert!(matches!(unknown, Err(Error::ProfileUnknown { .. })));

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.toml");
        std::fs::write(&path, "name = \"own\"\nsource = \"x\"\nmanufacturer = []\n").unwrap();
        let own = ProfileChoice::of(path.to_str().unwrap());
        assert_eq!(own, ProfileChoice::File(path.clone()));
        assert_eq!(found(Some(&own), "SoftHSM project", "x").unwrap(), "own");
        std::fs::remove_file(&path).unwrap();
        let gone = Vendor::find(Some(&own), "SoftHSM project", "x");
        assert!(matches!(gone, Err(Error::ProfileFile { .. })));
    }

    #[test]
    fn no_two_profiles_claim_one_manufacturer() {
        for (name, text) in BUILT_IN {
            let vendor = parse(text).unwrap();
            let model = vendor.model.first().map_or("", String::as_str);
            for manufacturer in &vendor.manufacturer {
                let claims = BUILT_IN.iter().filter(|(_, text)| {
                    let other = parse(text).unwrap();
                    other.fits(manufacturer, model)
                });
                assert_eq!(claims.count(), 1, "{name}: {manufacturer}");
            }
        }
    }

    #[test]
    fn what_a_profile_cannot_mean_is_refused() {
        let head = "name = \"x\"\nsource = \"x\"\nmanufacturer = [\"x\"]\n";
        parse(head).unwrap();
        for wrong in [
            "serial = \"x\"",
            "kwp = 0x2109",
            "[sm]\nsm9_sign = 1",
            "[sm]\nsm4_ecb = 0x80000001\nsm4_cbc = 0x80000001",
            // CKM_AES_ECB.
            "[sm]\nsm4_ecb = 0x1081",
            "[sm]\nckk_sm2 = 1\nckk_sm4 = 1",
            "[sm]\nsm3 = -1",
            "[quirks]\nrefuses_everything = true",
            "[quirks]\nsymmetric_workers = 0",
        ] {
            let refused = parse(&format!("{head}{wrong}\n"));
            assert!(matches!(refused, Err(Error::ProfileFile { .. })), "{wrong}");
        }
    }
}
