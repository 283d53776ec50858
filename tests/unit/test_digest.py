"""A change of science changes the digest; a comment, a docstring or a line break does not."""

from __future__ import annotations

import pytest
from cordcohort import digest as digests
from cordcohort.digest import files_digest, science_digest, tools_digest, use_known_digests


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


def forget():
    """Read everything anew, as another process does."""
    digests._module_digest.cache_clear()
    science_digest.cache_clear()


def test_known_digests_spare_the_reading_and_a_changed_module_is_read_again(
    package, tmp_path, monkeypatch
):
    first = package(A, B, "one")
    root, cache = tmp_path / "one", tmp_path / "modules.json"
    forget()
    use_known_digests(cache, keep=True, root=root)
    forget()
    use_known_digests(cache, keep=False, root=root)
    with monkeypatch.context() as patched:
        patched.setattr(digests.ast, "parse", None)
        assert science_digest("measures.a", root=root) == first
    (root / "b.py").write_text(B.replace("2", "33"))
    forget()
    use_known_digests(cache, keep=False, root=root)
    assert science_digest("measures.a", root=root) != first


@pytest.mark.parametrize("text", ["", "[]", '{"measures.a": 3}', "not json"])
def test_a_damaged_file_of_known_digests_is_as_an_empty_one(package, tmp_path, text):
    first = package(A, B, "one")
    cache = tmp_path / "modules.json"
    cache.write_text(text)
    forget()
    use_known_digests(cache, keep=False, root=tmp_path / "one")
    assert science_digest("measures.a", root=tmp_path / "one") == first


def test_tools_are_known_by_their_bytes(tmp_path):
    files = [tmp_path / name for name in ("env.yaml", "adapter.py", "other.py")]
    for file, text in zip(files, ("torch=2.9", "segment()", "measure()"), strict=True):
        file.write_text(text)
    digests = {tools_digest(files[0], file) for file in files}
    assert len(digests) == len(files)
