//! Partners' public keys in the store, and versions whose moment comes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pintle::keys::act::{Act, now};
use pintle::keys::attributes::{Origin, Residence, State};
use pintle::keys::error::{Error, Refusal};
use pintle::keys::grant::{ReadPublicKey, Sign, VerifySignature};
use pintle::keys::key_ref::KeyName;
use pintle::keys::lifecycle::{self, VersionOf};
use pintle::keys::policy::grant;
use pintle::keys::provision::Action;
use pintle::keys::record::Header;
use rusqlite::params;

use crate::desk::{Desk, everything, named, refusal, template, tenant};
use crate::import::{import, openssl, pem, public_der};
use crate::oracle::vouch_for_what_is_there;
use crate::place::Place;

const ANT: &str = r#"
[[key]]
name = "ant"
usage = "signature"
mode = "verify"
algorithm = "RSA-2048"
signature = { scheme = "RSA2" }
"#;

/// How long certificates hold here.
const DAYS: u64 = 77;

fn file(entries: &[String]) -> String {
    format!("environment = \"test\"\n{}", entries.concat())
}

fn entry(name: &str, given: &str) -> String {
    let entry = ANT.replace("\"ant\"", &format!("\"{name}\""));
    format!("{entry}{given}\n")
}

/// A public key in each form that partners give; answers SubjectPublicKeyInfo.
fn forms(place: &Place, name: &str) -> Vec<u8> {
    let key = pem(place, "RSA", &format!("{name}.key"));
    let key = key.to_str().unwrap();
    let at = |form: &str| place.folder.join(format!("{name}.{form}"));
    let info = public_der(key.as_ref());
    std::fs::write(at("base64"), STANDARD.encode(&info) + "\r\n").unwrap();
    let (public, certificate) = (at("pem"), at("crt"));
    openssl(&[
        "pkey",
        "-in",
        key,
        "-pubout",
        "-out",
        public.to_str().unwrap(),
    ]);
    let days = DAYS.to_string();
    let request = [
        "req", "-x509", "-days", &days, "-key", key, "-subj", "/CN=Ant", "-out",
    ];
    openssl(&[&request[..], &[certificate.to_str().unwrap()]].concat());
    info
}

pub fn a_partners_public_key_comes_in_as_partners_give_it_and_the_next_one_is_pending(
    place: &Place,
) {
    let desk = Desk::set_up(place);
    let (first, second) = (forms(place, "first"), forms(place, "second"));
    // A template names it, and leaves it to whoever brings it in.
    let wanted = template(ANT);
    for planned in [desk.plan(&wanted).unwrap(), desk.apply(&wanted).unwrap()] {
        assert_eq!(planned.steps[0].action, Action::Import);
    }
    let entries = ["pem", "base64", "crt"].map(|form| {
        entry(
            &format!("ant-{form}"),
            &format!("public_key = \"first.{form}\""),
        )
    });
    let headers = import(&desk, &desk.catalogue, place, &file(&entries)).unwrap();
    assert_eq!(headers.len(), 3);
    for header in headers {
        assert_eq!(header.public_key.as_ref(), Some(&first));
        assert_eq!(
            (header.origin, header.residence),
            (Origin::PublicKey, Residence::Public)
        );
        assert!(header.token_object.is_none() && header.check_value.is_none());
        let open = || desk.resolve(&desk.fresh(), header.name.as_str()).unwrap();
        assert!(grant::<VerifySignature>(&everything(), open()).is_ok());
        assert!(grant::<ReadPublicKey>(&everything(), open()).is_ok());
        let refused = refusal(grant::<Sign>(&everything(), open()));
        assert!(matches!(refused, Error::UsageRefused { .. }), "{refused}");
    }
    let bring = |given: &str| {
        let text = file(&[entry("ant", &format!("public_key = \"{given}\""))]);
        import(&desk, &desk.catalogue, place, &text)
    };
    let header = bring("first.base64").unwrap().remove(0);
    assert_eq!((header.version, header.state), (1, State::Active));
    assert!(matches!(
        desk.plan(&wanted).unwrap().steps[0].action,
        Action::Matches { .. }
    ));
    assert_eq!(header.expiry, None);
    let header = bring("second.crt").unwrap().remove(0);
    // A certificate's end is the end of the crypto-period: alarms and the countdown tell of it.
    let days = (header.expiry.unwrap() - now()).div_ceil(24 * 3600);
    assert_eq!(days, DAYS);
    assert_eq!((header.version, header.state), (2, State::Pending));
    assert_eq!(header.public_key, Some(second));
    // Pending, and yet a signature is right by it.
    let pending = desk.resolve_version(&desk.catalogue, "ant", 2).unwrap();
    assert!(grant::<VerifySignature>(&everything(), pending).is_ok());
    // An old one does not come back by being brought in again, in whatever form.
    for given in ["first.pem", "second.base64"] {
        let Error::FileRefused { faults, .. } = refusal(bring(given)) else {
            panic!("{given}")
        };
        assert_eq!(faults[0].field, "public_key");
    }
}

