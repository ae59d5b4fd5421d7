//! The library alone, one core: what a call costs before there is a call. The bars are those of
//! the design: ISO-0 TDES and ISO-4 AES translations a second, retail MACs of 1 KB a second, key
//! blocks opened a second.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pintle::domain::cipher::{BlockAlgorithm, PinCipher};
use pintle::domain::data::{self, IvRule};
use pintle::domain::key_block::{
    self, Algorithm, Exportability, Header, Masking, Mode, ProtectionKeys, Usage, Version,
};
use pintle::domain::mac::{self, MacKey, Padding, Rule, Scheme};
use pintle::domain::pan::Pan;
use pintle::domain::pin::Pin;
use pintle::domain::pin_block::{self, Format, Framing};

fn translate(c: &mut Criterion) {
    let mut group = c.benchmark_group("translate");
    group.throughput(Throughput::Elements(1));
    let pairs = [
        ("iso0-tdes to iso0-tdes", Format::Iso0, Format::Iso0),
        ("iso4-aes to iso4-aes", Format::Iso4, Format::Iso4),
        ("iso0-tdes to iso4-aes", Format::Iso0, Format::Iso4),
        ("iso0-tdes to fmt4-sm4", Format::Iso0, Format::Sm4Fmt4Layout),
    ];
    for (name, from, to) in pairs {
        let (source, destination) = (cipher(from.algorithm(), 3), cipher(to.algorithm(), 5));
        let from = Framing {
            format: from,
            cipher: &source,
        };
        let to = Framing {
            format: to,
            cipher: &destination,
        };
        let (Ok(pan), Ok(pin)) = (Pan::parse("4929123456789012"), Pin::parse("123456")) else {
            panic!("a PAN and a PIN");
        };
        let Ok(block) = pin_block::encipher(from, &pin, &pan, &[7; 8]) else {
            panic!("a block");
        };
        group.bench_function(name, |b| {
            b.iter(|| {
                let block = black_box(block.as_bytes());
                pin_block::translate(from, to, black_box(&pan), block, black_box(&[9; 8]))
            });
        });
    }
    // Rejecting must cost what translating costs.
    let (source, destination) = (
        cipher(BlockAlgorithm::Tdes, 3),
        cipher(BlockAlgorithm::Tdes, 5),
    );
    let from = Framing {
        format: Format::Iso0,
        cipher: &source,
    };
    let to = Framing {
        format: Format::Iso0,
        cipher: &destination,
    };
    if let Ok(pan) = Pan::parse("4929123456789012") {
        group.bench_function("iso0-tdes rejected", |b| {
            b.iter(|| {
                let block = black_box(&[0x5A; 8]);
                pin_block::translate(from, to, black_box(&pan), block, black_box(&[9; 8]))
            });
        });
    }
    group.finish();
}

fn retail_mac(c: &mut Criterion) {
    let mut group = c.benchmark_group("mac");
    let schemes = [
        ("retail", Scheme::Iso9797Alg3Des, Some(Padding::Method2), 8),
        (
            "sm4-cbc",
            Scheme::Iso9797Alg1Sm4,
            Some(Padding::Method2),
            16,
        ),
        ("cmac-aes", Scheme::CmacAes, None, 16),
        ("hmac-sha256", Scheme::HmacSha256, None, 32),
    ];
    for (name, scheme, padding, length) in schemes {
        let (Ok(rule), Ok(key)) = (
            Rule::new(scheme, padding, length),
            MacKey::new(scheme, &bytes(11)),
        ) else {
            panic!("a rule and a key");
        };
        for (size, message) in [("128 B", vec![0x42; 128]), ("1 KB", vec![0x42; 1024])] {
            group.throughput(Throughput::Elements(1));
            group.bench_function(format!("{name} {size}"), |b| {
                b.iter(|| mac::generate(&key, &rule, black_box(&message)));
            });
        }
    }
    group.finish();
}

