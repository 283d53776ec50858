"""A machine-readable record of the run: an RO-Crate with hashes of what went in and came out.

The crate's root is the report's folder. Images, masks, weights and settings lie elsewhere and are
described by name, size and SHA-256, without a folder, user or host of this machine.

References
----------
RO-Crate Metadata Specification 1.2, https://w3id.org/ro/crate/1.2; Process Run Crate 0.5.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cordcohort import __version__
from cordcohort.errors import CordcohortError, SheetError
from cordcohort.files import read_json, sha256_of, write_text
from cordcohort.provenance import InputFile, hash_inputs, model_files, recorded_inputs
from cordcohort.report.inputs import Inputs, records, setting, study_title
from cordcohort.report.links import INDEX_PAGE, PICTURES
from cordcohort.report.methods_text import library_versions, python_version
from cordcohort.report.privacy import public_text
from cordcohort.report.references import Reference
from cordcohort.root import workflow_root
from cordcohort.scan import masks_of

Entity = dict[str, Any]

CRATE_FILE = "ro-crate-metadata.json"
SPECIFICATION = "https://w3id.org/ro/crate/1.2"
PROCESS_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
# sha256 is a term of schema.org that the specification's own context lacks.
CONTEXT = [f"{SPECIFICATION}/context", {"sha256": "https://schema.org/sha256"}]
RUN, TOOL = "#run", "#cordcohort"
_FORMATS = {
    ".html": "text/html", ".svg": "image/svg+xml", ".tsv": "text/tab-separated-values",
    ".bib": "application/x-bibtex", ".yml": "application/yaml", ".json": "application/json",
    ".css": "text/css", ".js": "text/javascript",
}  # fmt: skip
_FOLDERS = {"subjects": "A page for each subject", PICTURES: "Pictures of masks"}


def write_crate(inputs: Inputs, references: Iterable[Reference], report: Path) -> Path:
    """Write the record of the run beside the index page.

    Parameters
    ----------
    inputs : Inputs
        The study's tables.
    references : iterable of Reference
        Works that the methods cite.
    report : Path
        The report's folder, finished but for this file.

    Returns
    -------
    Path
        The record.
    """
    cited = [_citation(r) for r in references]
    used = [*_settings(inputs), *_weights(inputs), *_images_and_masks(inputs)]
    made = [*_results(inputs), *_drawn_masks(inputs)]
    parts = _parts(report)
    software = _software()
    root: Entity = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Report of {study_title(inputs.config)}",
        "description": "Pages, figures and tables of a multi-centre spinal cord MRI study, with "
        "the hashes of what they were made from.",
        "license": {"@id": "#license"},
        "mainEntity": {"@id": INDEX_PAGE},
        "author": [{"@id": a["@id"]} for a in _authors(inputs)],
        "citation": _links(cited),
        "hasPart": _links(parts),
        "mentions": [{"@id": RUN}],
        "conformsTo": [{"@id": PROCESS_PROFILE}],
    }
    run: Entity = {
        "@id": RUN,
        "@type": "CreateAction",
        "name": "Run of the study",
        "instrument": {"@id": TOOL},
        "object": _links(used),
        "result": [*_links(made), *_links(parts)],
    }
    graph = [_descriptor(), root, run, _license(), *_authors(inputs), *software, *cited, *used,
             *made, *parts, _profile()]  # fmt: skip
    return _write(graph, root, report / CRATE_FILE)


def _write(graph: list[Entity], root: Entity, path: Path) -> Path:
    """Write the record; the day stays as it was while nothing else changes."""
    root["datePublished"] = _old_day(path)
    if not root["datePublished"] or _text(graph) != path.read_text(encoding="utf-8"):
        root["datePublished"] = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
        write_text(path, _text(graph))
    return path


def _text(graph: list[Entity]) -> str:
    unique = list({entity["@id"]: entity for entity in graph}.values())
    return json.dumps({"@context": CONTEXT, "@graph": unique}, indent=1, ensure_ascii=False) + "\n"


def _old_day(path: Path) -> str:
    try:
        graph = read_json(path)["@graph"] if path.is_file() else []
    except (SheetError, KeyError, TypeError):
        return ""
    return next((str(e.get("datePublished", "")) for e in graph if e.get("@id") == "./"), "")


def _links(entities: Iterable[Entity]) -> list[Entity]:
    return [{"@id": i} for i in dict.fromkeys(e["@id"] for e in entities)]


def _descriptor() -> Entity:
    return {
        "@id": CRATE_FILE,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": {"@id": SPECIFICATION},
    }


def _profile() -> Entity:
    name = "Process Run Crate"
    return {"@id": PROCESS_PROFILE, "@type": "CreativeWork", "name": name, "version": "0.5"}


def _license() -> Entity:
    return {
        "@id": "#license",
        "@type": "CreativeWork",
        "name": "Not stated",
        "description": "The owners of the data say how the report may be used.",
    }


def _authors(inputs: Inputs) -> list[Entity]:
    names = [public_text(a) for a in setting(inputs.config, "study.authors", ())]
    return [{"@id": f"#author-{i + 1}", "@type": "Person", "name": n} for i, n in enumerate(names)]


def _citation(reference: Reference) -> Entity:
    identity = f"https://doi.org/{reference.doi}" if reference.doi else f"#cite-{reference.key}"
    return {"@id": identity, "@type": "ScholarlyArticle", "name": reference.text}


def _software() -> list[Entity]:
    """The tool, what it runs on, and the libraries with their versions."""
    root = workflow_root()
    libraries = [
        {"@id": f"#{name}", "@type": "SoftwareApplication", "name": name, "version": version}
        for name, version in {"python": python_version(), **library_versions()}.items()
    ]
    pins = [_outside("environment", p.name, p) for p in
            [root / "requirements.lock", *sorted((root / "envs").glob("*.yaml"))]
            if p.is_file()]  # fmt: skip
    tool: Entity = {
        "@id": TOOL,
        "@type": "SoftwareApplication",
        "name": "cordcohort",
        "version": __version__,
        "license": "https://spdx.org/licenses/GPL-3.0-or-later",
        "softwareRequirements": _links([*libraries, *pins]),
    }
    return [tool, *libraries, *pins]


def _outside(kind: str, name: str, path: Path | None = None, **told: Any) -> Entity:
    """Something that is no part of the crate: its name, and size and hash where known."""
    entity: Entity = {"@id": f"#{kind}/{quote(name)}", "@type": "MediaObject",
                      "name": public_text(Path(name).name)}  # fmt: skip
    if path is not None:
        told = {"contentSize": str(path.stat().st_size), "sha256": sha256_of(path)} | told
    return entity | {k: v for k, v in told.items() if v}


def _settings(inputs: Inputs) -> list[Entity]:
    folder = inputs.results.parent / "config"
    files = sorted(p for p in folder.glob("*") if p.suffix in (".yaml", ".yml"))
    return [_outside("config", p.name, p) for p in files if p.is_file()]


def _weights(inputs: Inputs) -> list[Entity]:
    entities: list[Entity] = []
    models = setting(inputs.config, "segmentation.models", ())
    levels = setting(inputs.config, "measures.levels", "auto")
    for model, files in model_files(inputs.results.parent, models, levels).items():
        entities += [_outside("model", f"{model}/{p.name}", p) for p in files]
    return entities


def _images_and_masks(inputs: Inputs) -> list[Entity]:
    """Images and given masks; what the last run hashed and did not change is not hashed again."""
    study = inputs.results.parent
    hashed = hash_inputs(_input_files(inputs), recorded_inputs(study))
    return [
        _outside(
            "input", f"{row['dataset']}/{row['path']}", contentSize=str(row["size"] or ""),
            sha256=row["sha256"], description="" if row["sha256"] else "could not be read",
        )
        for row in records(hashed)
    ]  # fmt: skip


def _input_files(inputs: Inputs) -> list[InputFile]:
    """Images and masks of the index with their place in the data set."""
    found: dict[Path, InputFile] = {}
    for scan in records(inputs.index):
        image = str(scan["image"])
        depth = len(Path(str(scan["folder"])).parts)
        root = Path(image).parents[depth] if image else None
        for text in [image, *[m.get("path", "") for m in masks_of(scan)]]:
            path = Path(text)
            inside = root is not None and path.is_relative_to(root)
            place = path.relative_to(root).as_posix() if inside and root else path.name
            if text:
                found[path] = InputFile(str(scan["dataset"]), place, path)
    return list(found.values())


def _drawn_masks(inputs: Inputs) -> list[Entity]:
    """Masks that models drew, by the records beside them."""
    entities: list[Entity] = []
    for path in sorted((inputs.results / "segmentation").rglob("*_label-*_seg.json")):
        try:
            told = dict(read_json(path))
        except (CordcohortError, TypeError, ValueError):
            continue
        if told.get("mask") and told.get("mask_sha256"):
            name = path.parent.relative_to(inputs.results).as_posix() + f"/{told['mask']}"
            entities.append(_outside("result", name, sha256=str(told["mask_sha256"])))
    return entities


def _results(inputs: Inputs) -> list[Entity]:
    """The tables that the report was made from."""
    folders = [inputs.results / "cohort", inputs.results / "statistics"]
    files = sorted(p for f in folders for p in f.glob("*") if p.suffix in (".parquet", ".tsv"))
    return [_outside("result", p.relative_to(inputs.results).as_posix(), p) for p in files]


def _parts(report: Path) -> list[Entity]:
    """Files of the report with their hashes; the many pages and pictures as folders."""
    parts: list[Entity] = []
    for path in sorted(report.rglob("*")):
        name = path.relative_to(report).as_posix()
        top = name.partition("/")[0]
        hidden = any(part.startswith(".") for part in Path(name).parts)
        if not path.is_file() or hidden or top in _FOLDERS or name == CRATE_FILE:
            continue
        parts.append(
            {
                "@id": quote(name), "@type": "File", "name": path.name,
                "encodingFormat": _FORMATS.get(path.suffix, "application/octet-stream"),
                "contentSize": str(path.stat().st_size), "sha256": sha256_of(path),
            }
        )  # fmt: skip
    folders = {n: t for n, t in _FOLDERS.items() if (report / n).is_dir()}
    return parts + [{"@id": f"{n}/", "@type": "Dataset", "name": t} for n, t in folders.items()]
