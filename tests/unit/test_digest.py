"""A change of science changes the digest; a comment, a docstring or a line break does not."""

from __future__ import annotations

import pytest
from cordcohort.digest import files_digest, science_digest


@pytest.fixture
def package(tmp_path):
    """Give a function that writes a package of two modules and digests it."""

    def digest(a: str, b: str, name: str) -> str:
        folder = tmp_path / name
        (folder / "measures").mkdir(parents=True)
        (folder / "measures" / "a.py").write_text(a)
        (folder / "b.py").write_text(b)
        return science_digest("measures.a", root=folder)

    return digest


A = '"""Text."""\nfrom cordcohort.b import area\n\ndef f(x):\n    return area(x)\n'
B = "def area(x):\n    return x * 2\n"


def test_comments_docstrings_and_layout_are_not_science(package):
    plain = package(A, B, "one")
    assert package(A.replace("Text", "Other text"), B, "two") == plain
    assert package(A + "\n\n# a comment\n", B.replace("x * 2", "x*2  # why"), "three") == plain


def test_a_change_in_an_imported_module_changes_the_digest(package):
    assert package(A, B, "one") != package(A, B.replace("2", "3"), "two")


def test_a_module_that_is_not_imported_does_not_count(package, tmp_path):
    first = package(A, B, "one")
    (tmp_path / "one" / "c.py").write_text("x = 1\n")
    assert science_digest("measures.a", root=tmp_path / "one") == first


def test_a_module_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        science_digest("nowhere", root=tmp_path)


def test_a_changed_template_changes_the_digest_of_its_folder(tmp_path):
    folder = tmp_path / "report" / "templates"
    folder.mkdir(parents=True)
    (folder / "page.html").write_text("<p>one</p>")
    first = files_digest("report/templates", root=tmp_path)
    assert files_digest("report/templates", root=tmp_path) == first
    (folder / "page.html").write_text("<p>two</p>")
    assert files_digest("report/templates", root=tmp_path) != first
