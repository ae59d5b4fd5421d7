"""Opens and writes key blocks with psec, which shares no code with Pintle.

Reads a list of tasks from standard input, writes a list of answers; null is a refusal.
"""

import json
import sys
import warnings

warnings.filterwarnings("ignore")

from psec import tr31  # noqa: E402


def opened(task):
    header, key = tr31.unwrap(bytes.fromhex(task["kbpk"]), task["block"])
    return {
        "key": key.hex(),
        "fields": [
            header.version_id,
            header.key_usage,
            header.algorithm,
            header.mode_of_use,
            header.version_num,
            header.exportability,
        ],
        "blocks": sorted(header.blocks.items()),
    }


def written(task):
    header = tr31.Header(*task["fields"])
    for block_id, data in task["blocks"]:
        header.blocks[block_id] = data
    kbpk, key = bytes.fromhex(task["kbpk"]), bytes.fromhex(task["key"])
    return tr31.wrap(kbpk, header, key, task["masked_bytes"])


def answer(task):
    try:
        return opened(task) if "block" in task else written(task)
    except (tr31.KeyBlockError, tr31.HeaderError):
        return None


json.dump([answer(task) for task in json.load(sys.stdin)], sys.stdout)
