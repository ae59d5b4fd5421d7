//! The catalogue root a second time, from its description alone (`keys::root`): what somebody could
//! do who has the token and the file. With it the seals are tested behind a root that vouches for
//! whatever was done to the rows, and the root itself against another's arithmetic.

use hmac::{Hmac, KeyInit, Mac};
use rusqlite::params;
use sha2::Sha256;

use crate::desk::{Desk, soon};

/// Makes directory and root vouch for the rows as they are.
pub fn vouch_for_what_is_there(desk: &Desk) {
    let file = desk.file();
    let keys = Keys::of(desk);
    file.execute("DELETE FROM directory", []).unwrap();
    let mut sum = [0; 32];
    let rows = rows(&file);
    for Row {
        tenant,
        name,
        version,
        header,
        seals,
    } in &rows
    {
        let length = |bytes: &[u8]| (bytes.len() as u64).to_be_bytes();
        let tenant_length = length(tenant.as_bytes());
        let hash = half(mac(
            &keys.name,
            &[&tenant_length, tenant.as_bytes(), name.as_bytes()],
        ));
        let version_bytes = version.to_be_bytes();
        let tag = half(mac(
            &keys.tag,
            &[&hash, &version_bytes, &length(header), header, seals],
        ));
        sum = add(sum, mac(&keys.element, &[&hash, &version_bytes, &tag]));
        let sql = "INSERT INTO directory VALUES (?1, ?2, ?3, ?4)";
        file.execute(sql, params![tenant, name, version, tag])
            .unwrap();
    }
    let sql = "SELECT token_id, generation, nonce, index_key FROM root";
    let (token_id, generation, nonce, index_key): (Vec<u8>, i64, Vec<u8>, Vec<u8>) = file
        .query_row(sql, [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .unwrap();
    let count = i64::try_from(rows.len()).unwrap();
    let (generation, count_bytes) = (generation.to_be_bytes(), count.to_be_bytes());
    let masked = add(sum, mac(&keys.mask, &[&generation, &nonce]));
    let label: &[u8] = b"pintle catalogue root 1\0";
    let message = [
        label,
        &token_id,
        &generation,
        &count_bytes,
        &masked,
        &nonce,
        &index_key,
    ]
    .concat();
    let vouched = desk.token.root_mac(soon(), message).wait().unwrap();
    file.execute(
        "UPDATE root SET count = ?1, sum = ?2, mac = ?3",
        params![count, masked, vouched],
    )
    .unwrap();
}

pub fn the_root_is_what_its_description_says(place: &crate::place::Place) {
    let desk = Desk::with_dev_keys(place);
    let read = || -> (i64, Vec<u8>, Vec<u8>) {
        let sql = "SELECT count, sum, mac FROM root";
        let row = desk
            .file()
            .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        row.unwrap()
    };
    let directory = || -> Vec<Vec<u8>> {
        let file = desk.file();
        let mut read = file
            .prepare("SELECT tag FROM directory ORDER BY tenant, name, version")
            .unwrap();
        let tags = read.query_map([], |row| row.get(0)).unwrap();
        tags.collect::<Result<_, _>>().unwrap()
    };
    let ours = (read(), directory());
    vouch_for_what_is_there(&desk);
    assert_eq!((read(), directory()), ours);
}

struct Keys {
    name: [u8; 32],
    tag: [u8; 32],
    element: [u8; 32],
    mask: [u8; 32],
}

impl Keys {
    fn of(desk: &Desk) -> Self {
        let masked: Vec<u8> = desk
            .file()
            .query_row("SELECT index_key FROM root", [], |row| row.get(0))
            .unwrap();
        let pad = desk
            .token
            .root_mac(soon(), b"pintle index key 1\0".to_vec())
            .wait()
            .unwrap();
        let key: Vec<u8> = masked
            .iter()
            .zip(pad)
            .map(|(one, other)| one ^ other)
            .collect();
        let derive = |label: &str| mac(&key, &[label.as_bytes()]);
        Self {
            name: derive("name"),
            tag: derive("tag"),
            element: derive("element"),
            mask: derive("mask"),
        }
    }
}

struct Row {
    tenant: String,
    name: String,
    version: u32,
    header: Vec<u8>,
    seals: Vec<u8>,
}

fn rows(file: &rusqlite::Connection) -> Vec<Row> {
    let mut read = file
        .prepare("SELECT tenant, name, version, header, seals FROM key_record")
        .unwrap();
    let rows = read.query_map([], |row| {
        Ok(Row {
            tenant: row.get(0)?,
            name: row.get(1)?,
            version: row.get(2)?,
            header: row.get(3)?,
            seals: row.get(4)?,
        })
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(&parts.concat());
    mac.finalize().into_bytes().into()
}

fn half(whole: [u8; 32]) -> [u8; 16] {
    whole[..16].try_into().unwrap()
}

/// Schoolbook addition, byte by byte from the right.
fn add(one: [u8; 32], other: [u8; 32]) -> [u8; 32] {
    let mut sum = [0; 32];
    let mut carry = 0;
    for at in (0..32).rev() {
        let digit = u16::from(one[at]) + u16::from(other[at]) + carry;
        sum[at] = digit.to_be_bytes()[1];
        carry = digit >> 8;
    }
    sum
}
