"""From a folder or hub id to a folder on disk; the network is used only when the user asks for it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from vu_core import ModelError
from vu_diffusers.families import Family
from vu_diffusers.sources import INDEX, read_index

_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CONFIGS = (".json", ".txt")
_VARIANT = re.compile(r"\.(fp16|bf16|non_ema|ema_only)(?=[.-])")


def find_folder(source: str, *, download: bool, revision: str | None) -> tuple[Path, str | None]:
    """Return the folder of a pipeline and, for a hub model, the commit it is at.

    Args:
        source: A folder, or a hub id such as ``"organisation/name"``.
        download: Whether a hub model may be fetched over the network.
        revision: Branch, tag or commit of a hub model; None for its default branch.

    Raises:
        ModelError: The folder does not exist, or the hub model is not there, not fetched yet or of no supported family.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        if revision:
            raise ModelError(
                f"revision '{revision}' was given for the folder '{source}'", hint="Only hub models have revisions."
            )
        return path, None
    if path.exists():
        raise ModelError(f"'{source}' is a file", hint="Give the folder of a saved pipeline.")
    if not _HUB_ID.fullmatch(source):
        raise ModelError(f"the folder '{source}' does not exist", hint="Give a pipeline's folder or a hub id.")
    folder = _fetched(source, revision) if download else _cached(source, revision)
    return folder, folder.name if _COMMIT.fullmatch(folder.name) else None


def wanted_files(names: Iterable[str], family: Family) -> list[str]:
    """Return which files of a hub repository a pipeline needs.

    Configurations, vocabularies and safetensors of the components that its family has; of several variants of one the
    one without a suffix, as the loader prefers it. Pickle files and checkpoints at the top level are left out.

    Args:
        names: Paths in the repository.
        family: Of its pipeline.
    """
    components = {"scheduler", *family.modules, *family.tokenizers.values()}
    paths = [PurePosixPath(name) for name in names]
    inner = [path for path in paths if len(path.parts) == 2 and path.parts[0] in components]
    weights = [path for path in inner if ".safetensors" in path.name]
    plain = {path.parent for path in weights if not _VARIANT.search(path.name)}
    chosen = [path for path in weights if path.parent not in plain or not _VARIANT.search(path.name)]
    configs = [path for path in inner if path.suffix in _CONFIGS and path not in weights]
    top = [path for path in paths if len(path.parts) == 1 and path.suffix == ".json"]
    return sorted(map(str, [*top, *configs, *chosen]))


def _cached(source: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(source, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        at = f" at revision '{revision}'" if revision else ""
        raise ModelError(
            f"'{source}' is neither a folder nor a hub model{at} that was fetched before",
            hint="Pass --download to fetch it from the hub, or give a folder.",
        ) from None


def _fetched(source: str, revision: str | None) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    try:
        info = HfApi().model_info(source, revision=revision)
        # Some gigabytes are saved where the index alone shows that the pipeline is not supported.
        index = snapshot_download(source, revision=info.sha, allow_patterns=[INDEX])
        _, family = read_index(Path(index), source)
        files = wanted_files((file.rfilename for file in info.siblings or ()), family)
        return Path(snapshot_download(source, revision=info.sha, allow_patterns=files))
    except ModelError:
        raise
    # The client's exceptions have no common base over its versions (requests, then httpx).
    except Exception as error:
        raise ModelError(
            f"'{source}' could not be fetched from the hub: {error}",
            hint="Check the name, the network, and for gated models that you are logged in.",
        ) from error
