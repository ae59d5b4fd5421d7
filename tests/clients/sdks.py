"""Alipay's real SDKs sign and verify through Pintle, against the local Alipay of examples/alipay_gateway;
then SM2 by other libraries.

Usage: sdks.py FOLDER_OF_BINARIES. `make clients` prepares target/sdk-official, target/sdk-third,
target/npm-clients and target/venv (or PINTLE_PYTHON). Prints a table; fails where any step fails.
"""

import base64
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = ROOT / "target"
DAYS = [
    ("python-alipay-sdk 3.4.0", [TARGET / "sdk-third/bin/python", ROOT / "tests/clients/sdk_day.py", "third"]),
    ("alipay-sdk-python 3.7.1411", [TARGET / "sdk-official/bin/python", ROOT / "tests/clients/sdk_day.py", "official"]),
    ("npm alipay-sdk 4.14.0", ["node", ROOT / "tests/clients/sdk_day.cjs"]),
]


class Program:
    """A child, ended by its id; `addresses` are what its output says, one line for each pattern."""

    def __init__(self, command, *patterns):
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.addresses = [self.said(pattern) for pattern in patterns]
        threading.Thread(target=self.child.stdout.read, daemon=True).start()

    def said(self, pattern):
        for line in self.child.stdout:
            if found := re.search(pattern, line):
                return found.group(1)
        sys.exit(f"{self.child.args[0]} stopped before it served")

    def __enter__(self):
        return self.addresses

    def __exit__(self, *_):
        self.child.terminate()
        self.child.wait()


def content_key():
    """The published key of `pintle dev` for content encryption, as Alipay's console shows such a key: base64."""
    keys = (ROOT / "src/bin/pintle/demo/test_keys.toml").read_text()
    value = re.search(r'name = "alipay-content"[^\[]*?value = "(\w+)"', keys).group(1)
    return base64.b64encode(bytes.fromhex(value)).decode()


def environment_of(scheme, charset, pintle, plain, tricky):
    return os.environ | {
        "PINTLE": pintle, "GATEWAY": f"http://{plain}", "TRICKY": f"http://{tricky}", "SCHEME": scheme,
        "CHARSET": charset, "APP_KEY": f"alipay-app-{scheme.lower()}", "ALIPAY_KEY": f"alipay-{scheme.lower()}",
        "CONTENT_AES": content_key(), "PROTO": str(ROOT / "proto"), "NODE_PATH": str(TARGET / "npm-clients/node_modules"),
        "PYTHONPATH": f"{ROOT / 'proto'}:{ROOT / 'examples/clients'}", "PYTHONWARNINGS": "ignore",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def day(name, command, scheme, charset, *addresses):
    environment = environment_of(scheme, charset, *addresses)
    subprocess.run([*DAYS[0][1][:2], "register"], env=environment, check=True)
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    steps = [line.split("\t", 1) for line in run.stdout.splitlines() if "\t" in line]
    if run.returncode or len(steps) < 9:
        steps.append(("the whole day", f"FAILED {run.stderr[-1500:]}"))
    for step, result in steps:
        print(f"{name:27} {scheme:5} {charset:6} {step:20} {result}", flush=True)
    return sum(not result.startswith(("ok", "known")) for _, result in steps)


def main(binaries):
    # Every day in both schemes; the official Python SDK once more, as only it sends GBK.
    plan = [(name, command, scheme, "utf-8") for scheme in ("RSA2", "RSA") for name, command in DAYS]
    plan.append((*DAYS[1], "RSA2", "gbk"))
    pintle = [f"{binaries}/pintle", "dev", "--danger-plaintext-listen", "127.0.0.1:0"]
    gateway = [f"{binaries}/alipay-gateway", "--port", "0"]
    where = r"v2\s+http://([\d.:]+)/"
    with (
        tempfile.TemporaryDirectory() as folder,
        Program([*pintle, "--folder", folder], r"data\s+([\d.:]+)", r"admin\s+([\d.:]+)") as (served, admin),
        Program(gateway, where) as (plain,),
        Program([*gateway, "--tricky"], where) as (tricky,),
    ):
        environment = environment_of("RSA2", "utf-8", served, plain, tricky)
        maps = [DAYS[0][1][0], ROOT / "tests/clients/sdk_maps.py"]
        unequal = subprocess.run(maps, env=environment).returncode != 0
        failures = unequal + sum(day(*one, served, plain, tricky) for one in plan)
        python = os.environ.get("PINTLE_PYTHON", TARGET / "venv/bin/python")
        oracles = [python, ROOT / "tests/clients/sm2_oracles.py"]
        failures += subprocess.run(oracles, env=environment | {"PINTLE_ADMIN": admin}).returncode != 0
    print(f"{failures} steps failed" if failures else "every step is as expected")
    return 1 if failures else 0


sys.exit(main(sys.argv[1]))
