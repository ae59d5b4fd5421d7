"""The demo's second opinion: recomputes or verifies every output with programs that share no code
with Pintle (openssl, and psec from PyPI), in a process of its own.

Reads a JSON list of checks on standard input, each {"check": name, ...}; writes a JSON list of
{"ok": bool, "by": program, "detail": text}. Keys here are published test keys.
"""

import base64
import json
import subprocess
import sys
import tempfile
import warnings

warnings.simplefilter("ignore")  # psec on a newer cryptography talks of TripleDES's retirement

from psec import mac as psec_mac
from psec import pinblock as psec_pinblock


def openssl(args, data=b""):
    """Runs openssl and gives its standard output, or None where it answered no."""
    done = subprocess.run(["openssl", *args], input=data, capture_output=True, timeout=30)
    return done.stdout if done.returncode == 0 else None


def decrypt(cipher, key, block):
    """One ECB decryption by openssl, no padding."""
    out = openssl(["enc", "-d", cipher, "-K", key.hex(), "-nopad"], block)
    if out is None or len(out) != len(block):
        raise ValueError(f"openssl {cipher} failed")
    return out


def pan_field_format_4(pan):
    """ISO 9564-1 format 4: length over 12, the PAN, zeros."""
    digits = pan.rjust(12, "0")
    return bytes.fromhex((str(len(digits) - 12) + digits).ljust(32, "0"))


def pin_iso_0(c):
    key = bytes.fromhex(c["key"])
    clear = decrypt("-des-ede-ecb", key, bytes.fromhex(c["block"]))
    pin = psec_pinblock.decode_pinblock_iso_0(clear, c["pan"])
    return pin == c["pin"], "openssl + psec", "opens to the PIN that was typed"


def pin_iso_4(c):
    key, block = bytes.fromhex(c["key"]), bytes.fromhex(c["block"])
    pin = psec_pinblock.decipher_pinblock_iso_4(key, block, c["pan"])
    return pin == c["pin"], "psec", "opens to the PIN that was typed"


def pin_sm4(c):
    key, block = bytes.fromhex(c["key"]), bytes.fromhex(c["block"])
    inner = decrypt("-sm4-ecb", key, block)
    inner = bytes(a ^ b for a, b in zip(inner, pan_field_format_4(c["pan"])))
    field = decrypt("-sm4-ecb", key, inner)
    pin = psec_pinblock.decode_pin_field_iso_4(field)
    return pin == c["pin"], "openssl + psec", "opens to the PIN that was typed"


def sign_in(c):
    """Takes each key out of its cryptogram, recomputes its check value and lays field 62 out."""
    tmk, sm4 = bytes.fromhex(c["key"]), c["algorithm"] == "SM4"
    cipher, block = ("-sm4-ecb", 16) if sm4 else ("-des-ede-ecb", 8)
    field = b""
    for cryptogram in c["cryptograms"]:
        cryptogram = bytes.fromhex(cryptogram)
        key = decrypt(cipher, tmk, cryptogram)
        zero = openssl(["enc", "-e", cipher, "-K", key.hex(), "-nopad"], bytes(block))
        field += cryptogram + zero[: c["check_value_bytes"]]
    same = field.hex() == c["field_62"].lower()
    return same, "openssl", "each key opens, and field 62 says its check value"


def retail_mac(c):
    key, data = bytes.fromhex(c["key"]), bytes.fromhex(c["message"])
    out = psec_mac.generate_retail_mac(key[:8], key[8:], data, c["padding"], c["length"])
    return out.hex() == c["mac"].lower(), "psec", "recomputed, the same"


def cmac_aes(c):
    out = openssl(
        ["mac", "-cipher", "AES-128-CBC", "-macopt", f"hexkey:{c['key']}", "-binary", "CMAC"],
        bytes.fromhex(c["message"]),
    )
    got = bytes.fromhex(c["mac"])
    return out is not None and out[: len(got)] == got, "openssl", "recomputed, the same"


def string_to_sign(parameters):
    """Alipay v2, from the published rule: drop sign and empty values, sort, join."""
    kept = sorted((k, v) for k, v in parameters.items() if k != "sign" and v)
    return "&".join(f"{k}={v}" for k, v in kept).encode()


def alipay(c):
    message = string_to_sign(c["parameters"])
    if message.hex() != c["string_to_sign"].lower():
        return False, "python", "the string to sign differs"
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for name, data in (
            ("public", base64.b64decode(c["public_key"])),
            ("private", c["private_key"].encode()),
            ("message", message),
            ("signature", base64.b64decode(c["sign"])),
        ):
            paths[name] = f"{folder}/{name}"
            with open(paths[name], "wb") as file:
                file.write(data)
        # The public key is openssl's own reading of the merchant's key, not Pintle's answer.
        own = openssl(["pkey", "-in", paths["private"], "-pubout", "-outform", "DER"])
        if own != base64.b64decode(c["public_key"]):
            return False, "openssl", "the public key differs"
        args = ["pkeyutl", "-verify", "-pubin", "-inkey", paths["public"], "-keyform", "DER"]
        args += ["-in", paths["message"], "-sigfile", paths["signature"], "-rawin"]
        if c["scheme"] == "SM2":
            args += ["-digest", "sm3", "-pkeyopt", "distid:1234567812345678"]
        else:
            args += ["-digest", "sha256"]
        verified = openssl(args) is not None
    return verified, "openssl", "verifies under the merchant's public key"


CHECKS = {
    f.__name__: f
    for f in (sign_in, pin_iso_0, pin_iso_4, pin_sm4, retail_mac, cmac_aes, alipay)
}


def main():
    answers = []
    for c in json.load(sys.stdin):
        try:
            ok, by, detail = CHECKS[c["check"]](c)
        except Exception as error:  # a block that does not open is an answer, not a crash
            ok, by, detail = False, "psec/openssl", f"{type(error).__name__}: {error}"
        answers.append({"ok": bool(ok), "by": by, "detail": detail})
    json.dump(answers, sys.stdout)


main()
