"""The docs hang together: every page can be reached, every link leads somewhere, the README stays short."""

import re
from pathlib import Path

import yaml

from tests.house import source

DOCS = source.ROOT / "docs"
#: Folders whose files are not pages of the site: apps with a README of their own, and fragments that become a page.
NOT_PAGES = ("examples/", "news/")
NEWS_TYPES = {"feature", "bugfix", "doc", "removal", "misc"}
README_LINES = 80
DECISION_LINES = 90


def _nav(node: object) -> list[str]:
    if isinstance(node, str):
        return [node]
    if isinstance(node, dict):
        return [page for value in node.values() for page in _nav(value)]
    if isinstance(node, list):
        return [page for value in node for page in _nav(value)]
    return []


def _pages() -> list[Path]:
    return [
        path for path in sorted(DOCS.rglob("*.md")) if not path.relative_to(DOCS).as_posix().startswith(NOT_PAGES)
    ]


def _navigation() -> list[str]:
    return _nav(yaml.safe_load(source.text(source.ROOT / "mkdocs.yml"))["nav"])


def test_every_page_is_in_the_navigation() -> None:
    pages = {path.relative_to(DOCS).as_posix() for path in _pages()}
    assert not (lost := sorted(pages - set(_navigation()))), f"add to nav in mkdocs.yml: {lost}"


def test_the_navigation_names_existing_pages_once() -> None:
    names = _navigation()
    assert len(names) == len(set(names))
    assert not (missing := [name for name in names if not (DOCS / name).exists()]), missing


def test_every_page_has_one_title_first() -> None:
    untitled = [source.shown(path) for path in _pages() if not source.text(path).startswith("# ")]
    assert not untitled


def test_relative_links_lead_somewhere() -> None:
    broken = [
        f"{source.shown(path)}: {target}"
        for path in [*_pages(), source.ROOT / "README.md"]
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", source.text(path))
        if not re.match(r"[a-z]+:", target) and not (path.parent / target).exists()
    ]
    assert not broken, "\n".join(broken)


def test_pages_that_the_code_names_exist() -> None:
    files = [*source.modules(), *(p for f in source.PACKAGES for p in sorted((source.ROOT / f).rglob("*.lua")))]
    missing = [
        f"{source.shown(path)}: {page}"
        for path in [*files, *source.modules("tests", "fuzz"), source.ROOT / "Makefile", source.ROOT / "pyproject.toml"]
        for page in re.findall(r"docs/[a-z/-]+\.md", source.text(path))
        if not (source.ROOT / page).exists()
    ]
    assert not missing, "\n".join(missing)


def test_the_readme_is_short_and_true() -> None:
    readme = source.text(source.ROOT / "README.md")
    assert len(readme.splitlines()) <= README_LINES
    makefile = source.text(source.ROOT / "Makefile")
    missing = [target for target in re.findall(r"`?make ([a-z]+)", readme) if f"\n{target}:" not in makefile]
    assert not missing


def test_decisions_are_numbered_without_gaps_and_short() -> None:
    decisions = sorted((DOCS / "decisions").glob("[0-9]*.md"))
    assert [path.name[:4] for path in decisions] == [f"{number:04}" for number in range(1, len(decisions) + 1)]
    long = [path.name for path in decisions if len(source.text(path).splitlines()) > DECISION_LINES]
    assert not long


def test_decisions_say_why_and_what_was_rejected() -> None:
    for path in sorted((DOCS / "decisions").glob("[0-9]*.md")):
        headings = set(re.findall(r"^## (.+)$", source.text(path), re.MULTILINE))
        assert {"Context", "Choice", "Rejected"} <= headings, path.name


def test_news_fragments_have_a_known_type() -> None:
    fragments = [path for path in (DOCS / "news").glob("*.md") if path.name not in {"CHANGELOG.md", "README.md"}]
    wrong = [path.name for path in fragments if len(path.suffixes) < 2 or path.suffixes[0][1:] not in NEWS_TYPES]
    assert not wrong


def test_code_does_not_promise_for_later() -> None:
    words = re.compile(r"\b(?:[T]ODO|[F]IXME|[X]XX)\b")
    promises = [
        f"{source.shown(path)}:{number}"
        for path in [*source.modules(), *(p for f in source.PACKAGES for p in (source.ROOT / f).rglob("*.lua"))]
        for number, line in enumerate(source.text(path).splitlines(), 1)
        if words.search(line)
    ]
    assert not promises, "\n".join(promises)
