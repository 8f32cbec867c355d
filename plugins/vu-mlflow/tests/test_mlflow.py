"""MLflow's local store, written for real and read back by MLflow's own client."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from PIL import Image
from vu_mlflow.tracker import MLflow, nameable

from vu_core import Findings, testing

# MLflow's tables use a way of loading that SQLAlchemy 2.1 gives up.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

SCORE = "clip_score[judge,100*cos]/forget/after"


@testing.parametrize("vu-mlflow")
def test_conformance(check: testing.Case) -> None:
    check()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Return a store and three runs in it, as their folder's name, by how they ended."""
    root = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlflow.db")
        for status in ("finished", "failed", "interrupted"):
            track(root / f"run-{status}", status)
        assert mlflow.active_run() is None, "nothing global is begun"
        client = MlflowClient()
        experiment = client.get_experiment_by_name("vu")
        runs = client.search_runs([experiment.experiment_id])
        yield client, {run.info.run_name: run for run in runs}


def track(folder: Path, status: str) -> None:
    folder.mkdir()
    for name in ("contact-sheet.png", "cat-0.png"):
        Image.new("RGB", (4, 4), "red").save(folder / name)
    (folder / "edit.safetensors").write_bytes(b"12345")
    tracker = MLflow()
    tracker.start(folder, {"unlearner": "uce", "option/steps": 3, "long": "x" * 7000})
    for step in (0, 1, 1):
        tracker.log(step, {"loss": 1.0 - step})
    pictures = {"contact-sheet": folder / "contact-sheet.png", "before/cat-0": folder / "cat-0.png"}
    numbers = {"ua/forget/after": 100.0, "ua/forget/after_low": 61.0, SCORE: 30.5}
    tracker.finish(Findings(status=status, numbers=numbers, pictures=pictures, files=[folder / "edit.safetensors"]))


def test_facts_are_parameters(store):
    _, runs = store
    params = runs["run-finished"].data.params
    assert (params["unlearner"], params["option/steps"], len(params["long"])) == ("uce", "3", 6000)


def test_losses_are_curves_also_where_a_step_is_repeated(store):
    client, runs = store
    history = client.get_metric_history(runs["run-finished"].info.run_id, "log/loss")
    assert {(point.step, point.value) for point in history} == {(0, 1.0), (1, 0.0)}


def test_numbers_stand_with_their_intervals_under_names_that_mlflow_accepts(store):
    _, runs = store
    metrics = runs["run-finished"].data.metrics
    assert (metrics["ua/forget/after"], metrics["ua/forget/after_low"]) == (100.0, 61.0)
    assert metrics[nameable(SCORE)] == 30.5


def test_pictures_and_the_edit_are_artifacts(store, tmp_path):
    client, runs = store
    run_id = runs["run-finished"].info.run_id
    folder = Path(client.download_artifacts(run_id, "", str(tmp_path)))
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {"pictures/contact-sheet.png", "pictures/before/cat-0.png", "run/edit.safetensors"}
    assert (folder / "run/edit.safetensors").read_bytes() == b"12345"


def test_how_it_ended_is_the_status(store):
    _, runs = store
    found = {name: (run.info.status, run.data.tags["vu.status"]) for name, run in runs.items()}
    assert found == {
        "run-finished": ("FINISHED", "finished"),
        "run-failed": ("FAILED", "failed"),
        "run-interrupted": ("KILLED", "interrupted"),
    }
