//! SM2, SM3 and SM4 of a token whose maker has numbers for them, against our own. How makers want
//! SM2 keys asked for differs more than their numbers do: a refusal here says so by its CKR.

use cryptoki::object::{Attribute, KeyType};
use sm3::{Digest, Sm3};

use crate::domain::cipher::{BlockCipher, Sm4};
use crate::domain::sm2::{self, ID_DEFAULT, PublicKey, Signature};
use crate::hsm::error::Error;
use crate::hsm::mechanism::{SmMechanism, Use};
use crate::hsm::raw;
use crate::hsm::sm2::{CURVE, point_of};
use crate::hsm::trial::{Bench, KEY_BYTES, MESSAGE, secret, signing};

/// True where it does what it should.
pub(super) fn one(bench: &Bench<'_>, mechanism: SmMechanism, number: u64) -> Result<bool, Error> {
    match mechanism {
        SmMechanism::Sm3 => {
            let hash = bench
                .session
                .digest(&raw::plain_mechanism(number), MESSAGE)?;
            Ok(hash == Sm3::digest(MESSAGE).as_slice())
        }
        SmMechanism::Sm4KeyGen => {
            let made_for = bench
                .profile
                .sm_number(SmMechanism::Sm4Ecb)
                .unwrap_or(number);
            let mut template = secret(sm4(bench), Use::Cipher, made_for);
            template.push(Attribute::ValueLen((KEY_BYTES / 2).into()));
            let made = bench
                .session
                .generate_key(&raw::plain_mechanism(number), &template);
            Ok(bench.session.destroy_object(made?).is_ok())
        }
        SmMechanism::Sm4Ecb => {
            let key = bench.random::<16>()?;
            let cipher = Sm4::new(key.expose_secret()).map_err(|_| raw::nonsense())?;
            let object = bench.bring_for(sm4(bench), key.expose_secret(), Use::Cipher, number)?;
            bench.enciphers(object, number, &cipher)
        }
        SmMechanism::Sm4Cbc => {
            let key = bench.random::<16>()?;
            let object = bench.bring_for(sm4(bench), key.expose_secret(), Use::Cipher, number)?;
            let iv = *bench.random::<16>()?.expose_secret();
            let mechanism = raw::mechanism_of_block(number, &iv);
            let theirs = bench.session.encrypt(&mechanism, object, &[0; 16])?;
            // One block of zeros is the IV's own encryption.
            Ok(theirs == encrypted(key.expose_secret(), iv)?)
        }
        SmMechanism::Sm4Mac => {
            let key = bench.random::<16>()?;
            let usage = Use::Authenticate;
            let object = bench.bring_for(sm4(bench), key.expose_secret(), usage, number)?;
            let block = *bench.random::<16>()?.expose_secret();
            let mac = bench
                .calls
                .sign(bench.session, object, number, &block, 16)?;
            // Makers give a whole block or half of it.
            let ours = encrypted(key.expose_secret(), block)?;
            Ok(mac.len() >= ours.len() / 2 && ours.starts_with(&mac))
        }
        SmMechanism::Sm2KeyGen => pair(bench, number).map(|_| true),
        SmMechanism::Sm2Sign | SmMechanism::Sm2SignSm3 => {
            let made_by = bench.profile.sm_number(SmMechanism::Sm2KeyGen);
            let (public, private) = pair(bench, made_by.ok_or(raw::nonsense())?)?;
            let digest = sm2::digest(&public, ID_DEFAULT, MESSAGE);
            let input = match mechanism {
                SmMechanism::Sm2Sign => digest.as_slice(),
                _ => MESSAGE,
            };
            let signature = bench
                .calls
                .sign(bench.session, private, number, input, 64)?;
            let signature = Signature::from_raw(&signature);
            Ok(signature.is_ok_and(|s| sm2::verify_digest(&public, &digest, &s).is_ok()))
        }
    }
}

fn pair(
    bench: &Bench<'_>,
    number: u64,
) -> Result<(PublicKey, cryptoki::object::ObjectHandle), Error> {
    let session = bench.session;
    let [sm2, _] = bench.profile.sm_key_types();
    let key_type = Attribute::KeyType(key_type(sm2));
    let public = [
        key_type.clone(),
        Attribute::Token(false),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::EcParams(CURVE.to_vec()),
    ];
    let mut private = signing();
    private.push(key_type);
    let mechanism = raw::plain_mechanism(number);
    let (public, private) = session.generate_key_pair(&mechanism, &public, &private)?;
    let point = point_of(session, public)?.ok_or(raw::nonsense())?;
    Ok((point, private))
}

fn encrypted(key: &[u8], mut block: [u8; 16]) -> Result<[u8; 16], Error> {
    let cipher = Sm4::new(key).map_err(|_| raw::nonsense())?;
    cipher
        .encrypt_block(&mut block)
        .map_err(|_| raw::nonsense())?;
    Ok(block)
}

fn sm4(bench: &Bench<'_>) -> KeyType {
    let [_, sm4] = bench.profile.sm_key_types();
    key_type(sm4)
}

/// Where the profile has no number, the standard's nearest: the token will say.
fn key_type(number: Option<u64>) -> KeyType {
    let known = number.and_then(|number| KeyType::try_from(number).ok());
    known.unwrap_or(KeyType::GENERIC_SECRET)
}
