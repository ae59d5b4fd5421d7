//! Chains of certificates that the command openssl made, judged by it and by us. Under SM2 it wants the
//! identity said (`distid`); where it has none, every SM2 signature is wrong.

use std::path::Path;
use std::process::Command;

use pintle::domain::certificate::Certificate;
use pintle::domain::certificate::chain::{self, Fault};

const FAMILIES: [Family; 4] = [
    Family {
        digest: "sha256",
        sm2: false,
    },
    Family {
        digest: "sha384",
        sm2: false,
    },
    Family {
        digest: "sha512",
        sm2: false,
    },
    Family {
        digest: "sm3",
        sm2: true,
    },
];

/// How the certificates of a chain are signed.
#[derive(Clone, Copy)]
struct Family {
    digest: &'static str,
    sm2: bool,
}

/// A folder in which authorities of one family work.
struct Office {
    folder: tempfile::TempDir,
    family: Family,
}

const AUTHORITY: &str =
    "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n";
const LAST_AUTHORITY: &str =
    "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\n";
const LEAF: &str = "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\n";
/// Days of every certificate, from now.
const DAYS: u64 = 30;

impl Office {
    fn new(family: Family) -> Self {
        let office = Self {
            folder: tempfile::tempdir().unwrap(),
            family,
        };
        office.issue("root", "/C=CN/O=Test/CN=Root", None, AUTHORITY);
        office.issue(
            "inter",
            "/C=CN/O=Test/CN=Inter",
            Some("root"),
            LAST_AUTHORITY,
        );
        office.issue("leaf", "/C=CN/O=花呗/CN=leaf", Some("inter"), LEAF);
        office
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn openssl(&self, arguments: &[&str]) -> bool {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .expect("openssl is installed");
        output.status.success()
    }

    fn key(&self, name: &str) {
        let file = format!("{name}.key");
        let made = if self.family.sm2 {
            let curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2"];
            self.openssl(&[&["genpkey", "-out", &file][..], &curve].concat())
        } else {
            let bits = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
            self.openssl(&[&["genpkey", "-out", &file][..], &bits].concat())
        };
        assert!(made, "a key for {name}");
    }

    fn issue(&self, name: &str, subject: &str, issuer: Option<&str>, extensions: &str) {
        self.issue_with(name, subject, issuer, extensions, self.family.digest);
    }

    fn issue_with(
        &self,
        name: &str,
        subject: &str,
        issuer: Option<&str>,
        extensions: &str,
        digest: &str,
    ) {
        self.key(name);
        let (key, request, file) = (
            format!("{name}.key"),
            format!("{name}.csr"),
            format!("{name}.pem"),
        );
        let (digest, days) = (format!("-{digest}"), DAYS.to_string());
        let (signing, checking) = if self.family.sm2 {
            (&["-sigopt", ID][..], &["-vfyopt", ID][..])
        } else {
            (&[][..], &[][..])
        };
        let asked = [
            "req", "-new", "-utf8", "-key", &key, "-subj", subject, "-out", &request,
        ];
        let asked = [&asked[..], &[&digest], signing].concat();
        assert!(self.openssl(&asked), "a request for {name}");
        std::fs::write(self.path("extensions"), extensions).unwrap();
        let own = [
            "x509", "-req", "-in", &request, "-out", &file, "-days", &days, &digest,
        ];
        let own = [
            &own[..],
            &["-extfile", "extensions", "-set_serial", "0x0AFEBABE"],
        ]
        .concat();
        let (ca, ca_key);
        let by = match issuer {
            None => vec!["-signkey", key.as_str()],
            Some(issuer) => {
                (ca, ca_key) = (format!("{issuer}.pem"), format!("{issuer}.key"));
                vec!["-CA", ca.as_str(), "-CAkey", ca_key.as_str()]
            }
        };
        assert!(
            self.openssl(&[&own[..], &by, signing, checking].concat()),
            "{name}"
        );
    }

    fn read(&self, names: &[&str]) -> Vec<Certificate> {
        let all = names.iter().map(|name| {
            let pem = std::fs::read(self.path(&format!("{name}.pem"))).unwrap();
            Certificate::read_all(&pem).unwrap()
        });
        all.flatten().collect()
    }

    /// What openssl says. Its command gives SM2's identity to the first certificate alone, so under SM2
    /// each link is asked by itself; of a path's length that says nothing.
    fn verifies(&self, leaf: &str, between: &[&str], root: &str, at: u64) -> bool {
        let at = at.to_string();
        let path = [&[leaf], between, &[root]].concat();
        if self.family.sm2 {
            return path.windows(2).all(|link| {
                let (leaf, root) = (format!("{}.pem", link[0]), format!("{}.pem", link[1]));
                let asked = ["verify", "-partial_chain", "-attime", &at, "-CAfile", &root];
                self.openssl(&[&asked[..], &SYSTEM, &["-vfyopt", ID, &leaf]].concat())
            });
        }
        let pems = between.iter().map(|name| self.path(&format!("{name}.pem")));
        let untrusted: String = pems
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect();
        std::fs::write(self.path("untrusted"), untrusted).unwrap();
        let (leaf, root) = (format!("{leaf}.pem"), format!("{root}.pem"));
        let asked = ["verify", "-attime", &at, "-CAfile", &root];
        let untrusted = match between {
            [] => &[][..],
            _ => &["-untrusted", "untrusted"],
        };
        self.openssl(&[&asked[..], &SYSTEM, untrusted, &[&leaf]].concat())
    }

    /// Both say the same, and we say why.
    fn agree(&self, leaf: &str, between: &[&str], root: &str, at: u64, fault: Option<Fault>) {
        let ours = self.judged(leaf, between, root, at);
        let what = format!("{leaf} {between:?} {root} under {}", self.family.digest);
        assert_eq!(ours, fault, "{what}");
        if self.family.sm2 && fault == Some(Fault::PathTooLong) {
            return;
        }
        assert_eq!(
            self.verifies(leaf, between, root, at),
            fault.is_none(),
            "{what}"
        );
    }

    fn judged(&self, leaf: &str, between: &[&str], root: &str, at: u64) -> Option<Fault> {
        let (leaf, between) = (self.read(&[leaf]), self.read(between));
        let roots = self.read(&[root]);
        let answer = chain::check(&leaf[0], &between, &roots, at);
        answer.err().map(|broken| broken.fault)
    }
}

/// Nothing that the machine trusts.
const SYSTEM: [&str; 2] = ["-no-CApath", "-no-CAstore"];
/// The identity of GM/T 0009-2012.
const ID: &str = "distid:1234567812345678";

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    // Keys of later certificates take their time.
    since.unwrap().as_secs() + 600
}

