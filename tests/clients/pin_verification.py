"""Visa PVVs and IBM 3624 offsets and PINs by psec, which shares no code with Pintle.

Reads a list of tasks from standard input, writes a list of answers.
"""

import json
import sys
import warnings

warnings.filterwarnings("ignore")

from psec import pin  # noqa: E402


def answer(task):
    key = bytes.fromhex(task["key"])
    pvv = pin.generate_visa_pvv(key[:16], task["pvki"], task["pin"][:4], task["pan"])
    layout = (task["pan"], task["first"], task["digits"], task["pad"])
    offset = pin.generate_ibm3624_offset(key, task["table"], task["pin"], *layout)
    chosen = pin.generate_ibm3624_pin(key, task["table"], task["offset"], *layout)
    return [pvv, offset, chosen]


json.dump([answer(task) for task in json.load(sys.stdin)], sys.stdout)
