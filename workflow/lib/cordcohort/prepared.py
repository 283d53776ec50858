"""Who makes the index of a study: the command, or an engine that was started without it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from cordcohort.config import make_config
from cordcohort.scan import INDEX
from cordcohort.study_lock import lock_if_free

# Set by the command for the engine that it starts: digest of the configuration whose index it kept.
PREPARED_VARIABLE = "CORDCOHORT_PREPARED"


def just_prepared(content: Mapping[str, Any], study_dir: Path | str) -> bool:
    """Whether the command that started this engine kept the index of this very configuration."""
    prepared = os.environ.get(PREPARED_VARIABLE)
    if not prepared or not (Path(study_dir) / INDEX).is_file():
        return False
    return make_config(content, study_dir, check=False).digest == prepared


@contextlib.contextmanager
def may_keep(study_dir: Path | str) -> Generator[bool]:
    """Whether the index may be written: by the command's own engine, else if nobody is at work."""
    if os.environ.get(PREPARED_VARIABLE):
        yield True
        return
    with lock_if_free(Path(study_dir)) as lock:
        yield lock is not None
