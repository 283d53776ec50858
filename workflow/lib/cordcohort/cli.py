"""The command ``cordcohort``: make a study, look at it, run it, find its report.

Imports are inside the commands: ``cordcohort --help`` answers at once, and ``check`` never loads a
network library.
"""

# ruff: noqa: PLC0415
from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from cordcohort import __version__
from cordcohort.errors import CordcohortError, machine_fault

_PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True}
_EXIT_FAULT = 1
MAX_FILES = 12  # named for each kind of fault
REPORT = Path("results") / "report" / "index.html"

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Multi-centre spinal cord MRI studies, from BIDS to a report.",
)

StudyArgument = Annotated[Path, typer.Argument(help="Folder of the study.")]


def main() -> None:
    """Run the command; an expected error is one line on stderr and exit status 1."""
    try:
        app()
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(_EXIT_FAULT) from None
    except CordcohortError as error:
        sys.stderr.write(f"cordcohort: {error}\n")
        raise SystemExit(_EXIT_FAULT) from None
    except OSError as error:
        sys.stderr.write(f"cordcohort: {machine_fault(error)}\n")
        raise SystemExit(_EXIT_FAULT) from None


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cordcohort {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Options of the command itself."""


@app.command()
def init(
    study: StudyArgument,
    bids: Annotated[
        list[Path] | None, typer.Option(help="A BIDS data set; repeat for each.")
    ] = None,
    table: Annotated[
        list[Path] | None,
        typer.Option(help="A table of measures made elsewhere; alone or beside data sets."),
    ] = None,
    published: Annotated[
        str,
        typer.Option(
            "--study", help="A study of config/studies; without --bids on phantoms made for it."
        ),
    ] = "",
) -> None:
    """Make a study: a folder with a commented config. Nothing that exists is overwritten."""
    from cordcohort.scan import CONFIG_PATH
    from cordcohort.study_files import make_published_study, make_study

    if published:
        written = make_published_study(study, published, bids or [])
    else:
        written = make_study(study, bids or [], table or [])
    for path in written:
        typer.echo(f"wrote {path}")
    if study / CONFIG_PATH not in written:
        typer.echo(f"kept {study / CONFIG_PATH} as it was; to have it made anew, remove it first")
    typer.echo(f"next: read config/config.yaml, then `cordcohort check {study}`")


@app.command()
def check(
    study: StudyArgument = Path(),
    scans: Annotated[bool, typer.Option("--scans", help="Also list every scan.")] = False,
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Also open every file and compare it with the last run."),
    ] = False,
) -> None:
    """Print what was found, what was not matched and why; refuse a wrong config. Runs no job.

    Exit status 1 for a wrong config or sheet, and with --deep for any fault of a file, which the
    last line counts: a run leaves those files out.
    """
    from cordcohort.bids.cord_needed import cord_lines
    from cordcohort.bids.drawn_by_hand import lacking_mask_lines
    from cordcohort.bids.overview import closing_lines, print_overview
    from cordcohort.bids.prepare import check_against_index, exclusion_lines, find
    from cordcohort.bids.score_cells import text_score_lines, time_point_lines
    from cordcohort.config import require_config
    from cordcohort.experiments.overview import lines_of_experiments
    from cordcohort.scan import CONFIG_PATH
    from cordcohort.study_lock import lock_if_free

    require_config(study / CONFIG_PATH)
    with lock_if_free(study) as lock:
        config, index = find(study, keep=lock is not None)
    print_overview(config, index, every_scan=scans, deep=deep)
    check_against_index(config, index)
    told = [*exclusion_lines(config, index), *cord_lines(config, index)]
    told += [*lines_of_experiments(config, index, study), *lacking_mask_lines(config, index)]
    for line in [*told, *time_point_lines(config, index), *text_score_lines(config, index)]:
        typer.echo(line)
    n_faults = None
    if deep:
        from cordcohort.bids.deep import deep_check, deep_lines

        result = deep_check(config, index, study)
        typer.echo("\n".join(deep_lines(result, MAX_FILES)))
        if result.n_changed:
            raise CordcohortError(f"{result.n_changed} files changed since the last run")
        n_faults = result.n_faults
    typer.echo("\n".join(closing_lines(n_faults, study, len(index.scans))))
    if n_faults:
        raise typer.Exit(_EXIT_FAULT)


def _named_study(context: typer.Context, study: Path, default: Path) -> Path:
    """Give the study, also where flags of the engine stand in its place (`run --cores 4`)."""
    if not str(study).startswith("-"):
        return study
    context.args.insert(0, str(study))
    return default


@app.command(context_settings=_PASS_THROUGH)
def run(
    context: typer.Context,
    study: StudyArgument = Path(),
    prepare_only: Annotated[
        bool,
        typer.Option("--prepare", help="Check data and models, build environments, run no job."),
    ] = False,
    at_end: Annotated[
        str, typer.Option(help="Command to call at the end, for example to send a mail.")
    ] = "",
) -> None:
    """Run a study. Further arguments go to Snakemake, for example `-n` or `--cores 4`."""
    from cordcohort.bids.index import rows_of
    from cordcohort.bids.prepare import prepare
    from cordcohort.cluster.estimate import count_jobs
    from cordcohort.cluster.refusals import refuse_early
    from cordcohort.config import require_config
    from cordcohort.launch import only_talks, run_study, runs_jobs, single_flags
    from cordcohort.scan import CONFIG_PATH
    from cordcohort.study_lock import lock_if_free, study_lock

    study = _named_study(context, study, Path())
    context.args = single_flags(context.args)
    require_config(study / CONFIG_PATH)
    with (lock_if_free if only_talks(context.args) else study_lock)(study) as lock:
        config, index = prepare(study, keep=lock is not None)
        refuse_early(study, context.args, config, lambda: count_jobs(config, rows_of(index.scans)))
        if prepare_only:
            from cordcohort.cluster.ready import make_ready

            raise typer.Exit(make_ready(study, config, context.args))
        code = run_study(study, context.args, lock, config.digest)
        if code == 0 and runs_jobs(context.args):
            from cordcohort.provenance import record_run

            for name in record_run(study, config, index):
                typer.echo(f"changed while the run went on, run again: {name}", err=True)
    if at_end:
        from cordcohort.cluster.ready import call_at_end
        from cordcohort.model_uses import model_uses

        call_at_end(at_end, study, code, model_uses(config))
    raise typer.Exit(code)


@app.command()
def status(study: StudyArgument = Path()) -> None:
    """Print jobs done, running, failed and waiting by stage, and scans by site."""
    from cordcohort.cluster.status import status_lines
    from cordcohort.config import load_config
    from cordcohort.model_uses import model_uses
    from cordcohort.scan import CONFIG_PATH

    config = load_config(study / CONFIG_PATH)
    typer.echo("\n".join(status_lines(study, model_uses(config))))


@app.command()
def estimate(
    study: StudyArgument = Path(),
    records: Annotated[
        Path | None, typer.Option(help="A study that has run; the study itself by default.")
    ] = None,
) -> None:
    """Print jobs, CPU and GPU hours, memory and disk that a study will take."""
    from cordcohort.bids.prepare import prepare
    from cordcohort.cluster import estimate as costs
    from cordcohort.plan import Plan, load_plan, read_content
    from cordcohort.study_lock import lock_if_free

    with lock_if_free(study) as lock:
        config, index = prepare(study, keep=lock is not None)
    plan = Plan(config, index.rows)
    told = costs.error_line(plan, study)
    source = records or study
    source_plan = load_plan(read_content(source), refresh=False, study_dir=source)
    result = costs.estimate(plan, study, source, source_plan)
    typer.echo("\n".join([*costs.estimate_lines(result, config), *([told] if told else [])]))


@app.command()
def report(
    study: StudyArgument = Path(),
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    pack: Annotated[
        bool, typer.Option("--zip", help="Pack it as one archive, results/report.zip.")
    ] = False,
) -> None:
    """Name the report of a study, or pack it to be sent to a site."""
    path = (study / REPORT).resolve()
    if not path.is_file():
        raise CordcohortError(f"{path}: no report yet; make it with `cordcohort run {study}`")
    if pack:
        from cordcohort.report.archive import write_archive

        typer.echo(write_archive(study))
    else:
        typer.echo(path)
    if show:
        typer.launch(path.as_uri())


@app.command()
def analyses() -> None:
    """Print every kind of analysis with its keys, as a config may declare them."""
    from cordcohort.statistics.catalogue import kinds
    from cordcohort.template import analysis_lines

    typer.echo("\n".join(line for kind in kinds().values() for line in analysis_lines(kind)))


@app.command()
def train(  # noqa: PLR0917 - options of a command, given by name
    recipe: Annotated[Path, typer.Argument(help="Recipe, as in config/training.")],
    out: Annotated[Path, typer.Option(help="Folder for weights, log and checkpoint.")],
    source: Annotated[
        list[str] | None, typer.Option(help="KEY=FOLDER of a source named by the recipe.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option(min=1, help="Threads of the CPU.")] = 2,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint in OUT.")] = True,
) -> None:
    """Train a model as a recipe says."""
    from cordcohort.study_files import named_folders

    roots = named_folders(source or [])
    from cordcohort.bids.single import rows_of_folders
    from cordcohort.trained import cohort_keys
    from cordcohort.training.engine import train as train_model

    rows = rows_of_folders({key: roots[key] for key in cohort_keys(recipe) if key in roots})
    typer.echo(
        train_model(recipe, out, roots, rows=rows, resume=resume, device=device, threads=threads)
    )


@app.command(context_settings=_PASS_THROUGH)
def demo(
    context: typer.Context,
    study: StudyArgument = Path("demo"),
    only_data: Annotated[bool, typer.Option("--only-data", help="Do not run it.")] = False,
) -> None:
    """Make the demo study (phantoms of three sites) and run it. Nothing is downloaded."""
    from cordcohort.study_files import make_demo

    study = _named_study(context, study, Path("demo"))
    for path in make_demo(study):
        typer.echo(f"wrote {path}")
    if not only_data:
        run(context, study, prepare_only=False, at_end="")
