//! As many different RSA keys as wanted with one modulus, without the search for primes: each has
//! a public exponent of its own. For caches that are to be overfull; never a way to make keys
//! (whoever has one of them has them all).

use der::asn1::{OctetStringRef, UintRef};
use der::{Decode, Encode};

/// The PKCS #8 of the keys after the given one, by the prime exponents above 65537.
pub fn variants(pkcs8: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let prime = |n: &u64| (3..460).step_by(2).all(|d| !n.is_multiple_of(d));
    (65539..210_000)
        .step_by(2)
        .filter(prime)
        .filter_map(move |exponent| variant(pkcs8, exponent))
}

/// The key with another public exponent, which must be prime; none where it has no inverse.
fn variant(pkcs8: &[u8], exponent: u64) -> Option<Vec<u8>> {
    let mut info = pkcs8::PrivateKeyInfoRef::from_der(pkcs8).ok()?;
    let mut key = pkcs1::RsaPrivateKeyRef::from_der(info.private_key.as_bytes()).ok()?;
    let less_one = |prime: &UintRef<'_>| {
        let mut limbs = limbs(prime.as_bytes());
        // A prime is odd.
        limbs[0] -= 1;
        limbs
    };
    let (p, q) = (less_one(&key.prime1), less_one(&key.prime2));
    let mut totient = vec![0];
    for (shift, limb) in q.iter().enumerate() {
        let row = [vec![0; shift], times_plus(&p, u64::from(*limb), 0)].concat();
        totient = plus(&totient, &row);
    }
    let public = exponent.to_be_bytes();
    let (d, d_p, d_q) = (
        inverse(exponent, &totient)?,
        inverse(exponent, &p)?,
        inverse(exponent, &q)?,
    );
    key.public_exponent = UintRef::new(&public).ok()?;
    key.private_exponent = UintRef::new(&d).ok()?;
    key.exponent1 = UintRef::new(&d_p).ok()?;
    key.exponent2 = UintRef::new(&d_q).ok()?;
    let key = key.to_der().ok()?;
    info.private_key = OctetStringRef::new(&key).ok()?;
    info.to_der().ok()
}

/// e⁻¹ mod m as (1 + k·m) ÷ e, where k = −m⁻¹ mod e; big-endian.
fn inverse(e: u64, modulus: &[u32]) -> Option<Vec<u8>> {
    let rest = divided(modulus, e).1;
    let mut power = 1;
    // Fermat: rest^(e − 2), since e is prime.
    for bit in (0..64).rev() {
        power = power * power % e;
        if (e - 2) >> bit & 1 == 1 {
            power = power * rest % e;
        }
    }
    if power * rest % e != 1 {
        return None;
    }
    let (quotient, zero) = divided(&times_plus(modulus, e - power, 1), e);
    assert_eq!(zero, 0);
    Some(
        quotient
            .iter()
            .rev()
            .flat_map(|limb| limb.to_be_bytes())
            .collect(),
    )
}

fn limbs(big_endian: &[u8]) -> Vec<u32> {
    let limb = |chunk: &[u8]| {
        chunk
            .iter()
            .fold(0, |limb, byte| limb << 8 | u32::from(*byte))
    };
    big_endian.rchunks(4).map(limb).collect()
}

/// a·b + c, for b and c of 32 bits.
fn times_plus(a: &[u32], b: u64, c: u64) -> Vec<u32> {
    let mut carry = c;
    let mut product: Vec<u32> = a
        .iter()
        .map(|limb| {
            let sum = u64::from(*limb) * b + carry;
            carry = sum >> 32;
            low(sum)
        })
        .collect();
    product.push(low(carry));
    product
}

fn plus(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut carry = 0;
    let limb = |limbs: &[u32], i| u64::from(limbs.get(i).copied().unwrap_or(0));
    (0..=a.len().max(b.len()))
        .map(|i| {
            let sum = limb(a, i) + limb(b, i) + carry;
            carry = sum >> 32;
            low(sum)
        })
        .collect()
}

fn divided(a: &[u32], b: u64) -> (Vec<u32>, u64) {
    let mut rest = 0;
    let mut quotient: Vec<u32> = a
        .iter()
        .rev()
        .map(|limb| {
            let part = rest << 32 | u64::from(*limb);
            rest = part % b;
            low(part / b)
        })
        .collect();
    quotient.reverse();
    (quotient, rest)
}

fn low(sum: u64) -> u32 {
    u32::try_from(sum & u64::from(u32::MAX)).unwrap_or(0)
}
