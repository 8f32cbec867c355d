"""Folders as the core leaves them behind, with records, verdicts and pictures that the core itself wrote."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from PIL import Image

from vu_core.records import Record, Stage
from vu_core.types import Interval, Result
from vu_core.verdicts import VERDICTS_FILE, Verdict, Verdicts

HOSTILE = """</script><img src=x onerror=alert(1)>"'{{7*7}}<b>&amp;"""


def result(metric="ua", group="forget", before=0.0, after=100.0, span=(45.0, 100.0), **more) -> Result:
    change = None if before is None or after is None else after - before
    own = None if after is None else Interval(low=max(after - 10, 0.0), high=min(after + 10, 100.0))
    values = {"n": 40, "unit": "%", "direction": "up", "ideal": 100.0, "success": 100.0, "after_interval": own, **more}
    interval = None if span is None or change is None else Interval(low=span[0], high=span[1])
    return Result(metric=metric, group=group, before=before, after=after, change=change, interval=interval, **values)


UNLEARNER = {"name": "uce", "plugin": "vu-uce", "version": "0.1.0", "config": {"a": 1}, "preset": "default"}

RESULTS = (
    result(),
    result("ua_recognised"),
    result("unrecognised", after=0.0, span=(-9, 9), direction="down", ideal=0.0),
    result("ira", "retain", 98.0, 99.0, (-2, 3), n=170),
    result("ira", "neighbours", 100.0, 95.0, (-12, 4), n=20),
    result("ira", "dog", 100.0, 90.0, (-40, 20), n=10),
    result(
        "clip_score[judge,100*cos]", "forget", 60.0, 20.0, (-50, -30), unit="100 cos", direction="down", success=None
    ),
)


def make_run(
    folder: Path, *, forget="cat", results=RESULTS, names=("cat", "dog", "car"), pictures=True, side=32, **more
):
    """Write a run's folder and return it."""
    folder.mkdir(parents=True)
    record = Record(
        **{
            "folder": folder,
            "status": "finished",
            "request": {"forget": [forget], "retain": ["car"], "neighbours": ["dog"], "replace_with": []},
            "unlearner": {
                "name": "uce",
                "plugin": "vu-uce",
                "version": "0.1.0",
                "config": {"a": 1},
                "preset": "default",
            },
            "model": {"name": "emoji", "fingerprint": "ab" * 32, "revision": None},
            "edit": {"kind": "lora", "sha256": "cd" * 32, "bytes": 1000, "rank": 3, "read": {}, "info": {}},
            "applied": [{"sha256": "cd" * 32, "kind": "lora", "scale": 1.0, "unlearner": "uce", "forget": [forget]}],
            "protocol": {"name": "emoji-quick@1", "sha256": "ef" * 32, "dataset": "emoji"},
            "scorers": {"object": {"name": "judge", "version": "1"}},
            "environment": {"versions": {"python": "3.11"}, "device": "cpu", "dtype": "float32"},
            "stages": [Stage(name="unlearn", seconds=3.0, peak_memory_bytes=10**9), Stage(name="report", seconds=0.0)],
            "results": list(results),
            **more,
        }
    )
    record.write()
    (folder / "pytorch_lora_weights.safetensors").touch()
    if pictures:
        write_pictures(folder, names, side)
    return folder


def write_pictures(folder: Path, names, side):
    rows = []
    for i, name in enumerate(names):
        sample = f"sample-{i}"
        after = "dog" if i == 0 else name
        rows.append(
            Verdict(
                sample=sample,
                cluster=sample,
                attributes={"object": name},
                prompt=f"a {name}",
                seed=i,
                before={"object": name, "clip": 0.5},
                after={"object": after, "clip": 0.5},
            )
        )
        for when, shade in (("before", 60), ("after", 200)):
            path = folder / "images" / when / f"{sample}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (side, side), (shade, 10 * i % 256, 80)).save(path)
    verdicts = Verdicts()
    verdicts._found = {row.sample: row for row in rows}
    verdicts.write(folder / VERDICTS_FILE)


def make_bench(folder: Path, unlearners=("uce", "ablate"), forget=("cat", "dog")):
    """Write a bench's folder, its runs in it, and return it."""
    runs, table = [], []
    for unlearner in unlearners:
        for i, name in enumerate(forget):
            where = Path(unlearner) / f"object-{name}-seed0"
            make_run(folder / where, forget=name)
            runs.append(
                {
                    "unlearner": unlearner,
                    "forget": name,
                    "kind": "object",
                    "seed": 0,
                    "folder": where.as_posix(),
                    "already_there": False,
                    "status": "finished",
                    "error": "",
                    "edit": "ab" * 32,
                    "seconds": {"unlearn": 2.0 + i},
                    "drawn": 4,
                    "cached": 0,
                    "peak_memory_bytes": 10**9,
                    "results": [asdict(r) for r in RESULTS if r.group != "dog"],
                }
            )
        after = 100.0 if unlearner == "uce" else 60.0
        rows = [result("ua_recognised", after=after, span=(40, 100)), result("ira", "retain", 98.0, 97.0, (-3, 2))]
        table += [{"unlearner": unlearner, "kind": "object", "concepts": 2, **asdict(row)} for row in rows]
    matrix = [[-100.0, 0.0, None], [-33.0, -100.0, 20.0]]
    found = {"forget": list(forget), "measured": [*forget, "car"]}
    found |= dict.fromkeys(("before", "after", "change", "n"), matrix) | {"hardest": []}
    values = {
        "schema": 1,
        "status": "finished",
        "protocol": {"name": "emoji-quick@1", "sha256": "ef" * 32, "dataset": "emoji"},
        "model": {"name": "emoji", "fingerprint": "ab" * 32},
        "unlearners": list(unlearners),
        "forget": list(forget),
        "seeds": [0],
        "environment": {"versions": {"python": "3.11"}, "device": "cpu"},
        "work": {"runs": len(runs), "runs_already_there": 0, "drawn": 8, "cached": 0},
        "published": [{"name": "UCE", "kind": "object", "value": 98.4}],
        "table": table,
        "interference": dict.fromkeys(unlearners, found),
        "runs": runs,
        "warnings": [],
        "errors": [],
    }
    (folder / "bench.json").write_text(json.dumps(values))
    return folder