fn data_modes(c: &mut Criterion) {
    let mut group = c.benchmark_group("data");
    group.throughput(Throughput::Bytes(1024));
    let (aes, sm4) = (BlockAlgorithm::Aes, BlockAlgorithm::Sm4);
    let random = Some(IvRule::Random);
    for (name, algorithm, mode, iv, tag) in [
        ("sm4-ctr", sm4, data::Mode::Ctr, random, 0),
        ("sm4-cbc", sm4, data::Mode::Cbc, random, 0),
        ("aes-ctr", aes, data::Mode::Ctr, random, 0),
        ("sm4-gcm", sm4, data::Mode::Gcm, None, 16),
        ("aes-gcm", aes, data::Mode::Gcm, None, 16),
    ] {
        let Ok(rule) = data::Rule::new(mode, data::Padding::Whole, iv, tag) else {
            panic!("a rule");
        };
        let (key, clear) = (cipher(algorithm, 3), [0x42; 1024]);
        let iv = vec![7; rule.iv_bytes(algorithm)];
        let Ok(made) = data::encrypt(&key, &rule, &iv, &[], &clear) else {
            panic!("data");
        };
        group.bench_function(format!("{name} encrypt 1 KB"), |b| {
            b.iter(|| data::encrypt(&key, &rule, &iv, &[], black_box(&clear)));
        });
        group.bench_function(format!("{name} decrypt 1 KB"), |b| {
            b.iter(|| data::decrypt(&key, &rule, &iv, &[], (black_box(&made.data), &made.tag)));
        });
    }
    group.finish();
}

fn key_blocks(c: &mut Criterion) {
    let mut group = c.benchmark_group("key block");
    group.throughput(Throughput::Elements(1));
    for (name, version, kbpk, algorithm, blocks) in [
        ("B, TDES", Version::B, 24, *b"T", false),
        ("D, AES", Version::D, 32, *b"A", false),
        ("B, TDES, KS", Version::B, 24, *b"T", true),
        ("D, AES, KS", Version::D, 32, *b"A", true),
    ] {
        let (Ok(usage), Ok(algorithm), Ok(mode), Ok(exportability)) = (
            Usage::new(*b"P0"),
            Algorithm::new(algorithm),
            Mode::new(*b"E"),
            Exportability::new(*b"E"),
        ) else {
            panic!("codes");
        };
        let mut header = Header::new(version, usage, algorithm, mode, exportability);
        if blocks && header.blocks.push(*b"KS", "00604B120F9292800000").is_err() {
            panic!("an optional block");
        }
        let kbpk = [bytes(3), bytes(5)].concat()[..kbpk].to_vec();
        let Ok(keys) = ProtectionKeys::from_kbpk(version, &kbpk) else {
            panic!("a protection key");
        };
        let masking = Masking::of(algorithm);
        let Ok(block) = key_block::wrap(&keys, &header, &bytes(7), masking, &[9; 48]) else {
            panic!("a key block");
        };
        group.bench_function(format!("unwrap {name}"), |b| {
            b.iter(|| key_block::unwrap(&keys, black_box(block.as_bytes())));
        });
        group.bench_function(format!("wrap {name}"), |b| {
            b.iter(|| key_block::wrap(&keys, &header, black_box(&bytes(7)), masking, &[9; 48]));
        });
        group.bench_function(format!("protection keys {name}"), |b| {
            b.iter(|| ProtectionKeys::from_kbpk(version, black_box(&kbpk)));
        });
    }
    group.finish();
}

fn cipher(algorithm: BlockAlgorithm, seed: u8) -> PinCipher {
    PinCipher::new(algorithm, &bytes(seed)).unwrap_or_else(|_| panic!("16 bytes are a key"))
}

fn bytes(seed: u8) -> [u8; 16] {
    core::array::from_fn(|i| {
        seed.wrapping_mul(u8::try_from(i).unwrap_or(0))
            .wrapping_add(1)
    })
}

criterion_group!(benches, translate, retail_mac, data_modes, key_blocks);
criterion_main!(benches);
