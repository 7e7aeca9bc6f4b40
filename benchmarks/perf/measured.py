"""Runs `gti-bench` with the given arguments and prints, as JSON, what it took.

In a process of its own: a child starts with the peak memory of the process that it was forked
from, and one that times things in tensors is large.
"""

import json
import os
import subprocess
import sys
import time


def main() -> None:
    """Exit code, seconds, seconds of CPU and bytes at the peak of the largest process."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.cli.app", *sys.argv[1:]]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    found = {
        "code": process.returncode,
        "seconds": time.perf_counter() - began,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