pub fn what_is_no_partners_key_is_told_and_nothing_is_written(place: &Place) {
    let desk = Desk::set_up(place);
    forms(place, "ant");
    std::fs::write(place.folder.join("no.txt"), "not a key").unwrap();
    let cut = std::fs::read_to_string(place.folder.join("ant.base64")).unwrap();
    std::fs::write(place.folder.join("cut.txt"), &cut[..cut.len() / 2]).unwrap();
    let mut ended = rcgen::CertificateParams::new(["ant".to_owned()]).unwrap();
    ended.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let ended = ended.self_signed(&key).unwrap().pem();
    std::fs::write(place.folder.join("ended.crt"), ended).unwrap();
    let good = "public_key = \"ant.pem\"";
    let entries = [
        entry("good", good),
        entry("absent", "public_key = \"absent.pem\""),
        entry("no-key", "public_key = \"no.txt\""),
        entry("cut", "public_key = \"cut.txt\""),
        // A private key is not handed over for a public one.
        entry("private", "public_key = \"ant.key\""),
        entry("as-pkcs8", "pkcs8 = \"ant.key\""),
        entry("both", &format!("{good}\npkcs8 = \"ant.key\"")),
        entry("nothing", ""),
        entry("longer", good).replace("RSA-2048", "RSA-3072"),
        entry("ended", "public_key = \"ended.crt\""),
        entry("signs", good).replace("verify", "sign"),
    ];
    let error = refusal(import(&desk, &desk.catalogue, place, &file(&entries)));
    let Error::FileRefused { faults, .. } = &error else {
        panic!("{error}")
    };
    let told: Vec<_> = faults
        .iter()
        .map(|fault| (fault.entry, fault.field))
        .collect();
    let expected: Vec<_> = (2..=entries.len()).map(|at| (at, "public_key")).collect();
    assert_eq!(told, expected, "{error}");
    assert!(desk.refused(&desk.catalogue).is_empty());
    let rows = |row: &rusqlite::Row<'_>| row.get::<_, u32>(0);
    let sql = "SELECT count(*) FROM key_record";
    assert_eq!(desk.file().query_row(sql, [], rows).unwrap(), 0);
}

/// A key that fields are encrypted to, with what its entry gives besides.
fn fields(name: &str, scheme: &str, given: &str) -> String {
    let weak = scheme == "RSA_PKCS1";
    format!(
        "[[key]]\nname = \"{name}\"\nusage = \"data_encryption_asymmetric\"\nmode = \"encrypt\"\n\
         algorithm = \"RSA-2048\"\nweak = {weak}\nencryption = {{ scheme = \"{scheme}\" }}\n{given}\n"
    )
}

/// A certificate of this number for the key of `theirs.key`, and that key's public half, as entries give them.
fn numbered(place: &Place) -> [&'static str; 2] {
    forms(place, "theirs");
    let path = |form: &str| place.folder.join(format!("theirs.{form}"));
    let (key, certificate) = (path("key"), path("numbered"));
    openssl(&[
        "req",
        "-x509",
        "-subj",
        "/CN=Tenpay",
        "-set_serial",
        "1234567890123",
        "-key",
        key.to_str().unwrap(),
        "-out",
        certificate.to_str().unwrap(),
    ]);
    [
        "public_key = \"theirs.numbered\"",
        "public_key = \"theirs.pem\"",
    ]
}

fn labelled(given: &str, labels: &str) -> String {
    format!("{given}\nlabels = {{ {labels} }}")
}

