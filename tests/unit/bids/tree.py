"""Tiny BIDS trees: files that look right from outside, in a folder of the test."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from cordcohort.config import Config, make_config

IMAGE = gzip.compress(bytes(range(256)) * 8, mtime=0) + bytes(1200)
POINTER = b"/annex/objects/MD5E-s7654321--00112233445566778899aabbccddeeff.nii.gz\n".rjust(105)


def put(root: Path, *paths: str, content: bytes = IMAGE) -> None:
    """Write files below a root."""
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def put_json(root: Path, path: str, content: object) -> None:
    put(root, path, content=json.dumps(content).encode())


def put_text(root: Path, path: str, text: str) -> None:
    put(root, path, content=text.encode())


def put_sheet(root: Path, path: str, *rows: str) -> None:
    """Write a TSV; cells are separated by blanks in the test."""
    put_text(root, path, "".join("\t".join(row.split()) + "\n" for row in rows))


def config_of(study: Path, *roots: Path, **keys: object) -> Config:
    """Give the config of a study without models, each data set named as its folder."""
    more = keys.pop("dataset", {})
    content = {
        "study": {"name": "test"},
        "datasets": [{"name": root.name, "path": str(root)} | more for root in roots],
        "segmentation": {"models": []},
    }
    return make_config(content | keys, study)
