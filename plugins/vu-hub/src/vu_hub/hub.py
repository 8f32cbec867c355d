"""Up to a hub and down again; the token is the environment's or the standard login's, and stays there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import CommitOperationAdd, HfApi, constants
from huggingface_hub.errors import (
    HfHubHTTPError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from vu_core import EditError, RunError, read_edit
from vu_core.editfiles import EDIT_FILE
from vu_core.files import atomic_path
from vu_core.records import RECORD_FILE, read_record
from vu_hub.package import FILES, Package, check_repository

_LOGIN = "Log in with 'hf auth login', or set HF_TOKEN to a token that may write there."
_DENIED = (401, 403)
# What httpx raises, under the name of the httpx that this huggingface_hub brings.
_TRANSPORT_ERROR: type[Exception] = HfHubHTTPError.__bases__[0]


def push(package: Package, *, private: bool = False) -> str:
    """Put ``package`` into its repository in one commit and return the commit's address.

    Args:
        package: What goes up.
        private: Whether the repository is made for its owner alone, when it is not there yet.

    Raises:
        RunError: The hub is switched off or cannot be reached, or it refuses.
    """
    api = HfApi()
    operations = [
        CommitOperationAdd(path_in_repo=name, path_or_fileobj=path) for name, path in sorted(package.files.items())
    ]
    with _explained(package.repository):
        api.create_repo(package.repository, private=private, exist_ok=True)
        done = api.create_commit(package.repository, operations, commit_message=package.title)
    return str(done.commit_url)


def pull(repository: str, out: Path, *, revision: str = "") -> Path:
    """Fetch the edit in ``repository`` into the new folder ``out`` and return it.

    Args:
        repository: ``"org/name"``.
        out: Must be empty or not exist.
        revision: Branch, tag or commit; empty for the newest.

    Raises:
        RunError: ``out`` holds something, the hub cannot be reached, or there is no such repository or revision.
        EditError: The repository holds no edit, a damaged one, or another than its record says.
    """
    check_repository(repository)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"'{out}' already exists", hint="Choose a new folder with --out.")
    with TemporaryDirectory(prefix="vu-") as temporary:
        folder = Path(temporary)
        with _explained(repository):
            HfApi().snapshot_download(
                repository, revision=revision or None, local_dir=folder, allow_patterns=list(FILES)
            )
        _check(folder, repository)
        for name in FILES:
            if (folder / name).is_file():
                with atomic_path(out / name) as part:
                    part.write_bytes((folder / name).read_bytes())
    return out


def _check(folder: Path, repository: str) -> None:
    """Refuse what is no edit of vu, or not the one that its record describes."""
    if not (folder / EDIT_FILE).is_file():
        raise EditError(f"'{repository}' holds no edit of vu", hint=f"Its {EDIT_FILE} is missing.")
    edit = read_edit(folder)
    if (folder / RECORD_FILE).is_file():
        recorded = (read_record(folder).edit or {}).get("sha256")
        if recorded != edit.sha256():
            raise EditError(f"the edit in '{repository}' is not the one that its {RECORD_FILE} describes")


@contextmanager
def _explained(repository: str) -> Iterator[None]:
    """Turn what goes wrong between here and a hub into an error that says what to do."""
    try:
        yield
    except (OfflineModeIsEnabled, LocalEntryNotFoundError) as error:
        # The second is what a download ends with, whatever kept it from the hub.
        if not constants.HF_HUB_OFFLINE:
            raise RunError("the hub cannot be reached", hint="Check the network.") from error
        raise RunError("HF_HUB_OFFLINE forbids the use of a hub", hint="Unset it for this command.") from error
    except LocalTokenNotFoundError as error:
        raise RunError("no token for the hub was found", hint=_LOGIN) from error
    except RevisionNotFoundError as error:
        raise RunError(f"'{repository}' has no such revision", hint="Leave --revision out for the newest.") from error
    except RepositoryNotFoundError as error:
        raise RunError(f"'{repository}' is not there, or not open to you", hint=_LOGIN) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in _DENIED:
            raise RunError(f"the hub refuses access to '{repository}' ({status})", hint=_LOGIN) from error
        raise RunError(f"the hub answers {status} for '{repository}': {error.server_message}") from error
    except RuntimeError as error:
        # What huggingface_hub makes of anything that stops the upload of a large file.
        raise RunError(f"the upload to '{repository}' failed: {error}", hint="Try again.") from error
    except (_TRANSPORT_ERROR, ConnectionError) as error:
        raise RunError(f"the hub cannot be reached: {type(error).__name__}", hint="Check the network.") from error