pub fn a_key_that_fields_are_encrypted_to_is_called_by_its_certificates_number(place: &Place) {
    let desk = Desk::set_up(place);
    let [certificate, bare] = numbered(place);
    let said = labelled(certificate, "serial = \"A0\"");
    let id = labelled(bare, "serial = \"PUB_KEY_ID_01\", bank = \"x\"");
    let entries = [
        fields("wechat", "RSA_OAEP_SHA1", certificate),
        fields("unionpay", "RSA_PKCS1", certificate),
        fields("said", "RSA_OAEP_SHA1", &said),
        fields("id", "RSA_OAEP_SHA1", &id),
        fields("unsaid", "RSA_OAEP_SHA1", bare),
        entry("verifies", certificate),
    ];
    let headers = import(&desk, &desk.catalogue, place, &file(&entries)).unwrap();
    let labels = headers.iter().map(|header| {
        let each = header.labels.iter();
        let each: Vec<_> = each.map(|(name, text)| format!("{name}={text}")).collect();
        each.join(",")
    });
    let by_number = ["serial=011F71FB04CB", "serial=1234567890123"];
    let by_label = ["serial=A0", "bank=x,serial=PUB_KEY_ID_01", "", ""];
    assert!(labels.eq(by_number.into_iter().chain(by_label)));
}

pub fn labels_of_a_file_are_few_short_and_have_names(place: &Place) {
    let desk = Desk::set_up(place);
    let [certificate, bare] = numbered(place);
    let sixteen: Vec<_> = (0..16).map(|label| format!("l{label} = \"\"")).collect();
    let sixteen = sixteen.join(", ");
    let given = [
        // With the certificate's number it would be one too many.
        labelled(certificate, &sixteen),
        labelled(bare, &format!("{sixteen}, more = \"\"")),
        labelled(bare, "Serial = \"A0\""),
        labelled(bare, "serial = \"a\\nb\""),
    ];
    let entries = [0, 1, 2, 3].map(|at| fields(&format!("k{at}"), "RSA_OAEP_SHA1", &given[at]));
    let error = refusal(import(&desk, &desk.catalogue, place, &file(&entries)));
    let Error::FileRefused { faults, .. } = &error else {
        panic!("{error}")
    };
    let told = faults.iter().map(|fault| (fault.entry, fault.field));
    assert!(told.eq((1..=4).map(|at| (at, "labels"))), "{error}");
    let room = fields("room", "RSA_OAEP_SHA1", &labelled(bare, &sixteen));
    import(&desk, &desk.catalogue, place, &file(&[room])).unwrap();
}

/// With the store's file and even the root's key: the seal is over the public key too.
pub fn nobody_puts_a_key_of_his_own_in_a_partners_place(place: &Place) {
    let desk = Desk::set_up(place);
    let (theirs, own) = (forms(place, "theirs"), forms(place, "own"));
    let text = file(&[entry("ant", "public_key = \"theirs.pem\"")]);
    import(&desk, &desk.catalogue, place, &text).unwrap();
    assert!(desk.resolve(&desk.fresh(), "ant").is_ok());
    let read = |row: &rusqlite::Row<'_>| row.get::<_, Vec<u8>>(0);
    let sql = "SELECT header FROM key_record WHERE name = 'ant'";
    let mut header = desk.file().query_row(sql, [], read).unwrap();
    let at = header.windows(theirs.len()).position(|part| part == theirs);
    header[at.unwrap()..][..own.len()].copy_from_slice(&own);
    let sql = "UPDATE key_record SET header = ?1 WHERE name = 'ant'";
    desk.file().execute(sql, params![header]).unwrap();
    let refused = || refusal(desk.resolve(&desk.fresh(), "ant"));
    assert_eq!(named(&refused()), Some(("ant", Refusal::RowDiffers)));
    vouch_for_what_is_there(&desk);
    assert_eq!(named(&refused()), Some(("ant", Refusal::NotAuthentic)));
}

