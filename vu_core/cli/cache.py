"""``vu cache``: where the pictures and answers that runs share are, how much there is, and emptying it."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer()


@app.command("cache")
def cache_command(
    action: Annotated[str, typer.Argument(help="'where', 'size' or 'clear'.")] = "size",
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show or empty the store of pictures and answers that all runs share.

    $VU_CACHE_DIR moves it, $VU_CACHE_LIMIT_GB limits it (default 10).
    """
    import json

    from vu_core.cache import ContentCache
    from vu_core.errors import ConfigError, did_you_mean

    cache = ContentCache.of_user()
    if action not in ("where", "size", "clear"):
        suggestion = did_you_mean(action, ("where", "size", "clear"))
        raise ConfigError(f"'vu cache {action}' is not known. {suggestion}".strip(), hint="Say where, size or clear.")
    if action == "where":
        typer.echo(json.dumps({"folder": str(cache.root)}) if json_output else str(cache.root))
        return
    pictures, size = cache.clear() if action == "clear" else cache.size()
    if json_output:
        facts = {"folder": str(cache.root), "pictures": pictures, "bytes": size, "cleared": action == "clear"}
        typer.echo(json.dumps(facts))
        return
    verb = "removed" if action == "clear" else "holds"
    typer.echo(f"{cache.root} {verb} {pictures} pictures, {size / 1e6:.1f} MB (limit {cache.limit_bytes / 1e9:g} GB)")
