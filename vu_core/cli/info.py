"""``vu info``: one component and its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from vu_core.config import Option
    from vu_core.registry import Entry, Registry
    from vu_core.specs import Spec

app = typer.Typer()

_HEADER = ("name", "summary", "api")


@app.command("info")
def info_command(
    name: Annotated[str, typer.Argument(help="A component: uce; kind/name or plugin:name when that is ambiguous.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    as_page: Annotated[bool, typer.Option("--page", help="Print its page, in Markdown: idea, equation, use.")] = False,
) -> None:
    """Describe a component: what it does, needs and can be told. Nothing heavy is imported."""
    from vu_core.config import options_of
    from vu_core.errors import ConfigError
    from vu_core.registry import Registry

    if as_page and as_json:
        raise ConfigError("a page is Markdown, not JSON", hint="Give --page or --json.")
    registry = Registry.discover()
    entry = _find(registry, name)
    if as_page:
        _print_page(registry, entry)
        return
    config = entry.config_class()
    options = options_of(config) if config else []
    if as_json:
        _print_json(entry, options)
    else:
        _print_text(registry, entry, options)


def _find(registry: Registry, name: str) -> Entry[Any]:
    from vu_core.errors import UnknownNameError, did_you_mean
    from vu_core.registry import may_provide_it
    from vu_core.specs import KINDS

    kind, _, rest = name.partition("/")
    if rest and kind in KINDS:
        return registry.get(kind, rest)
    kinds = [kind for kind in KINDS if registry.find(kind, name)]
    if len(kinds) == 1:
        return registry.get(kinds[0], name)
    if kinds:
        choices = ", ".join(f"vu info {kind}/{name}" for kind in kinds)
        raise UnknownNameError(f"'{name}' is a {' and a '.join(kinds)}", hint=f"Say which: {choices}")
    names = [entry.spec.name for entry in registry.entries()]
    hints = (did_you_mean(name, names), "See 'vu list'.", may_provide_it(registry.plugins.records))
    raise UnknownNameError(f"unknown component '{name}'", hint=" ".join(hint for hint in hints if hint))


def _print_page(registry: Registry, entry: Entry[Any]) -> None:
    from vu_core.pages import page

    typer.echo(page(registry, entry), nl=False)


def _print_json(entry: Entry[Any], options: list[Option]) -> None:
    import json

    from vu_core.cli._output import spec_as_json

    described = {**spec_as_json(entry.spec), "plugin": entry.plugin, "version": entry.version}
    typer.echo(json.dumps({**described, "options": [vars(option) for option in options]}, indent=2))


def _print_text(registry: Registry, entry: Entry[Any], options: list[Option]) -> None:
    from dataclasses import fields

    spec = entry.spec
    typer.echo(f"{spec.name}: {spec.kind} of {entry.plugin} {entry.version}")
    typer.echo(spec.summary)
    typer.echo()
    facts = {field.name: _text(field.name, getattr(spec, field.name)) for field in fields(spec)}
    facts.update(_presets(registry, spec))
    facts.update(_protocol(spec))
    width = max(map(len, facts))
    for key, text in facts.items():
        if text and key not in _HEADER:
            typer.echo(f"{key:<{width}}  {text}")
    flag = "--data" if spec.kind == "dataset" else "-o"
    for option in options:
        typer.echo()
        _print_option(flag, option)


def _print_option(flag: str, option: Option) -> None:
    from vu_core.config import REQUIRED

    default = option.default if option.default == REQUIRED else f"default {option.default}"
    symbol = f"{option.symbol} of the paper" if option.symbol else ""
    typer.echo(f"{flag} {option.name}=...  {', '.join(filter(None, (option.type, option.range, default, symbol)))}")
    if option.help:
        typer.echo(f"   {option.help}")


def _presets(registry: Registry, spec: Spec) -> dict[str, str]:
    """Return, in words, the presets a model carries, or those that models carry for an unlearner."""
    from vu_core.pages import presets

    if spec.kind == "model":
        of_model = [preset for preset in presets(registry) if preset.model == spec.name]
        return {f"preset {preset.unlearner}/{preset.name}": str(preset) for preset in of_model}
    if spec.kind == "unlearner":
        of_unlearner = [preset for preset in presets(registry) if preset.unlearner == spec.name]
        return {f"preset {preset.name}": f"{preset}, for the model {preset.model}" for preset in of_unlearner}
    return {}


def _protocol(spec: Spec) -> dict[str, str]:
    """Return, in words, what a protocol's file asks for."""
    from vu_core.specs import ProtocolSpec

    if not isinstance(spec, ProtocolSpec):
        return {}
    from vu_core.cli._protocol import protocol_rows
    from vu_core.protocols import protocol_path, read_protocol

    return protocol_rows(read_protocol(protocol_path(spec)))


def _text(key: str, value: Any) -> str:
    if key == "range":
        low, high = value
        return f"{'-inf' if low is None else low} to {'inf' if high is None else high}"
    if key == "presets" or value is False:
        return ""
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else "yes" if value is True else str(value)