#[test]
fn chains_agree_with_openssl() {
    for family in FAMILIES {
        let (office, now) = (Office::new(family), now());
        let agree = |leaf, between: &[&str], fault| office.agree(leaf, between, "root", now, fault);
        agree("leaf", &["inter"], None);
        agree("leaf", &[], Some(Fault::IssuerUnknown));

        let day = 24 * 3600;
        let (after, before) = (now + (DAYS + 1) * day, now - day);
        office.agree("leaf", &["inter"], "root", after, Some(Fault::Expired));
        office.agree("leaf", &["inter"], "root", before, Some(Fault::NotYetValid));

        // Another root, and another root of the same name.
        office.issue("stranger", "/C=CN/O=Test/CN=Stranger", None, AUTHORITY);
        office.agree(
            "leaf",
            &["inter"],
            "stranger",
            now,
            Some(Fault::IssuerUnknown),
        );
        office.issue("double", "/C=CN/O=Test/CN=Root", None, AUTHORITY);
        office.agree("leaf", &["inter"], "double", now, Some(Fault::Signature));

        let subject = "/C=CN/O=Test/CN=Sub";
        office.issue("end", subject, Some("root"), LEAF);
        office.issue("of_end", "/CN=of end", Some("end"), LEAF);
        agree("of_end", &["end"], Some(Fault::NotAuthority));

        office.issue("sub", subject, Some("inter"), AUTHORITY);
        office.issue("too_deep", "/CN=too deep", Some("sub"), LEAF);
        agree("too_deep", &["sub", "inter"], Some(Fault::PathTooLong));

        let wrong_usage = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,digitalSignature\n";
        office.issue("unused", subject, Some("root"), wrong_usage);
        office.issue("of_unused", "/CN=of unused", Some("unused"), LEAF);
        agree("of_unused", &["unused"], Some(Fault::KeyUsage));

        let critical = format!("{LEAF}1.2.3.4=critical,DER:05:00\n");
        office.issue("strange", "/CN=strange", Some("inter"), &critical);
        agree("strange", &["inter"], Some(Fault::CriticalExtension));
        office.issue("plain", "/CN=plain", Some("inter"), "1.2.3.4=DER:05:00\n");
        agree("plain", &["inter"], None);
    }
}

