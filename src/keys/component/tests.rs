//! Components combine to what XOR says, and what would give the key away is refused.

use proptest::prelude::*;

use super::*;

const ALGORITHMS: [Algorithm; 7] = [
    Algorithm::Tdes2,
    Algorithm::Tdes3,
    Algorithm::Aes128,
    Algorithm::Aes192,
    Algorithm::Aes256,
    Algorithm::Sm4,
    Algorithm::HmacSha256,
];

fn typed(bytes: &[u8]) -> Component {
    let mut component = Component::empty().unwrap();
    for byte in bytes {
        component.push(byte >> 4);
        component.push(byte & 0x0F);
    }
    component
}

/// Masks the parts as sittings do, and combines them.
fn combined(algorithm: Algorithm, parts: &[Vec<u8>]) -> Result<Vec<u8>, ComponentFault> {
    let pads: Vec<Vec<u8>> = (1u8..)
        .zip(parts)
        .map(|(n, part)| {
            (0u8..)
                .zip(part)
                .map(|(i, _)| n.wrapping_mul(91) ^ i)
                .collect()
        })
        .collect();
    let masked: Vec<Vec<u8>> = parts
        .iter()
        .zip(&pads)
        .map(|(part, pad)| xor(part, pad).collect())
        .collect();
    let shares: Vec<Share<'_>> = masked
        .iter()
        .zip(&pads)
        .map(|(masked, pad)| Share { masked, pad })
        .collect();
    combine(algorithm, &shares).map(|key| key.expose_secret().clone())
}

fn parts_of(length: usize) -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(0u8..=255, length), 2..=3)
}

proptest! {
    #[test]
    fn the_key_is_the_xor_of_the_components(parts in parts_of(32)) {
        let expected: Vec<u8> = (0..32)
            .map(|at| parts.iter().fold(0, |sum, part| sum ^ part[at]))
            .collect();
        prop_assert_eq!(combined(Algorithm::Aes256, &parts), Ok(expected));
    }

    #[test]
    fn the_order_of_the_sittings_does_not_matter(parts in parts_of(24)) {
        let mut turned = parts.clone();
        turned.reverse();
        let one = combined(Algorithm::Tdes3, &parts);
        prop_assert_eq!(one, combined(Algorithm::Tdes3, &turned));
    }

    #[test]
    fn digits_taken_back_leave_no_trace(
        first in prop::collection::vec(0u8..16, 0..40),
        back in 0usize..50,
        then in prop::collection::vec(0u8..16, 0..40),
    ) {
        let mut corrected = Component::empty().unwrap();
        first.iter().for_each(|digit| corrected.push(*digit));
        (0..back).for_each(|_| corrected.pop());
        then.iter().for_each(|digit| corrected.push(*digit));
        let kept = first.len().saturating_sub(back);
        let mut straight = Component::empty().unwrap();
        first[..kept].iter().chain(&then).for_each(|digit| straight.push(*digit));
        prop_assert!(corrected.is_same(&straight));
        corrected.clear();
        prop_assert!(corrected.is_same(&Component::empty().unwrap()));
    }
}

#[test]
fn two_equal_components_are_refused_whatever_their_parity() {
    for algorithm in ALGORITHMS {
        let length = algorithm.key_bytes().unwrap();
        let (one, other) = (vec![0x5A; length], vec![0xC3; length]);
        let parts = [one.clone(), other, one.clone()];
        assert_eq!(
            combined(algorithm, &parts),
            Err(ComponentFault::Equal),
            "{algorithm}"
        );
        let mut flipped = one.clone();
        flipped[3] ^= 1;
        let tdes = matches!(algorithm, Algorithm::Tdes2 | Algorithm::Tdes3);
        let refused = combined(algorithm, &[one, flipped]) == Err(ComponentFault::Equal);
        assert_eq!(refused, tdes, "{algorithm}: the parity bit counts");
    }
}

#[test]
fn a_component_of_zeros_is_refused_at_the_sitting_and_at_the_close() {
    for algorithm in ALGORITHMS {
        let length = algorithm.key_bytes().unwrap();
        let zero = vec![0; length];
        assert_eq!(typed(&zero).check(algorithm), Err(ComponentFault::Zero));
        let mut other = vec![0xC3; length];
        other[0] = 0x11;
        let refused = combined(algorithm, &[other, zero]);
        assert_eq!(refused, Err(ComponentFault::Zero), "{algorithm}");
    }
    let parity_only = typed(&[1; 16]);
    assert_eq!(
        parity_only.check(Algorithm::Tdes2),
        Err(ComponentFault::Zero)
    );
    assert_eq!(parity_only.check(Algorithm::Aes128), Ok(()));
}

#[test]
fn a_component_is_as_long_as_its_key() {
    for algorithm in ALGORITHMS {
        let length = algorithm.key_bytes().unwrap();
        for digits in 0..=2 * limits::COMPONENT_BYTES_MAX + 3 {
            let mut component = Component::empty().unwrap();
            (0..digits).for_each(|_| component.push(7));
            let right = digits == 2 * length;
            assert_eq!(component.check(algorithm).is_ok(), right, "{algorithm}");
            assert!(right || component.check_value(algorithm).is_none());
        }
    }
    let asymmetric = typed(&[7; 32]).check(Algorithm::Sm2);
    assert_eq!(asymmetric, Err(ComponentFault::Length));
    let unequal = [vec![1; 16], vec![2; 15]];
    let refused = combined(Algorithm::Aes128, &unequal);
    assert_eq!(refused, Err(ComponentFault::Length));
}

#[test]
fn three_components_that_cancel_and_keys_that_are_weak_are_refused() {
    let (a, b) = (vec![0x5A; 16], vec![0xC3; 16]);
    let c: Vec<u8> = xor(&a, &b).collect();
    let refused = combined(Algorithm::Aes128, &[a.clone(), b.clone(), c]);
    let cancelled = ComponentFault::Key(KeyFault::Zero);
    assert_eq!(refused, Err(cancelled));
    let repeated = combined(Algorithm::Tdes2, &[a.clone(), b.clone()]);
    assert_eq!(repeated, Err(ComponentFault::Key(KeyFault::Repeated)));
    // The first DES key comes out as 01…01, the weakest there is.
    let mut other: Vec<u8> = xor(&a, &[1; 16]).collect();
    other[8..].copy_from_slice(&[0x77, 0x12, 0x35, 0x59, 0x22, 0x18, 0x40, 0x66]);
    let weak = combined(Algorithm::Tdes2, &[a, other]);
    assert_eq!(weak, Err(ComponentFault::Key(KeyFault::Weak)));
}

#[test]
fn one_component_or_four_make_no_key() {
    let part = |n: u8| vec![n; 16];
    let one = combined(Algorithm::Aes128, &[part(1)]);
    assert_eq!(one, Err(ComponentFault::Count));
    let four = combined(Algorithm::Aes128, &[part(1), part(2), part(3), part(4)]);
    assert_eq!(four, Err(ComponentFault::Count));
}

#[test]
fn a_component_has_the_check_value_of_a_key_with_its_bytes() {
    for algorithm in ALGORITHMS {
        let bytes: Vec<u8> = (1..).take(algorithm.key_bytes().unwrap()).collect();
        let own = typed(&bytes).check_value(algorithm);
        assert_eq!(own, material::check_value(algorithm, &bytes));
        assert_eq!(own.is_none(), algorithm == Algorithm::HmacSha256);
    }
}
