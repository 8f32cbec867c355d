"""Write a page of every kind into a folder, for ``check.mjs`` to open: ``python pages.py OUT``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from vu_report.writing import write
from vu_report_folders import HOSTILE, RESULTS, make_bench, make_run, result

from vu_core.report import PAGE


def write_pages(out: Path) -> None:
    """Write the pages of a run, hostile names, a classifier, a bench, and comparisons of runs and of benches."""
    run = make_run(out / "run", warnings=["something to know"], names=("cat",) * 6 + ("dog",) * 4 + ("car",) * 20)
    events = [{"step": i, "loss": 1 / (i + 1), "learning_rate": 1e-4} for i in range(50)]
    (run / "events.jsonl").write_text("\n".join(map(json.dumps, events)))
    make_run(out / "hostile", forget=HOSTILE, names=(HOSTILE, "dog"), errors=[HOSTILE])
    held = {"direction": "reference", "reference": 95.0, "reference_n": 5, "reference_noise": 1.0, "gap": 2.0}
    make_run(out / "classifier", pictures=False, results=[result("unlearning_accuracy", after=97.0, **held)])
    make_bench(out / "bench")
    for name in ("run", "hostile", "classifier", "bench", "bench/uce/object-cat-seed0"):
        write([out / name], out / name / PAGE)
    weak = [r if r.metric != "ua_recognised" else result("ua_recognised", after=50.0) for r in RESULTS]
    other = make_run(out / "other", results=weak)
    write([run, other], out / "comparison" / "compare.html")
    write([out / "bench", make_bench(out / "bench-2", unlearners=("esd",))], out / "comparison" / "benches.html")


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
