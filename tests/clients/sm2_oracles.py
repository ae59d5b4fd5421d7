"""SM2 by other libraries against `pintle dev`, for sdks.py: Pintle signs and they verify, and the other way.

OpenSSL, gmssl and sm-crypto always; BouncyCastle where there is a JDK and Debian's libbcprov-java, or BCPROV
names its jar. Each way with each message, in DER and as raw r and s, and a changed message is refused.
PINTLE and PINTLE_ADMIN: where. Prints a table; fails where a library and Pintle disagree.
"""

import importlib.metadata
import os
import pathlib
import secrets
import shutil
import subprocess
import sys
import tempfile

import grpc
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from google.protobuf import descriptor_pool, message_factory
from gmssl.sm2 import CryptSM2, default_ecc_table
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

HERE = pathlib.Path(__file__).resolve().parent
APP_KEY = {"name": "alipay-app-sm2"}
MESSAGES = [b"", b"a", "app_id=2021&subject=花呗分期 😀&total_amount=100.00".encode(), bytes(i % 251 for i in range(10_000))]
ENCODINGS = {"der": 1, "raw": 2}
IDENTITY = "1234567812345678"
# SubjectPublicKeyInfo of id-ecPublicKey on sm2p256v1, up to the point.
FRAME = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")


class Server:
    """One listener of Pintle's, known by reflection."""

    def __init__(self, address, service):
        self.channel, self.service = grpc.insecure_channel(address), service
        pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(self.channel))
        self.methods = pool.FindServiceByName(service).methods_by_name

    def __call__(self, method, **fields):
        request, answer = (
            message_factory.GetMessageClass(one)
            for one in (self.methods[method].input_type, self.methods[method].output_type)
        )
        path = f"/{self.service}/{method}"
        rpc = self.channel.unary_unary(path, request.SerializeToString, answer.FromString)
        return rpc(request(**fields), timeout=10)


class OpenSsl:
    """The command. It knows DER only; raw signatures are put into DER and out of it here."""

    def __init__(self, folder):
        self.name = " ".join(self.run("version").decode().split()[:2])
        self.folder = pathlib.Path(folder)
        self.key, self.other = self.folder / "key.pem", self.folder / "other.der"
        self.run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2", "-out", self.key)

    @staticmethod
    def run(*words):
        return subprocess.run(["openssl", *words], check=True, capture_output=True).stdout

    def public_key(self):
        return self.run("pkey", "-in", self.key, "-pubout", "-outform", "DER")

    def pkeyutl(self, message, *words):
        (self.folder / "message").write_bytes(message)
        # Its own default identity is the empty one.
        how = ["-rawin", "-digest", "sm3", "-pkeyopt", f"distid:{IDENTITY}", "-in", self.folder / "message"]
        return subprocess.run(["openssl", "pkeyutl", *words, *how], capture_output=True)

    def sign(self, encoding, message):
        signature = self.pkeyutl(message, "-sign", "-inkey", self.key).stdout
        if encoding == "der":
            return signature
        return b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(signature))

    def verify(self, encoding, public_key, message, signature):
        if encoding == "raw":
            signature = encode_dss_signature(*(int.from_bytes(half, "big") for half in halves(signature)))
        self.other.write_bytes(public_key)
        (self.folder / "signature").write_bytes(signature)
        key = ["-pubin", "-keyform", "DER", "-inkey", self.other, "-sigfile", self.folder / "signature"]
        run = self.pkeyutl(message, "-verify", *key)
        said = run.stdout.decode().strip()
        assert said in ("Signature Verified Successfully", "Signature Verification Failure"), said + run.stderr.decode()
        return run.returncode == 0


class Gmssl:
    def __init__(self):
        self.name = f"gmssl {importlib.metadata.version('gmssl')}"
        order = int(default_ecc_table["n"], 16)
        self.private = f"{1 + secrets.randbelow(order - 2):064x}"
        self.point = self.with_key("", "der")._kg(int(self.private, 16), default_ecc_table["g"])

    def with_key(self, point, encoding):
        sm2 = CryptSM2(private_key=self.private, public_key="", asn1=encoding == "der")
        # Its constructor strips every leading 0 and 4 of a key that begins with 04.
        sm2.public_key = point
        return sm2

    def public_key(self):
        return FRAME + b"\x04" + bytes.fromhex(self.point)

    def sign(self, encoding, message):
        return bytes.fromhex(self.with_key(self.point, encoding).sign_with_sm3(message))

    def verify(self, encoding, public_key, message, signature):
        point = public_key.removeprefix(FRAME)[1:].hex()
        return self.with_key(point, encoding).verify_with_sm3(signature.hex(), message)


