"""How long ``vu --help``, ``vu list`` and ``vu info`` take, as a multiple of ``import typer``.

Each command is started several times and the fastest start counts. The goal is a ratio of at most 5.

Run: python benchmarks/startup.py [COMPONENT]    (default: uce)
"""

from __future__ import annotations

import subprocess
import sys
import time

STARTS = 9


def seconds(*command: str) -> float:
    """Return the wall time of the fastest of several starts."""
    times = []
    for _ in range(STARTS):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    component = sys.argv[1] if len(sys.argv) > 1 else "uce"
    vu = (sys.executable, "-m", "vu_core")
    floor = seconds(sys.executable, "-c", "import typer")
    print(f"{'command':<20}{'ms':>6}{'ratio':>8}")
    print(f"{'import typer':<20}{1000 * floor:>6.0f}{1:>8.1f}")
    for arguments in (("--help",), ("list",), ("info", component)):
        taken = seconds(*vu, *arguments)
        print(f"{' '.join(('vu', *arguments)):<20}{1000 * taken:>6.0f}{taken / floor:>8.1f}")


if __name__ == "__main__":
    main()
