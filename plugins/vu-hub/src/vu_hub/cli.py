"""``vu push`` and ``vu pull``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def push_command(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    repository: Annotated[str, typer.Argument(help="Where to, ORG/NAME; made when it is not there.")],
    private: Annotated[bool, typer.Option("--private", help="Make it readable for its owner alone.")] = False,
    license_name: Annotated[
        str, typer.Option("--license", help="Licence that the model card states, as the hub names it; default: none.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would go up, use no network, and stop.")
    ] = False,
) -> None:
    """Put a run's edit, record and model card on the Hugging Face hub; the base model stays here.

    Example: vu push runs/uce-cat me/emoji-without-cat --private --dry-run
    """
    from vu_hub.package import packed

    with packed(run, repository, license_name=license_name) as package:
        if dry_run:
            for line in package.lines():
                typer.echo(line)
            return
        from vu_hub.hub import push

        typer.echo(push(package, private=private))


def pull_command(
    repository: Annotated[str, typer.Argument(help="Where from, ORG/NAME.")],
    out: Annotated[Path | None, typer.Option(help="The new folder; default: runs/NAME.")] = None,
    revision: Annotated[str, typer.Option(help="Branch, tag or commit; default: the newest.")] = "",
) -> None:
    """Fetch an edit that was pushed to the Hugging Face hub; nothing but safetensors, texts and a picture is fetched.

    Example: vu pull me/emoji-without-cat
    """
    from vu_hub.hub import pull

    folder = pull(repository, out or Path("runs") / repository.rpartition("/")[2], revision=revision)
    typer.echo(f"{folder}: use it as in 'vu sample \"a cat\" --edit {folder}'")
