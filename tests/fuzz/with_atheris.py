"""The image reader under atheris, where that is installed (it is no dependency).

    python tests/fuzz/with_atheris.py CORPUS -max_total_time=120 -timeout=10 -rss_limit_mb=1024

The corpus is filled with the good files. It ends at the first exception that is no named error, at
a call of more than 10 s, and above the memory that is given.
"""

from __future__ import annotations

import gzip
import logging
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["cordcohort", "nibabel"]):
    from cordcohort.errors import CordcohortError
    from cordcohort.nifti import read_image, read_mask

from mutate import seeds

FOLDER = Path(tempfile.mkdtemp())


def once(data: bytes) -> None:
    """Read one file as a plain and as a packed one; the last byte says by which reader."""
    if not data:
        return
    reader = read_mask if data[-1] % 2 else read_image
    for name, content in (("x.nii", data), ("x.nii.gz", gzip.compress(data, 1, mtime=0))):
        path = FOLDER / name
        path.write_bytes(content)
        try:
            reader(path)
        except CordcohortError as error:
            if "\n" in str(error):
                raise


def main() -> None:
    """Fill the corpus and fuzz."""
    logging.disable()
    warnings.simplefilter("ignore")
    corpus = Path(sys.argv[1])
    corpus.mkdir(parents=True, exist_ok=True)
    for good in seeds():
        (corpus / good.name).write_bytes(good.raw)
    atheris.Setup(sys.argv, once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
