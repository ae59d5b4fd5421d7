"""Second implementations for tests/crosscheck: answers each line of its standard input with one line.

A line is a family and its arguments, in hexadecimal (`-` is an empty text) or as numbers; the answer
is hexadecimal, `true`, `false`, or `error` and why. To add a family: a function below, by its name.

psec (PIN blocks, retail MACs, key blocks), cryptography (that is OpenSSL), gmssl (SM2).
"""

import base64
import sys

import psec.mac
from cryptography.hazmat.primitives import hashes, hmac, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

try:
    from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
except ImportError:
    from cryptography.hazmat.primitives.ciphers.algorithms import TripleDES


def retail_mac(key, padding, data):
    return psec.mac.generate_retail_mac(key[:8] * 2, key[8:] * 2, data, int(padding))


def cbc_mac_tdes(key, padding, data):
    return psec.mac.generate_cbc_mac(key, data, int(padding))


def cbc_mac_aes(key, padding, data):
    return psec.mac.generate_cbc_mac(key, data, int(padding), algorithm=psec.mac.Algorithm.AES)


def _cmac(algorithm, data):
    mac = CMAC(algorithm)
    mac.update(data)
    return mac.finalize()


def cmac_aes(key, data):
    return _cmac(algorithms.AES(key), data)


def cmac_tdes(key, data):
    return _cmac(TripleDES(key if len(key) == 24 else key + key[:8]), data)


def cmac_sm4(key, data):
    return _cmac(algorithms.SM4(key), data)


def sm4_ecb(key, data):
    encryptor = Cipher(algorithms.SM4(key), modes.ECB()).encryptor()
    return encryptor.update(data) + encryptor.finalize()


def sm4_cbc_mac(key, data):
    """Over a message that is padded already."""
    encryptor = Cipher(algorithms.SM4(key), modes.CBC(bytes(16))).encryptor()
    return (encryptor.update(data) + encryptor.finalize())[-16:]


def sm3(data):
    hash_ = hashes.Hash(hashes.SM3())
    hash_.update(data)
    return hash_.finalize()


HASHES = {
    "sha1": hashes.SHA1,
    "sha224": hashes.SHA224,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
    "sm3": hashes.SM3,
}


def hmac_of(name, key, data):
    mac = hmac.HMAC(key, HASHES[name]())
    mac.update(data)
    return mac.finalize()


def gateway_mac(name, key, data):
    made = hashes.Hash(HASHES[name]())
    made.update(data + b"&" + key.hex().encode())
    return made.finalize()


def unionpay_ecb_mac(key, data):
    """Written from the description, with OpenSSL's TDES."""
    summed = bytearray(8)
    for at, byte in enumerate(data):
        summed[at % 8] ^= byte
    text = summed.hex().upper().encode()
    encryptor = Cipher(TripleDES(key * 3 if len(key) == 8 else key + key[:8]), modes.ECB()).encryptor()
    state = encryptor.update(text[:8])
    state = encryptor.update(bytes(a ^ b for a, b in zip(state, text[8:])))
    return state.hex().upper()[:8].encode()


def sm4_pos_mac(case, key, data):
    """Written from the description, with OpenSSL's SM4."""
    summed = bytearray(16)
    for at, byte in enumerate(data):
        summed[at % 16] ^= byte
    text = summed.hex()
    text = (text.upper() if case == "upper" else text).encode()
    state = sm4_ecb(key, text[:16])
    return sm4_ecb(key, bytes(a ^ b for a, b in zip(state, text[16:])))[:8]


def _gmssl(public, private=b""):
    from gmssl.sm2 import CryptSM2

    sm2 = CryptSM2(private_key=private.hex(), public_key=public.hex())
    # Its constructor strips every leading 0 and 4 of a key that begins with 04.
    sm2.public_key = public.hex()
    return sm2


def sm2_sign(private, public, nonce, data):
    return bytes.fromhex(_gmssl(public, private).sign_with_sm3(data, nonce.hex()))


def sm2_verify(public, signature, data):
    return _gmssl(public).verify_with_sm3(signature.hex(), data)


def _content_cbc(key, iv, data):
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return encryptor.update(padder.update(data) + padder.finalize()) + encryptor.finalize()


def content_aes(key, data):
    return base64.b64encode(_content_cbc(key, bytes(16), data))


def content_aes_v2(key, iv, data):
    return base64.b64encode(iv + _content_cbc(key, iv, data))


def content_sm4(key, iv, data):
    """A GCM IV of 16 bytes."""
    encryptor = Cipher(algorithms.SM4(key), modes.GCM(iv)).encryptor()
    sealed = encryptor.update(data) + encryptor.finalize()
    return base64.b64encode(iv + sealed + encryptor.tag)


def alipay_string(*words):
    """Written from Alipay's description of a v2 request's string-to-sign."""
    sent = {name.decode(): value.decode() for name, value in zip(words[::2], words[1::2])}
    charset = sent.get("charset", "utf-8").lower()
    kept = {name: value for name, value in sent.items() if name != "sign" and value != ""}
    return "&".join(f"{name}={kept[name]}" for name in sorted(kept)).encode(charset)


PLAIN = {"1", "2", "3", "upper", "lower", *HASHES}


def argument(word):
    if word in PLAIN:
        return word
    return b"" if word == "-" else bytes.fromhex(word)


def main():
    for line in sys.stdin:
        family, *words = line.split()
        try:
            answer = globals()[family](*map(argument, words))
        except Exception as error:  # noqa: BLE001: whatever it is, the other side shows it
            answer = f"error {error!r}".replace("\n", " ")
        if isinstance(answer, bool):
            answer = "true" if answer else "false"
        print(answer.hex() if isinstance(answer, bytes) else answer, flush=False)
        sys.stdout.flush()


main()
