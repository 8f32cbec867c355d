import json
from typing import Annotated

import typer

from vu_core import RunError

calls = []


class Notes:
    def start(self, folder, facts):
        print("a tracker talks")
        self._path = folder / "notes.jsonl"
        self._write({"facts": dict(facts)})

    def log(self, step, values):
        self._write({"step": step, **values})

    def finish(self, findings):
        pictures = {title: str(path) for title, path in findings.pictures.items()}
        files = [path.name for path in findings.files]
        self._write(
            {"status": findings.status, "numbers": dict(findings.numbers), "pictures": pictures, "files": files}
        )

    def _write(self, line):
        with self._path.open("a") as stream:
            stream.write(json.dumps(line) + "\n")


class _Fails:
    failing = ""

    def start(self, folder, facts):
        self._called("start")

    def log(self, step, values):
        self._called("log")

    def finish(self, findings):
        self._called("finish")

    def _called(self, step):
        calls.append(step)
        if step == self.failing:
            raise SystemExit("the server\nis gone")


class FailsStart(_Fails):
    failing = "start"


class FailsLog(_Fails):
    failing = "log"


class FailsFinish(_Fails):
    failing = "finish"


def greet(who: Annotated[str, typer.Argument(help="Whom to greet.")], loud: bool = False) -> None:
    """Say hello to someone."""
    if who == "nobody":
        raise RunError("nobody is there", hint="Greet someone.")
    typer.echo(f"hello {who}".upper() if loud else f"hello {who}")
