"""Checks of the models that a study trains, before any job."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from cordcohort.errors import ConfigError
from cordcohort.nnunet.checks import check_backend
from cordcohort.root import workflow_root
from cordcohort.trained import RECIPE_SUFFIX, Declared, recipes_of, sources_of, wants_truth
from cordcohort.validation import nearest


def resolved(block: Declared, number: int, study_dir: Path, datasets: Collection[str]) -> Declared:
    """A declaration with the paths of its recipes and of its sources that are no data set.

    Raises
    ------
    ConfigError
        A recipe or a folder that is not there.
    """
    key = f"training[{number}]"
    found = {**block, "recipe": str(recipe_file(block["recipe"], study_dir, f"{key}.recipe"))}
    if str(block["localiser"]).endswith(RECIPE_SUFFIX):
        found["localiser"] = str(recipe_file(block["localiser"], study_dir, f"{key}.localiser"))
    found["sources"] = {
        name: text if text in datasets else source_folder(text, study_dir, f"{key}.sources.{name}")
        for name, text in block["sources"].items()
    }
    return found


def recipe_file(text: str, study_dir: Path, key: str) -> Path:
    """A recipe of the study, or one that is shipped."""
    shipped = workflow_root() / "config" / "training"
    for path in (study_dir / text, shipped / text, shipped / f"{text}{RECIPE_SUFFIX}"):
        if path.is_file():
            return path
    raise ConfigError(key, text, "a recipe in the study or the name of a shipped one",
                      nearest(text, [p.name for p in shipped.glob("*.yaml")]))  # fmt: skip


def source_folder(text: str, study_dir: Path, key: str) -> str:
    """A folder that a recipe's source stands for, resolved."""
    folder = study_dir / Path(text).expanduser()
    if not folder.is_dir():
        raise ConfigError(key, text, "a data set of the study or a folder", "mend the name")
    return str(folder)


def check_trainings(
    declared: Sequence[Declared], taken: Collection[str], *, makes_truth: bool
) -> None:
    """Refuse what would make a training fail hours later.

    Parameters
    ----------
    taken
        Names of the registered models; a ``localiser`` is one of these.
    makes_truth
        Whether the study makes the soft ground truth.

    Raises
    ------
    ConfigError
        A name that a model has, an unknown localiser, a source of the recipe that is not given, a
        recipe of another backend, or of a soft ground truth that is not made.
    """
    seen = set(taken) | {"manual"}
    for number, entry in enumerate(declared):
        key = f"training[{number}]"
        if entry["name"] in seen:
            raise ConfigError(f"{key}.name", entry["name"], "a name that no model has", "rename it")
        seen.add(entry["name"])
        check_backend(entry, key)
        localiser = str(entry["localiser"])
        if localiser and not localiser.endswith(RECIPE_SUFFIX) and localiser not in taken:
            raise ConfigError(f"{key}.localiser", localiser, "a registered model, a recipe or ''",
                              nearest(localiser, taken))  # fmt: skip
        _check_truth(entry, key, made=makes_truth)
        for recipe in recipes_of(entry).values():
            for source in sources_of(recipe):
                if source not in entry["sources"]:
                    raise ConfigError(
                        f"{key}.sources", dict(entry["sources"]), f"'{source}', which "
                        f"{Path(recipe).name} names", f"add {source}: DATA SET OR FOLDER",
                    )  # fmt: skip


def _check_truth(entry: Declared, key: str, *, made: bool) -> None:
    """Refuse a recipe of soft ground truth that nobody makes: it would train on old ones, or none.

    An experiment trains on masks that people draw and correct, and waits for these alone.
    """
    ready = made and "experiment" not in entry
    if wants_truth(entry) and not ready:
        way_out = "set images.soft_truth.make: true" if "experiment" not in entry else "name others"
        raise ConfigError(
            f"{key}.recipe", Path(str(entry["recipe"])).name, "masks that this study has",
            f"the recipe trains on the soft ground truth; {way_out}",
        )  # fmt: skip
