//! Keys with known values.

use std::path::{Path, PathBuf};
use std::process::Command;

use pintle::domain::{rsa, sm2};
use pintle::hsm::RsaHash;
use pintle::keys::attributes::{Environment, Origin, Residence};
use pintle::keys::catalogue::Catalogue;
use pintle::keys::error::Error;
use pintle::keys::grant::{Sign, Signer};
use pintle::keys::import::{import_file, import_pkcs8, import_test_value};
use pintle::keys::open_key::PublicKey;
use pintle::keys::policy::grant;
use pintle::keys::record::Header;
use pintle::keys::resident::RsaKey;
use pintle::keys::spec::KeySpec;
use pintle::secret::Secret;

use crate::desk::{Desk, everything, open, refusal, soon, template, tenant};
use crate::place::Place;

/// Key and check value of `openemv/tr31`'s tests.
const TDES: &str = "5DB50B454F8389ADCE573BE50861F2BF";
const TDES_CHECK_VALUE: &str = "5C9405";
const MESSAGE: &[u8] = b"app_id=2021&method=alipay.trade.precreate";

const ZPK: &str = r#"
[[key]]
name = "zpk"
usage = "pin_encryption"
mode = "encrypt"
side = "zone"
algorithm = "TDES-2"
pin = { output = "ISO_0" }
"#;
const RSA: &str = r#"
[[key]]
name = "rsa"
usage = "signature"
mode = "sign"
algorithm = "RSA-2048"
signature = { scheme = "RSA2" }
"#;
const SM2: &str = r#"
[[key]]
name = "sm2"
usage = "signature"
mode = "sign"
algorithm = "SM2"
signature = { scheme = "SM2" }
"#;

