"""Whether nnU-Net v2 can be used where a job runs; it is in an environment of its own."""

from __future__ import annotations

import importlib.util

from cordcohort.errors import CordcohortError


def require_nnunet() -> None:
    """Stop with one line where nnU-Net v2 is not installed.

    Raises
    ------
    CordcohortError
        With the two ways to have it.
    """
    if importlib.util.find_spec("nnunetv2") is None:
        raise CordcohortError(
            "expected nnunetv2 in this environment, found none; run with "
            "`--sdm conda` (envs/nnunet.yaml) or install it beside cordcohort: "
            "pip install 'cordcohort[nnunet]'"
        )
