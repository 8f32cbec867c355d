"""Renders the drawings from the pinned npm packages, and others as negatives for the judges."""

from __future__ import annotations

import io
import json
import logging
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from vu_core.files import write_text
from vu_emoji.catalogue import Catalogue, Style, assets
from vu_emoji.train.files import replace_folder

log = logging.getLogger(__name__)

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'viewBox="{left} {top} {width} {height}" width="{size}" height="{size}" '
    'preserveAspectRatio="xMidYMid meet">{body}</svg>'
)


def fetch(package: str, version: str, folder: Path) -> Path:
    """Returns the unpacked folder of an npm package, fetched with ``npm pack`` when missing.

    Raises:
        FileNotFoundError: npm is not installed.
        subprocess.CalledProcessError: npm could not bring the package.
    """
    target = folder / f"{package.strip('@').replace('/', '-')}-{version}"
    if (target / "package.json").exists():
        return target
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm is needed to fetch the emoji sets; install Node.js")
    folder.mkdir(parents=True, exist_ok=True)
    reply = subprocess.run(
        [npm, "pack", f"{package}@{version}", "--silent"],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    unpacked = folder / f".{target.name}"
    shutil.rmtree(unpacked, ignore_errors=True)
    with tarfile.open(folder / reply.stdout.split()[-1]) as archive:
        archive.extractall(unpacked, filter="data")
    replace_folder(unpacked / "package", target)
    shutil.rmtree(unpacked, ignore_errors=True)
    return target


@dataclass(frozen=True)
class IconSet:
    """One emoji set in Iconify's JSON format."""

    icons: dict[str, Any]
    characters: dict[str, str]

    @classmethod
    def read(cls, folder: Path) -> IconSet:
        """Returns the set in an unpacked package."""
        icons = json.loads((folder / "icons.json").read_text(encoding="utf-8"))
        characters = json.loads((folder / "chars.json").read_text(encoding="utf-8"))
        return cls(icons, characters)

    def find(self, code_point: str, label: str) -> dict[str, Any] | None:
        """Returns an icon by code point, else by its CLDR name as a slug; None if it lacks one."""
        key = code_point.lower()
        slug = label.lower().replace(" ", "-")
        name = self.characters.get(key) or self.characters.get(f"{key}-fe0f") or slug
        # Some sets list a concept only as an alias of another icon.
        name = self.icons.get("aliases", {}).get(name, {}).get("parent", name)
        icon: dict[str, Any] | None = self.icons["icons"].get(name)
        return icon

    def draw(self, icon: dict[str, Any], size: int) -> Image.Image:
        """Returns an icon as a square RGBA image; one-colour icons come out black."""
        import resvg_py

        box = {
            key: icon.get(key, self.icons.get(key, default))
            for key, default in (("left", 0), ("top", 0), ("width", 16), ("height", 16))
        }
        body = icon["body"].replace("currentColor", "#000")
        svg = SVG.format(size=size, body=body, **box)
        png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size))
        with Image.open(io.BytesIO(png)) as image:
            return image.convert("RGBA")


def read_set(style: Style, folder: Path) -> IconSet:
    """Returns a style's set, fetched when missing."""
    return IconSet.read(fetch(style.package, style.version, folder))


def render_art(catalogue: Catalogue, work: Path, target: Path | None = None) -> int:
    """Writes every cell's drawing as a PNG and returns how many there are.

    Args:
        catalogue: which objects and styles.
        work: where packages are fetched to.
        target: the folder to fill; the shipped ``assets/art`` when None.

    Raises:
        LookupError: a set has no drawing of an object.
    """
    target = target or assets() / "art"
    count = 0
    for style in catalogue.styles:
        icons = read_set(style, work / "npm")
        for item in catalogue.objects:
            icon = icons.find(item.code_point, item.label)
            if icon is None:
                raise LookupError(f"{style.package} {style.version} has no {item.label!r}")
            path = target / style.name / f"{item.name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            icons.draw(icon, catalogue.art_size).save(path, optimize=True)
            count += 1
    log.info("rendered %d drawings to %s", count, target)
    return count


NEGATIVE_GROUPS = ("animals-nature", "food-drink", "travel-places", "activities", "objects")


def render_negatives(catalogue: Catalogue, work: Path, every: int = 3) -> int:
    """Writes drawings of concepts outside the catalogue, for the judges' class "other".

    Near doubles of a catalogued object (a cat's body beside the cat's face) are left out.

    Args:
        catalogue: whose objects to leave out, and in which styles to draw.
        work: packages are fetched to, and drawings written, below this folder.
        every: keep one concept in so many.

    Returns:
        The number of drawings.
    """
    notes = catalogue.annotations
    folder = fetch(notes["package"], notes["version"], work / "npm")
    entries = json.loads((folder / "en" / "data.json").read_text(encoding="utf-8"))
    groups = json.loads((folder / "meta" / "groups.json").read_text(encoding="utf-8"))["groups"]
    chosen = []
    words = set(catalogue.object_names) | {"automobile", "hamburger", "racing", "flower", "taxi"}
    words |= {"building", "bouquet", "hibiscus", "blossom", "rosette", "pear", "wolf", "lion"}
    for entry in entries:
        group = groups.get(str(entry.get("group")))
        label = entry["label"].lower()
        near = words & set(label.replace(":", " ").split()) or "office" in label
        if group in NEGATIVE_GROUPS and not near and "-" not in entry["hexcode"]:
            chosen.append(entry)
    chosen = sorted(chosen, key=lambda entry: entry["hexcode"])[::every]
    count = 0
    target = work / "negatives"
    for style in catalogue.styles:
        icons = read_set(style, work / "npm")
        for entry in chosen:
            icon = icons.find(entry["hexcode"], entry["label"])
            if icon is None:
                continue
            path = target / style.name / f"{entry['hexcode']}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            icons.draw(icon, catalogue.art_size).save(path)
            count += 1
    write_text(target / "labels.json", json.dumps({e["hexcode"]: e["label"] for e in chosen}))
    log.info("rendered %d negatives of %d concepts to %s", count, len(chosen), target)
    return count
