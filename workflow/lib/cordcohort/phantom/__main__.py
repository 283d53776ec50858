"""Write a phantom study: `python -m cordcohort.phantom OUT [--config X.yaml] [--seed N]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from cordcohort.errors import CordcohortError
from cordcohort.files import read_yaml
from cordcohort.phantom.study import study_from_dict, write_study


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cordcohort.phantom", description=__doc__)
    parser.add_argument("out", type=Path, help="folder that gets one dataset a site")
    parser.add_argument("--config", type=Path, help="YAML file; without it the demo study")
    parser.add_argument("--seed", type=int, help="overrides the seed of the configuration")
    given = parser.parse_args(arguments)
    try:
        values: Any = (read_yaml(given.config) if given.config else None) or {}
        if given.seed is not None and isinstance(values, dict):
            values["seed"] = given.seed
        study = study_from_dict(values, where=str(given.config or "command line"))
        write_study(study, given.out, progress=_progress)
    except CordcohortError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _progress(done: int, total: int, name: str) -> None:
    print(f"{done + 1}/{total} {name}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
