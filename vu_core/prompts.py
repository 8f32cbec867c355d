"""Prompt lists that others published: pinned by their hash, read from the user's data folder, never carried along."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import urlparse
from urllib.request import urlopen

from vu_core.errors import ConfigError, DataError
from vu_core.files import DATA_DIR_VARIABLE, data_dir, write_bytes
from vu_core.types import FORGET, Concept, Sample

FOLDER = "prompts"

_SHA256 = 64


@dataclass(frozen=True, kw_only=True)
class PromptList:
    """A CSV file of prompts, each with its own seed.

    Attributes:
        url: Where it is, at a pinned state: a URL that names a commit.
        sha256: Of the file, in hexadecimal; another file is refused.
        prompt: Column of the prompts.
        seed: Column of the seeds.
        where: Rows that count: by column, the value it must have.
        role: ``"forget"``: every prompt asks for what is forgotten. ``"retain"``: none does. Empty where
            ``attributes`` tell.
        attributes: By kind, the column that names the concept a prompt asks for.
        names: By text in such a column, the concept's name where the two differ.
        wordings: By kind, where no column names the concept: the prompts' wordings, with ``{}`` where it stands.
    """

    url: str
    sha256: str
    prompt: str = "prompt"
    seed: str = "seed"
    where: dict[str, str] = field(default_factory=dict)
    role: Literal["forget", "retain", ""] = ""
    attributes: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    wordings: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.sha256) != _SHA256 or set(self.sha256) - set("0123456789abcdef"):
            raise ValueError(f"sha256 is '{self.sha256}', not {_SHA256} hexadecimal digits")
        if bool(self.role) == bool(self.attributes or self.wordings):
            raise ValueError(
                "role says what all prompts ask for, attributes and wordings what each does: give one of them"
            )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of concepts of which it says what each prompt asks for."""
        return (*self.attributes, *self.wordings)

    @property
    def file(self) -> str:
        """The file's name, as in its URL."""
        return PurePosixPath(urlparse(self.url).path).name

    @property
    def path(self) -> Path:
        """Where it is looked for: under the first digits of its hash, as others may have a file of this name."""
        return data_dir() / FOLDER / f"{self.sha256[:12]}-{self.file}"

    def read(self, *, download: bool = False) -> list[Mapping[str, str]]:
        """Return the rows that count, in the order of the file.

        Args:
            download: Whether it may be fetched over the network.

        Raises:
            DataError: It is not there, or could not be fetched.
            ConfigError: It is another file, or lacks a column.
        """
        if download and not self.path.is_file():
            write_bytes(self.path, self._fetched())
        content = self._stored()
        self._check(content, str(self.path), f"Get it anew from {self.url}.")
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
        columns = rows[0].keys() if rows else ()
        for column in (self.prompt, self.seed, *self.where, *self.attributes.values()):
            if column not in columns:
                raise ConfigError(f"'{self.file}' has no column '{column}'; its columns are {', '.join(columns)}")
        return [row for row in rows if all(row[column] == value for column, value in self.where.items())]

    def _fetched(self) -> bytes:
        """Return the list from the network; what else comes from there is not kept."""
        try:
            with urlopen(self.url, timeout=60) as stream:
                content: bytes = stream.read()
        except (OSError, HTTPException, ValueError) as error:
            raise DataError(f"'{self.url}' could not be fetched: {error}") from error
        self._check(content, self.url, "Look at what is there now: it may have moved.")
        return content

    def _check(self, content: bytes, where: str, hint: str) -> None:
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            raise ConfigError(
                f"'{where}' is not the published list: its sha256 is {found}, not {self.sha256}", hint=hint
            )

    def _stored(self) -> bytes:
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise DataError(
                f"the prompts '{self.file}' are not here: '{self.path}' cannot be read",
                hint=f"Pass --download to fetch {self.url}, or put it there; {DATA_DIR_VARIABLE} names the folder.",
            ) from error

    def samples(self, forget: tuple[Concept, ...], *, download: bool = False) -> Iterator[Sample]:
        """Yield one picture for every row that counts, in the order of the file; equal prompts share a cluster.

        Args:
            forget: What is forgotten: what the prompts ask for where ``role`` says so.
            download: Whether the file may be fetched over the network.

        Raises:
            DataError: The file is not there.
            ConfigError: It is not as it should be, or a seed is no number.
        """
        asked = {concept.kind: concept.name for concept in forget} if self.role == FORGET else {}
        clusters: dict[str, str] = {}
        for number, row in enumerate(self.read(download=download)):
            id_, prompt, seed = f"{number:05d}", row[self.prompt], row[self.seed]
            if not seed.strip().isdecimal():
                raise ConfigError(f"the seed of row {number} of '{self.file}' is '{seed}', no number from 0 up")
            cluster = clusters.setdefault(prompt, id_)
            yield Sample(id=id_, prompt=prompt, seed=int(seed), attributes=asked or self._shown(row), cluster=cluster)

    def _shown(self, row: Mapping[str, str]) -> dict[str, str]:
        """Return what a row asks for, by kind.

        Raises:
            ConfigError: Its prompt has none of the wordings.
        """
        named = {kind: row[column] for kind, column in self.attributes.items()}
        for kind, wordings in self.wordings.items():
            prompt = row[self.prompt]
            found = (re.fullmatch(re.escape(text).replace(r"\{\}", "(.+)"), prompt) for text in wordings)
            matched = next(filter(None, found), None)
            if matched is None:
                raise ConfigError(f"'{prompt}' of '{self.file}' has none of the wordings", hint="; ".join(wordings))
            named[kind] = matched[1]
        return {kind: self.names.get(name, name) for kind, name in named.items()}


def wordings_of(
    cell: tuple[Concept, ...], synonyms: Mapping[str, tuple[str, ...]], forget: tuple[Concept, ...]
) -> Iterator[tuple[tuple[Concept, ...], dict[str, str], str]]:
    """Yield ``cell`` with the words for each of its concepts by kind; then with each synonym of one, and which.

    Args:
        cell: Concepts that a prompt shows together, one of each kind.
        synonyms: Other words by a concept's name.
        forget: What is forgotten: only that is asked for in other words.
    """
    own = {concept.kind: concept.text for concept in cell}
    yield cell, own, ""
    for concept in cell:
        if any((concept.kind, concept.name) == (other.kind, other.name) for other in forget):
            for text in synonyms.get(concept.name, ()):
                yield cell, {**own, concept.kind: text}, text