pub fn a_file_of_known_keys_is_imported(place: &Place) {
    let desk = Desk::set_up(place);
    let (rsa_pem, sm2_pem) = (pem(place, "RSA", "rsa.pem"), pem(place, "SM2", "sm2.pem"));
    let text = format!(
        "environment = \"test\"\n{ZPK}value = \"{TDES}\"\ncheck_value = \"{TDES_CHECK_VALUE}\"\n\
         {RSA}pkcs8 = \"rsa.pem\"\n{SM2}pkcs8 = \"sm2.pem\"\n"
    );
    let headers = import(&desk, &desk.catalogue, place, &text).unwrap();
    assert_eq!(headers.len(), 3);
    let kcv = headers[0].check_value.as_ref().unwrap();
    assert_eq!(hex::encode_upper(&kcv.bytes), TDES_CHECK_VALUE);
    let origins = [
        Origin::ImportedValue,
        Origin::ImportedPkcs8,
        Origin::ImportedPkcs8,
    ];
    assert_eq!([0, 1, 2].map(|at| headers[at].origin), origins);
    assert!(desk.resolve(&desk.catalogue, "zpk").is_ok());

    let fresh = desk.fresh();
    let rsa = grant::<Sign>(&everything(), desk.resolve(&fresh, "rsa").unwrap()).unwrap();
    let (Signer::Rsa { key, hash }, PublicKey::Rsa(public)) = (rsa.signer(), rsa.public_key())
    else {
        panic!("an RSA key")
    };
    assert!(matches!(key, RsaKey::Resident(_)));
    assert_eq!(
        (hash, public.to_spki()),
        (RsaHash::Sha256, public_der(&rsa_pem))
    );
    let signed = key.sign(soon(), hash, MESSAGE.to_vec()).wait().unwrap();
    assert!(rsa::verify(public, rsa::Hash::Sha256, MESSAGE, &signed).is_ok());

    let sm2_key = grant::<Sign>(&everything(), desk.resolve(&fresh, "sm2").unwrap()).unwrap();
    let (Signer::Sm2(private), PublicKey::Sm2(public)) = (sm2_key.signer(), sm2_key.public_key())
    else {
        panic!("an SM2 key")
    };
    assert_eq!(public.to_spki(), public_der(&sm2_pem));
    let signed = sm2::sign(private, sm2::ID_DEFAULT, MESSAGE, &[1; 32]);
    assert!(sm2::verify(public, sm2::ID_DEFAULT, MESSAGE, &signed).is_ok());

    // Twice is refused, not overwritten.
    let error = refusal(import(&desk, &desk.catalogue, place, &text));
    let Error::FileRefused { faults, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(
        faults.iter().map(|fault| fault.entry).collect::<Vec<_>>(),
        [1, 2, 3]
    );
}

pub fn every_bad_entry_is_told_and_nothing_is_written(place: &Place) {
    let desk = Desk::set_up(place);
    pem(place, "RSA", "rsa.pem");
    pem(place, "SM2", "sm2.pem");
    std::fs::write(place.folder.join("no.pem"), "not PEM").unwrap();
    let zpk = |name: &str, rest: &str| format!("{}{rest}\n", ZPK.replace("zpk", name));
    let entries = [
        // Good ones, which must not be written either.
        format!("{RSA}pkcs8 = \"rsa.pem\"\n"),
        zpk("good", &format!("value = \"{TDES}\"")),
        zpk("no-hex", "value = \"XY\""),
        zpk("short", "value = \"0123456789ABCDEF\""),
        zpk("halved", "value = \"0123456789ABCDEF0123456789ABCDEF\""),
        zpk("weak", "value = \"01010101010101010123456789ABCDEF\""),
        zpk("no-value", ""),
        zpk(
            "wrong-kcv",
            &format!("value = \"{TDES}\"\ncheck_value = \"5C9406\""),
        ),
        zpk(
            "short-kcv",
            &format!("value = \"{TDES}\"\ncheck_value = \"5C94\""),
        ),
        zpk("good", &format!("value = \"{TDES}\"")),
        RSA.replace("\"rsa\"", "\"no-file\"") + "pkcs8 = \"absent.pem\"\n",
        RSA.replace("\"rsa\"", "\"no-pem\"") + "pkcs8 = \"no.pem\"\n",
        RSA.replace("\"rsa\"", "\"not-rsa\"") + "pkcs8 = \"sm2.pem\"\n",
        RSA.replace("\"rsa\"", "\"not-4096\"")
            .replace("2048", "4096")
            + "pkcs8 = \"rsa.pem\"\n",
        SM2.replace("\"sm2\"", "\"as-value\"") + "value = \"00\"\n",
        zpk("no-side", &format!("value = \"{TDES}\"")).replace("\"zone\"", "\"zoned\""),
    ];
    let text = format!("environment = \"test\"\n{}", entries.concat());
    let error = refusal(import(&desk, &desk.catalogue, place, &text));
    let Error::FileRefused { faults, .. } = &error else {
        panic!("{error}")
    };
    let told: Vec<_> = faults
        .iter()
        .map(|fault| (fault.entry, fault.key.as_str(), fault.field))
        .collect();
    let expected = [
        (3, "no-hex", "value"),
        (4, "short", "value"),
        (5, "halved", "value"),
        (6, "weak", "value"),
        (7, "no-value", "value"),
        (8, "wrong-kcv", "check_value"),
        (9, "short-kcv", "check_value"),
        (10, "good", "name"),
        (11, "no-file", "pkcs8"),
        (12, "no-pem", "pkcs8"),
        (13, "not-rsa", "pkcs8"),
        (14, "not-4096", "pkcs8"),
        (15, "as-value", "pkcs8"),
        (16, "no-side", "side"),
    ];
    assert_eq!(told, expected, "{error}");
    assert!(!error.to_string().contains(TDES));
    nothing_is_left(&desk);
}

pub fn production_takes_no_values_and_no_test_files(place: &Place) {
    let desk = Desk::set_up(place);
    pem(place, "RSA", "rsa.pem");
    let production = open(&desk.path, &desk.token, Environment::Production);
    let values = format!("{ZPK}value = \"{TDES}\"\n");
    let error = refusal(import(
        &desk,
        &production,
        place,
        &format!("environment = \"production\"\n{values}"),
    ));
    let Error::FileRefused { faults, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!((faults[0].key.as_str(), faults[0].field), ("zpk", "value"));
    for (environment, catalogue) in [("test", &production), ("production", &desk.catalogue)] {
        let text = format!("environment = \"{environment}\"\n{RSA}pkcs8 = \"rsa.pem\"\n");
        let error = refusal(import(&desk, catalogue, place, &text));
        assert!(matches!(error, Error::FileEnvironment { .. }), "{error}");
    }
    let error = refusal(desk.runtime.block_on(import_test_value(
        &production,
        &tenant(),
        spec(ZPK),
        Secret::new(hex::decode(TDES).unwrap()),
    )));
    assert!(matches!(error, Error::FileRefused { .. }), "{error}");
    nothing_is_left(&desk);
    // Private keys it does take.
    let text = format!("environment = \"production\"\n{RSA}pkcs8 = \"rsa.pem\"\n");
    import(&desk, &production, place, &text).unwrap();
    assert!(desk.resolve(&production, "rsa").is_ok());
    // And a production key is as foreign to a test catalogue.
    assert!(matches!(
        refusal(desk.resolve(&desk.fresh(), "rsa")),
        Error::RecordRefused { .. }
    ));
}

pub fn an_import_that_fails_late_leaves_nothing_behind(place: &Place) {
    let desk = Desk::set_up(place);
    pem(place, "RSA", "rsa.pem");
    // The store refuses only when the token has already taken the key.
    desk.file()
        .execute("ALTER TABLE directory RENAME TO gone", [])
        .unwrap();
    let text =
        format!("environment = \"test\"\n{RSA}pkcs8 = \"rsa.pem\"\n{ZPK}value = \"{TDES}\"\n");
    let error = refusal(import(&desk, &desk.catalogue, place, &text));
    assert!(matches!(error, Error::StoreUnavailable(_)), "{error}");
    nothing_is_left(&desk);
    let error = refusal(desk.apply(&template(RSA)));
    assert!(matches!(error, Error::StoreUnavailable(_)), "{error}");
    nothing_is_left(&desk);
}

pub fn single_keys_are_imported_by_call(place: &Place) {
    let desk = Desk::set_up(place);
    let text = std::fs::read_to_string(pem(place, "RSA", "rsa.pem")).unwrap();
    let pem_text = Secret::new(text);
    let (catalogue, tenant) = (&desk.catalogue, tenant());
    let call = import_pkcs8(catalogue, &tenant, spec(RSA), &pem_text);
    let header = desk.runtime.block_on(call).unwrap();
    assert!(header.token_object.is_some() && header.check_value.is_none());
    let value = Secret::new(hex::decode(TDES).unwrap());
    let call = import_test_value(catalogue, &tenant, spec(ZPK), value);
    assert_eq!(desk.runtime.block_on(call).unwrap().version, 1);
    for name in ["rsa", "zpk"] {
        assert!(desk.resolve(catalogue, name).is_ok());
    }
    let sm2_of_rsa = import_pkcs8(catalogue, &tenant, spec(SM2), &pem_text);
    let error = refusal(desk.runtime.block_on(sm2_of_rsa));
    assert!(matches!(error, Error::FileRefused { .. }), "{error}");

    // As Alipay's key tool writes a key: base64 without the two lines.
    let text = std::fs::read_to_string(pem(place, "SM2", "sm2.pem")).unwrap();
    let bare: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let cut = Secret::new(bare[4..].to_owned());
    let error = desk
        .runtime
        .block_on(import_pkcs8(catalogue, &tenant, spec(SM2), &cut));
    assert!(matches!(refusal(error), Error::FileRefused { .. }));
    let bare = Secret::new(bare);
    // Into a token an SM2 key does not come.
    let mut in_token = spec(SM2);
    in_token.residence = Residence::Token;
    let call = import_pkcs8(catalogue, &tenant, in_token, &bare);
    let error = refusal(desk.runtime.block_on(call));
    let Error::FileRefused { faults, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(faults[0].field, "residence", "{error}");
    let call = import_pkcs8(catalogue, &tenant, spec(SM2), &bare);
    assert_eq!(desk.runtime.block_on(call).unwrap().version, 1);
    assert!(desk.resolve(catalogue, "sm2").is_ok());
}

pub fn import(
    desk: &Desk,
    catalogue: &Catalogue,
    place: &Place,
    text: &str,
) -> Result<Vec<Header>, Error> {
    let path = place.folder.join("import.toml");
    std::fs::write(&path, text).unwrap();
    desk.runtime
        .block_on(import_file(catalogue, &path, &tenant()))
}

fn spec(entry: &str) -> KeySpec {
    template(entry).keys()[0].clone()
}

/// No row, and no key on the token that no row names.
fn nothing_is_left(desk: &Desk) {
    let rows: u32 = desk
        .file()
        .query_row("SELECT count(*) FROM key_record", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 0);
    let report = desk.token.key_report(soon()).wait().unwrap();
    assert_eq!(report.iter().filter(|row| row.key_type == "RSA").count(), 0);
}

pub fn pem(place: &Place, algorithm: &str, file: &str) -> PathBuf {
    let path = place.folder.join(file);
    openssl(&[
        "genpkey",
        "-algorithm",
        algorithm,
        "-out",
        path.to_str().unwrap(),
    ]);
    path
}

pub fn public_der(pem: &Path) -> Vec<u8> {
    openssl(&[
        "pkey",
        "-in",
        pem.to_str().unwrap(),
        "-pubout",
        "-outform",
        "DER",
    ])
}

pub fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}