#[test]
fn every_changed_byte_of_a_certificate_is_seen() {
    for family in [FAMILIES[0], FAMILIES[3]] {
        let (office, now) = (Office::new(family), now());
        let roots = office.read(&["root"]);
        let between = office.read(&["inter"]);
        let leaf = office.read(&["leaf"]).remove(0);
        assert!(chain::check(&leaf, &between, &roots, now).is_ok());
        for at in 0..leaf.as_der().len() {
            let mut changed = leaf.as_der().to_vec();
            changed[at] ^= 1;
            // Some are certificates no more, and others belong to other chains; none is good.
            if let Ok(changed) = Certificate::from_der(&changed) {
                assert!(
                    chain::check(&changed, &between, &roots, now).is_err(),
                    "byte {at}"
                );
            }
        }
        // openssl sees one of the name's, which is still a certificate.
        let place = leaf
            .as_der()
            .windows(4)
            .position(|part| part == b"Test")
            .unwrap();
        let mut changed = leaf.as_der().to_vec();
        changed[place] ^= 1;
        std::fs::write(office.path("changed.der"), changed).unwrap();
        let convert = [
            "x509",
            "-inform",
            "DER",
            "-in",
            "changed.der",
            "-out",
            "changed.pem",
        ];
        assert!(office.openssl(&convert));
        office.agree(
            "changed",
            &["inter"],
            "root",
            now,
            Some(Fault::IssuerUnknown),
        );
    }
}

/// Where we are stricter than openssl, or than its usual level.
#[test]
fn sha_1_counts_only_where_a_root_signs_itself_and_a_leaf_must_sign() {
    let office = Office::new(FAMILIES[0]);
    let now = now();
    office.issue_with("old", "/C=CN/O=Test/CN=Old", None, AUTHORITY, "sha1");
    office.issue("new", "/CN=new", Some("old"), LEAF);
    office.agree("new", &[], "old", now, None);
    office.issue_with("weak", "/CN=weak", Some("old"), LEAF, "sha1");
    assert_eq!(
        office.judged("weak", &[], "old", now),
        Some(Fault::AlgorithmWeak)
    );
    office.issue(
        "for_keys",
        "/CN=for keys",
        Some("inter"),
        "keyUsage=keyEncipherment\n",
    );
    assert_eq!(
        office.judged("for_keys", &["inter"], "root", now),
        Some(Fault::KeyUsage)
    );
}

#[test]
fn serials_and_names_agree_with_openssl() {
    let office = Office::new(FAMILIES[0]);
    let ask = |what: &str| {
        let asked = [
            "x509",
            "-in",
            "leaf.pem",
            "-noout",
            what,
            "-nameopt",
            "RFC2253,-esc_msb,utf8",
        ];
        let output = Command::new("openssl")
            .args(asked)
            .current_dir(office.folder.path() as &Path)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_once('=').unwrap().1.trim().to_owned()
    };
    let leaf = office.read(&["leaf"]).remove(0);
    assert_eq!(leaf.serial_hex(), ask("-serial"));
    assert_eq!(leaf.serial_decimal(), "184466110");
    assert_eq!(leaf.issuer(), ask("-issuer"));
    assert_eq!(leaf.subject(), "CN=leaf,O=花呗,C=CN");
    assert_eq!(leaf.subject(), ask("-subject"));
}