class Child:
    """A library of another language: a program that answers lines with lines, all in hexadecimal."""

    def __init__(self, name, *command):
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.name = f"{name} {self.ask('version')}"

    def ask(self, *words):
        words = [word if isinstance(word, str) else word.hex() or "-" for word in words]
        print(*words, file=self.child.stdin, flush=True)
        answer = self.child.stdout.readline().strip()
        assert answer and not answer.startswith("error"), answer or "it stopped"
        return answer

    def public_key(self):
        return bytes.fromhex(self.ask("key"))

    def sign(self, encoding, message):
        return bytes.fromhex(self.ask("sign", encoding, message))

    def verify(self, encoding, public_key, message, signature):
        return {"true": True, "false": False}[self.ask("verify", encoding, public_key, message, signature)]


def halves(signature):
    assert len(signature) == 64, f"a raw signature of {len(signature)} bytes"
    return signature[:32], signature[32:]


def pintle_signs(signing, library):
    public_key = signing("GetPublicKey", key=APP_KEY).subject_public_key_info
    for encoding, number in ENCODINGS.items():
        for message in MESSAGES:
            about = f"{encoding}, {len(message)} bytes"
            signature = signing("Sign", key=APP_KEY, message=message, encoding=number).signature
            assert library.verify(encoding, public_key, message, signature), f"it refuses ours: {about}"
            assert not library.verify(encoding, public_key, message + b"x", signature), f"it accepts another: {about}"


def pintle_verifies(signing, admin, library):
    key = {"name": "sm2-" + library.name.lower().replace(" ", "-")}
    spec = key | {"usage": "S0", "mode": "V", "algorithm": "SM2", "policy": {"signature_scheme": "SM2"}}
    admin("ImportKey", request_id=secrets.token_hex(16), spec=spec, public_key=library.public_key())
    for encoding, number in ENCODINGS.items():
        for message in MESSAGES:
            about = f"{encoding}, {len(message)} bytes"
            fields = {"key": key, "encoding": number, "signature": library.sign(encoding, message)}
            assert signing("Verify", message=message, **fields).valid, f"Pintle refuses its: {about}"
            assert not signing("Verify", message=message + b"x", **fields).valid, f"Pintle accepts another: {about}"


def row(name, step, result):
    print(f"{name:27} {'SM2':5} {'-':6} {step:20} {result}", flush=True)


def libraries(folder):
    yield OpenSsl(folder)
    yield Gmssl()
    yield Child("npm sm-crypto", "node", HERE / "sm2_oracle.cjs")
    jar = pathlib.Path(os.environ.get("BCPROV", "/usr/share/java/bcprov.jar"))
    if not shutil.which("java"):
        row("BouncyCastle", "both ways", "no JVM: not run")
    elif "jdk.compiler" not in subprocess.run(["java", "--list-modules"], capture_output=True, text=True).stdout:
        row("BouncyCastle", "both ways", "a JVM, but without a compiler (a JRE): not run")
    elif not jar.exists():
        row("BouncyCastle", "both ways", f"a JVM, but no {jar} (Debian: libbcprov-java): not run")
    else:
        yield Child("BouncyCastle", "java", "-cp", jar, HERE / "Sm2Oracle.java")


def main():
    signing = Server(os.environ["PINTLE"], "pintle.v1.SigningService")
    admin = Server(os.environ["PINTLE_ADMIN"], "pintle.admin.v1.KeyService")
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for library in libraries(folder):
            for step, act in (
                ("Pintle signs", lambda: pintle_signs(signing, library)),
                ("Pintle verifies", lambda: pintle_verifies(signing, admin, library)),
            ):
                try:
                    act()
                    row(library.name, step, f"ok, {len(MESSAGES)} messages, DER and raw")
                except Exception as error:  # noqa: BLE001: it is the table's to show
                    failures += 1
                    row(library.name, step, f"FAILED {error!r}"[:400])
    sys.exit(1 if failures else 0)


main()
