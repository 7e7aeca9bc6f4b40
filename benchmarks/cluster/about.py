"""What a node says of itself: `python -m benchmarks.cluster.about` prints it as JSON.

Run as a process of its own, so that a node where the package is missing or broken can still be
asked, and says why it fails.
"""

import json
import platform
import sys
from typing import Any

from benchmarks.machine.environment import (
    describe_code,
    describe_environment,
    package_versions,
    processor_name,
)


def own_code() -> dict[str, Any]:
    """Version and commit of the code here, and whether it was changed since."""
    code = describe_code()
    return {name: code[name] for name in ("version", "commit", "dirty")}


def own_environment() -> dict[str, Any]:
    """What two records must have in common to be of the same kind of machine."""
    import torch

    found = describe_environment(torch.device("cpu"), "bfloat16", deterministic=True)
    return {
        "processor": processor_name(),
        "instruction set": found["instruction_set"],
        "bfloat16": found["bfloat16"],
        "python": platform.python_version(),
        **package_versions(),
    }


if __name__ == "__main__":
    json.dump({"code": own_code(), "environment": own_environment()}, sys.stdout)
