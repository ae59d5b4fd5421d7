"""Opens and makes PIN blocks with psec, which shares no code with Pintle, and, for the layouts that
psec does not know, by what decision 0014 says of them, over cryptography's ciphers.

Reads a list of tasks from standard input, writes a list of answers; null is a refusal.
"""

import json
import os
import sys
import warnings

warnings.filterwarnings("ignore")

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: E402
from psec import des, pinblock  # noqa: E402


def sm4(key):
    return Cipher(algorithms.SM4(key), modes.ECB())


def sm4_encrypt(key, block):
    return sm4(key).encryptor().update(block)


def sm4_decrypt(key, block):
    return sm4(key).decryptor().update(block)


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def twelve(pan):
    if len(pan) < 13:
        raise ValueError("PAN")
    return bytes.fromhex("0000" + pan[-13:-1])


def no_pan(pin):
    return bytes.fromhex(f"0{len(pin):X}{pin}".ljust(16, "F"))


def pin_of(field):
    """The PIN of eight bytes: 0, length, digits, F."""
    # Format 0 for a PAN of zeros is no PAN at all.
    return pinblock.decode_pinblock_iso_0(field, "0" * 13)


def unionpay_16(key, pin, pan):
    return sm4_encrypt(key, no_pan(pin) + xor(b"\xff" * 8, twelve(pan)))


def open_unionpay_16(key, block, pan):
    clear = sm4_decrypt(key, block)
    if clear[8:] != xor(b"\xff" * 8, twelve(pan)):
        raise ValueError("PAN")
    return pin_of(clear[:8])


def unionpay_8pad(key, pin, pan):
    return sm4_encrypt(key, pinblock.encode_pinblock_iso_0(pin, pan) + b"\0" * 8)


def open_unionpay_8pad(key, block, pan):
    clear = sm4_decrypt(key, block)
    if any(clear[8:]):
        raise ValueError("zeros")
    return pinblock.decode_pinblock_iso_0(clear[:8], pan)


def layout_4_sm4(key, pin, pan):
    field = pinblock.encode_pin_field_iso_4(pin)
    inner = xor(sm4_encrypt(key, field), pinblock.encode_pan_field_iso_4(pan))
    return sm4_encrypt(key, inner)


def open_layout_4_sm4(key, block, pan):
    inner = xor(sm4_decrypt(key, block), pinblock.encode_pan_field_iso_4(pan))
    return pinblock.decode_pin_field_iso_4(sm4_decrypt(key, inner))


FORMATS = {
    "Iso0": (
        lambda key, pin, pan: des.encrypt_tdes_ecb(key, pinblock.encode_pinblock_iso_0(pin, pan)),
        lambda key, block, pan: pinblock.decode_pinblock_iso_0(
            des.decrypt_tdes_ecb(key, block), pan
        ),
    ),
    "Iso1": (
        # psec has no format 1: 1, length, PIN, anything.
        lambda key, pin, pan: des.encrypt_tdes_ecb(
            key, bytes.fromhex(f"1{len(pin):X}{pin}{os.urandom(8).hex()}"[:16])
        ),
        lambda key, block, pan: open_1(des.decrypt_tdes_ecb(key, block)),
    ),
    "Iso3": (
        lambda key, pin, pan: des.encrypt_tdes_ecb(key, pinblock.encode_pinblock_iso_3(pin, pan)),
        lambda key, block, pan: pinblock.decode_pinblock_iso_3(
            des.decrypt_tdes_ecb(key, block), pan
        ),
    ),
    "Iso4": (pinblock.encipher_pinblock_iso_4, pinblock.decipher_pinblock_iso_4),
    "Sm4Fmt4Layout": (layout_4_sm4, open_layout_4_sm4),
    "Sm4Unionpay16": (unionpay_16, open_unionpay_16),
    "Sm4Unionpay8pad": (unionpay_8pad, open_unionpay_8pad),
    # The PAN that is twelve digits of the PAN.
    "Iso4Pan12": (
        lambda key, pin, pan: pinblock.encipher_pinblock_iso_4(key, pin, pan[-13:-1]),
        lambda key, block, pan: pinblock.decipher_pinblock_iso_4(key, block, pan[-13:-1]),
    ),
    "X98NoPan": (
        lambda key, pin, pan: des.encrypt_tdes_ecb(key, no_pan(pin)),
        lambda key, block, pan: pin_of(des.decrypt_tdes_ecb(key, block)),
    ),
}


def open_1(clear):
    digits = clear.hex().upper()
    length = int(digits[1], 16)
    pin = digits[2 : 2 + length]
    if digits[0] != "1" or not 4 <= length <= 12 or not pin.isdecimal():
        raise ValueError("format 1")
    return pin


def answer(task):
    make, unmake = FORMATS[task["format"]]
    key, pan = bytes.fromhex(task["key"]), task["pan"]
    try:
        if "block" in task:
            return unmake(key, bytes.fromhex(task["block"]), pan)
        return make(key, task["pin"], pan).hex()
    except ValueError:
        return None


json.dump([answer(task) for task in json.load(sys.stdin)], sys.stdout)
