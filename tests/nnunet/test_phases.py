"""An experiment of two phases and two seeds that nnU-Net v2 trains, from the data to the table."""

from __future__ import annotations

import json

import pytest
import yaml
from conftest import run_command
from cordcohort.bids.index import build_index, rows_of
from cordcohort.config import make_config
from cordcohort.experiments.declared import experiment_of
from cordcohort.experiments.people import dealt
from cordcohort.nnunet.paths import work_folder
from cordcohort.scan import COHORT
from cordcohort.table import read_parquet, read_tsv
from nnunet.conftest import RECIPE, write_phantoms

SEEDS = (1, 7)
"""One deals the first person of the south to the test, the other the second."""
DECLARED = {
    "name": "own", "recipe": "config/moment.yaml", "task": "lesion", "seeds": list(SEEDS),
    "localiser": "", "device": "cpu", "threads": 1, "test": 0.3,
    "phases": [
        {"add": [{"datasets": ["north"]}]},
        {"correct": {"scans": [{"datasets": ["south"]}], "choose": 1, "take": "chosen",
                     "folder": "data/south/derivatives/labels", "labelled": True}},
    ],
}  # fmt: skip
CONFIG = {
    "study": {"name": "phases"},
    "datasets": [{"name": name, "path": f"data/{name}"} for name in ("north", "south")],
    "segmentation": {"models": [], "device": "cpu", "batch_size": 100},
    "measures": {"levels": "none", "per_slice": False, "batch_size": 100},
    "experiments": [DECLARED],
    "report": {"pictures": False},
}  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Return the study after a run of its rules: two networks a phase, ranked, drawn, measured."""
    folder = tmp_path_factory.mktemp("phases")
    write_phantoms(folder / "data", north=5, south=2)
    (folder / "config").mkdir()
    (folder / "config" / "moment.yaml").write_text(yaml.safe_dump({**RECIPE, "folds": 1}))
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    run_command("cordcohort", "run", folder, "--cores", "1", "--quiet", "all")
    return folder


def test_every_phase_and_seed_is_in_the_long_table_by_who_was_trained_on(study):
    table = read_parquet(study / COHORT)
    own = table[table["method"].str.startswith("own-")]
    assert set(zip(own["method"], own["seed"], strict=True)) == {
        (f"own-phase{phase}", str(seed)) for phase in (1, 2) for seed in SEEDS
    }
    config = make_config(CONFIG, study)
    rows = rows_of(build_index(config).scans)
    for seed in SEEDS:
        split = dealt(experiment_of(config.experiments[0]), rows, seed)
        of_seed = own[own["seed"] == str(seed)]
        tested = of_seed["split"] == "test"
        assert (tested == of_seed["person"].map(split).eq("test")).all()


def test_the_chosen_scan_joins_the_second_training_and_nothing_else_does(study):
    folder = study / "results/experiments/own/phase2"
    ranks, told = (read_tsv(folder / name) for name in ("ranks.tsv", "corrected.tsv"))
    assert list(ranks["chosen"]) == ["yes", "no"]
    assert ranks["n_seeds"].astype(int).eq(len(SEEDS)).all()
    assert set(told.loc[told["status"] == "taken", "scan"]) == {ranks["scan"][0]}
    (chosen,) = ranks.loc[ranks["chosen"] == "yes", "person"]
    config = make_config(CONFIG, study)
    rows = rows_of(build_index(config).scans)
    for seed in SEEDS:
        split = dealt(experiment_of(config.experiments[0]), rows, seed)
        n_before, n_after = (_n_training(study, f"own-phase{n}-seed{seed}") for n in (1, 2))
        assert n_after - n_before == (split[chosen] != "test")


def _n_training(study, model):
    (dataset,) = (study / work_folder(model)).rglob("raw/*/dataset.json")
    return json.loads(dataset.read_text())["numTraining"]