/// A version serves from its moment on, but a server writes that down only later.
pub fn a_moment_that_nobody_wrote_down_can_be_taken_back_and_is_written_down_with_it(
    place: &Place,
) {
    use State::{Active, Disabled, Pending, Retiring};
    let key = Rotated::set_up(place);
    // Two wait for moments that are near; the newer one is to serve.
    key.rotate_twice();
    key.wait_for_the_moments();
    assert_eq!(key.states(), [Pending, Pending, Active]);
    assert_eq!(key.serving(), 3);
    key.set(1, Active).unwrap();
    assert_eq!(key.states(), [Retiring, Retiring, Active]);
    assert_eq!(key.serving(), 1);
    assert!(key.sweep().is_empty());
    // Forward again, and what serves already does not begin once more.
    key.set(3, Active).unwrap();
    let refused = refusal(key.set(3, Active));
    assert!(matches!(refused, Error::StateOrder { .. }), "{refused}");
    assert_eq!(key.states(), [Active, Retiring, Retiring]);
    // Stopped in its first second: what it replaced stays retired until somebody says otherwise.
    key.rotate_twice();
    key.wait_for_the_moments();
    key.set(5, Disabled).unwrap();
    assert_eq!(
        key.states(),
        [Disabled, Retiring, Retiring, Retiring, Retiring]
    );
}

pub fn of_two_moments_that_came_the_newer_version_is_written_down_as_active(place: &Place) {
    use State::{Active, Retiring};
    let key = Rotated::set_up(place);
    key.rotate_twice();
    assert_eq!(key.used(0), 1);
    key.wait_for_the_moments();
    // Also to a server that was asked for the old version by its number in between.
    for _ in 0..2 {
        assert_eq!(key.used(1), 1);
        assert_eq!(key.used(0), 3);
    }
    assert_eq!(key.sweep(), [3]);
    assert_eq!(key.states(), [Active, Retiring, Retiring]);
    assert_eq!(key.serving(), 3);
    assert!(key.sweep().is_empty());
}

/// A signing key whose versions come one after the other.
struct Rotated {
    desk: Desk,
    name: KeyName,
    tenant: KeyName,
}

impl Rotated {
    fn set_up(place: &Place) -> Self {
        let desk = Desk::set_up(place);
        let own = ANT.replace("verify", "sign").replace("RSA-2048", "SM2");
        desk.apply(&template(&own.replace("RSA2", "SM2"))).unwrap();
        let name = KeyName::parse("ant").unwrap();
        Self {
            desk,
            name,
            tenant: tenant(),
        }
    }

    /// Two versions more, whose moments are near.
    fn rotate_twice(&self) {
        let of = (&self.tenant, &self.name);
        for _ in 0..2 {
            let (at, act) = (Some(now() + 2), Act::operator());
            let rotated = lifecycle::rotate(&self.desk.catalogue, of, at, None, &act);
            self.desk.runtime.block_on(rotated).unwrap();
        }
    }

    fn wait_for_the_moments(&self) {
        std::thread::sleep(std::time::Duration::from_millis(2100));
        self.desk
            .runtime
            .block_on(self.desk.catalogue.poll())
            .unwrap();
    }

    fn set(&self, version: u32, to: State) -> Result<Header, Error> {
        let of = VersionOf {
            tenant: &self.tenant,
            name: &self.name,
            version,
        };
        let act = Act::operator();
        let set = lifecycle::set_state(&self.desk.catalogue, of, to, &act);
        self.desk.runtime.block_on(set)
    }

    /// As they are written, newest first.
    fn states(&self) -> Vec<State> {
        let versions = lifecycle::versions(&self.desk.catalogue, &self.tenant, &self.name);
        let versions = self.desk.runtime.block_on(versions).unwrap();
        versions.iter().map(|header| header.state).collect()
    }

    fn serving(&self) -> u32 {
        let open = self.desk.resolve(&self.desk.fresh(), self.name.as_str());
        open.unwrap().header().version
    }

    /// By the one catalogue that is used all the time.
    fn used(&self, version: u32) -> u32 {
        let (desk, name) = (&self.desk, self.name.as_str());
        let open = desk.resolve_version(&desk.catalogue, name, version);
        open.unwrap().header().version
    }

    fn sweep(&self) -> Vec<u32> {
        let of = (&self.tenant, &self.name);
        let swept = lifecycle::sweep(&self.desk.catalogue, of, now());
        let swept = self.desk.runtime.block_on(swept).unwrap();
        swept.iter().map(|header| header.version).collect()
    }
}
