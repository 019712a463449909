"""How long importing takes: `python benchmarks/imports.py [--quick]`. Each import in a fresh process, in turns.

`import subscription_lifecycle` beside its core dependencies, attrs, transitions and cattrs. The package imports a name
from its home when it is first asked for, so what a program really waits for is shown as well: for values alone, and for
`Subscriptions` with `STANDARD`. From each the bare interpreter's start is taken off. Bytecode is compiled in a first
round that does not count, into a folder of its own. Wanted: 2 times at most.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

NOTHING, CORE = "nothing", "attrs, transitions, cattrs"
SIDES = {
    NOTHING: "pass",
    CORE: "import attrs, transitions, cattrs",
    "the package": "import subscription_lifecycle",
    "its values": "from subscription_lifecycle import Money, Plan, Subscription",
    "all that a service needs": "from subscription_lifecycle import STANDARD, Subscriptions",
}


def once(code: str, environment: dict[str, str]) -> float:
    """Milliseconds from start to end of a process of its own."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    return (time.perf_counter() - began) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few rounds: whether it runs, not how fast")
    rounds = 2 if parser.parse_args().quick else 31
    taken: dict[str, list[float]] = {name: [] for name in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"PYTHONPYCACHEPREFIX": folder, "PYTHONDONTWRITEBYTECODE": ""}
        for number in range(-1, rounds):
            for name, code in SIDES.items():
                spent = once(code, environment)
                if number >= 0:
                    taken[name].append(spent)
    found = {name: statistics.median(values) for name, values in taken.items()}
    core = found[CORE] - found[NOTHING]
    print("Importing, of the core dependencies (wanted of the package: 2.0 or less)")
    for name, value in found.items():
        print(f"  {value:8.1f} ms  {(value - found[NOTHING]) / core:5.2f}  {name}")


if __name__ == "__main__":
    main()
