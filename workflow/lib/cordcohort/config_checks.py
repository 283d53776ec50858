"""Checks of a configuration against the world: data sets, models, tables, columns, names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cordcohort.config import Config
from cordcohort.errors import ConfigError
from cordcohort.model_uses import CORD, STRUCTURES, registered
from cordcohort.table import INTEGER_COLUMNS, LONG_COLUMNS
from cordcohort.trained_checks import check_trainings
from cordcohort.validation import nearest


def check_config(config: Config) -> None:
    """Refuse what the schema cannot see but needs no walk through the data.

    Raises
    ------
    ConfigError
        For a folder or file that is not there, a name given twice, an unknown model, a column that
        the long table or a sheet does not have.
    """
    if not config.datasets and not config.external_measures:
        raise ConfigError(
            "datasets", [], "a data set, or a table under external_measures", "add one of them"
        )
    _check_datasets(config)
    _check_models(config)
    _check_external(config)
    _check_measures(config)
    _check_analyses(config)
    _check_published(config)


def _refuse_twice(names: list[str], key: str) -> None:
    """Names that differ by case only would meet on a file system that ignores case."""
    seen: set[str] = set()
    for number, name in enumerate(names):
        if name.casefold() in seen:
            raise ConfigError(
                f"{key}[{number}].name", name, "a name of its own (case does not count)",
                "rename one",
            )  # fmt: skip
        seen.add(name.casefold())


def _check_datasets(config: Config) -> None:
    _refuse_twice([d.name for d in config.datasets], "datasets")
    for number, dataset in enumerate(config.datasets):
        key = f"datasets[{number}]"
        if not dataset.root.is_dir():
            raise ConfigError(
                f"{key}.path", dataset.path, "a folder that exists",
                f"mend the path (looked for {dataset.root})",
            )  # fmt: skip
        for method, folder in dataset.external.items():
            if not (dataset.root / folder).is_dir():
                raise ConfigError(
                    f"{key}.external.{method}", folder, "a folder inside the data set",
                    f"mend the path (looked for {dataset.root / folder})",
                )  # fmt: skip
            if method == "manual" or method in config.segmentation.models:
                raise ConfigError(
                    f"{key}.external.{method}", folder, "a method name of its own",
                    "rename it: manual and the models' names are taken",
                )  # fmt: skip


def known_models() -> list[str]:
    """Names of the registered models that segment, empty where there is no registry."""
    return [str(n) for n, about in registered().items() if about.get("task", CORD) in STRUCTURES]


def _check_models(config: Config) -> None:
    registered = known_models()
    _check_experiments(config, registered)
    check_trainings(config.training, registered, makes_truth=config.images.soft_truth.make)
    known = [*registered, *(str(entry["name"]) for entry in config.training)]
    known += _external_models(config, known)
    way_out_without = "set segmentation.models to [] or train a model: none is installed"
    for number, model in enumerate(config.segmentation.models):
        if model not in known:
            key = f"segmentation.models[{number}]"
            way_out = nearest(model, known) if known else way_out_without
            expected = "a model of models/registry.yaml, of `training` or of `external_models`"
            raise ConfigError(key, model, expected, way_out)
    for model, contrasts in config.segmentation.contrasts.items():
        key = "segmentation.contrasts"
        if model not in config.segmentation.models:
            raise ConfigError(f"{key}.{model}", model, "a model of segmentation.models",
                              nearest(model, config.segmentation.models))  # fmt: skip
        for name in contrasts if config.contrasts else ():
            if name not in config.contrasts:
                raise ConfigError(f"{key}.{model}", name, "a contrast of the config",
                                  nearest(name, config.contrasts))  # fmt: skip
    for number, name in enumerate(config.segmentation.use_manual):
        datasets = [d.name for d in config.datasets]
        if name not in datasets and config.contrasts and name not in config.contrasts:
            raise ConfigError(
                f"segmentation.use_manual[{number}]", name, "a data set or contrast of the config",
                nearest(name, [*datasets, *config.contrasts]),
            )  # fmt: skip


def _external_models(config: Config, taken: Sequence[str]) -> list[str]:
    """Names of the published model folders, each checked with all of its files."""
    declared = config.segmentation.external_models
    if not declared:
        return []
    from cordcohort.nnunet.folder import checked_folder  # noqa: PLC0415 - few studies have any

    names = [str(entry["name"]) for entry in declared]
    _refuse_twice([*taken, "manual", *names], "models")
    for number, entry in enumerate(declared):
        checked_folder(entry, f"segmentation.external_models[{number}]")
    return names


def _check_experiments(config: Config, registered: list[str]) -> None:
    if not config.experiments:
        return
    from cordcohort.experiments.checks import check_experiments  # noqa: PLC0415 - few have any

    own = [str(entry["name"]) for entry in config.training if "experiment" not in entry]
    datasets = [d.name for d in config.datasets]
    taken = [*registered, *own, *datasets, "manual"]
    check_experiments(config.experiments, registered, taken)


def _check_external(config: Config) -> None:
    tables = config.external_measures
    _refuse_twice([t["name"] for t in tables], "external_measures")
    own = {d.name for d in config.datasets}
    for number, table in enumerate(tables):
        key = f"external_measures[{number}]"
        for part in ("columns", "constants", "values"):
            for name in table[part]:
                if name not in LONG_COLUMNS:
                    raise ConfigError(
                        f"{key}.{part}.{name}", table[part][name], "a column of the long table",
                        nearest(name, LONG_COLUMNS),
                    )  # fmt: skip
        if table["dataset"] in own and table["dataset"] == table["name"]:
            raise ConfigError(
                f"{key}.name", table["name"], "a name that no data set has",
                "rename it, or name that data set under `dataset`",
            )  # fmt: skip
        _check_table(table, key)


def _check_table(table: dict[str, Any], key: str) -> None:
    """Read a table from elsewhere as the cohort will, so that it is refused now."""
    from cordcohort.cohort.external import external_scores, read_external  # noqa: PLC0415 - slow

    if not Path(table["file"]).is_file():
        raise ConfigError(f"{key}.file", table["file"], "a file that exists", "mend the path")
    read_external(table)
    external_scores(table)


def _check_measures(config: Config) -> None:
    """Read the options of the measures as their jobs will: a wrong range of levels is refused."""
    from cordcohort.measures.options import MeasureOptions  # noqa: PLC0415 - slow

    MeasureOptions.of(config.content["measures"])


def _check_analyses(config: Config) -> None:
    _refuse_twice([a["name"] for a in config.analyses], "analyses")
    if not config.analyses:
        return
    from cordcohort.statistics.catalogue import check_analyses  # noqa: PLC0415 - slow

    for analysis in check_analyses(config.analyses):
        key = f"analyses[{analysis['name']}].select"
        for column, values in analysis["select"].items():
            _refuse_numbers(column, values, f"{key}.{column}")
        _refuse_unknown_measures(analysis["select"].get("measure", []), config, key)


def _refuse_unknown_measures(wanted: Any, config: Config, key: str) -> None:
    """Measures are known before any job, unless a long table from elsewhere brings its own."""
    from cordcohort.measures.catalogue import CATALOGUE  # noqa: PLC0415 - slow

    if any(table["layout"] == "long" for table in config.external_measures):
        return
    known = {*CATALOGUE, *(name for t in config.external_measures for name in t["measures"])}
    for name in wanted if isinstance(wanted, list) else [wanted]:
        if name not in known:
            expected = "a measure of the catalogue or of a table from elsewhere"
            raise ConfigError(f"{key}.measure", name, expected, nearest(name, known))


def _refuse_numbers(column: str, values: Any, key: str) -> None:
    """A number that YAML read from a label (01, 1e5) has lost how it was written."""
    for value in values if isinstance(values, list) else [values]:
        if column not in INTEGER_COLUMNS and not isinstance(value, str):
            raise ConfigError(key, value, "text", f"put it in quotes: '{value}'")


def _check_published(config: Config) -> None:
    if not config.report.published:
        return
    from cordcohort.report.published import published_for  # noqa: PLC0415 - slow, rarely needed

    names = [str(a["name"]) for a in config.analyses]
    for name in config.report.published:
        if name not in names:
            key = "report.published"
            raise ConfigError(key, name, "the name of an analysis", nearest(name, names))
        published_for(config, name)
