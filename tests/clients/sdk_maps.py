"""The string-to-sign of random requests, from `pintle dev` and put together again here; for sdks.py.

PINTLE_MAPS says how many, 5,000 where it is not set; SEED where to begin.
"""

import concurrent.futures
import os
import random
import sys

import grpc

messages, services = grpc.protos_and_services("pintle/v1/alipay_service.proto")
stub = services.AlipayServiceStub(grpc.insecure_channel(os.environ["PINTLE"]))
seed = int(os.environ.get("SEED", "20261126"))
chance = random.Random(seed)
TRICKY = "&=%+\"\\ {}/<>'\n\t\r:,#;"
OUTSIDE_GBK = "😀𠮷éñก가ß"


def string_to_sign(sent):
    """Written from Alipay's description."""
    kept = {name: value for name, value in sent.items() if name != "sign" and value != ""}
    text = "&".join(f"{name}={kept[name]}" for name in sorted(kept))
    return text.encode(sent.get("charset", "utf-8"))


def character(everything):
    kind = chance.randrange(6)
    if kind < 2:
        return chance.choice(TRICKY)
    if kind == 2:
        return chr(chance.randrange(0x20, 0x7F))
    if kind == 3 and everything:
        return chance.choice(OUTSIDE_GBK)
    return chr(chance.randrange(0x4E00, 0x9FA6))


def request():
    charset = chance.choice([None, "utf-8", "gbk", "GBK", "gb18030"])
    everything = charset not in ("gbk", "GBK")
    sent = {"sign_type": "RSA2"} | ({"charset": charset} if charset else {})
    if chance.random() < 0.5:
        sent["sign"] = character(everything)
    for _ in range(chance.randrange(21)):
        name = "".join(chance.choices('abcxyzABCXYZ019_-.[]%+"\\~', k=chance.randrange(1, 6)))
        length = chance.choice([0, chance.randrange(1, 25), chance.randrange(1, 25)])
        sent.setdefault(name, "".join(character(everything) for _ in range(length)))
    return sent


def agrees(sent):
    asked = messages.SignRequestRequest(
        key={"name": "alipay-app-rsa2"}, parameters=sent, return_string_to_sign=True
    )
    ours = stub.SignRequest(asked, timeout=10).string_to_sign
    if ours != string_to_sign(sent):
        print(f"differs: {sent!r}: {ours!r}", file=sys.stderr)
    return ours == string_to_sign(sent)


def main():
    count = int(os.environ.get("PINTLE_MAPS", "5000"))
    differ = 0
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        for at in range(0, count, 500):
            requests = [request() for _ in range(min(500, count - at))]
            differ += sum(not same for same in threads.map(agrees, requests))
    result = f"FAILED: {differ} differ" if differ else "ok"
    print(f"{count} random requests, seed {seed}: string-to-sign", result, sep="\t")
    sys.exit(1 if differ else 0)


main()
