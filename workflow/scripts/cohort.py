"""The one long table and the state of every scan."""

import _bootstrap  # noqa: F401
from pathlib import Path

from cordcohort.adapter import job
from cordcohort.batch_record import files_of_records
from cordcohort.cohort import Methods, build_cohort, read_external, scans_table, with_test_persons
from cordcohort.table import read_parquet, read_tsv, write_folder_schema, write_parquet, write_tsv

PATIENCE_S = 60.0
"""A network disk may show the files of another node late."""

with job(snakemake) as j:
    index = read_parquet(j.input.index)
    exclusions = list(j.params.exclusions)
    external = [read_external(table) for table in j.params.external]
    read = {Path(path).parent.name: read_tsv(path) for path in j.input.splits}
    splits = with_test_persons(read, j.params.tested)
    seeds = {model: tuple(pair) for model, pair in j.params.seeds.items()}
    tables = files_of_records(j.unnamed_inputs(), PATIENCE_S)
    table = build_cohort(tables, index, exclusions, external, splits, seeds=seeds)
    write_parquet(j.output.table, table)
    write_tsv(j.output.text, table)
    write_folder_schema(Path(j.output.text).parent)
    methods = Methods.of(j.params.models, seeds)
    write_parquet(j.output.scans, scans_table(index, table, exclusions, methods))
