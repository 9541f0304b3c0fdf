"""Pages for people: every relative link and picture leads somewhere, and the README's commands are the real ones."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_LARGEST_PICTURE = 300 * 1024


def _pages() -> list[Path]:
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    for pattern in ("*/README.md", "*/*/README.md"):
        found += [
            path
            for path in ROOT.glob(pattern)
            if not any(
                part.startswith(".") or part == "node_modules" for part in path.relative_to(ROOT).parts
            )
        ]
    return sorted(set(found))


def _slug(heading: str) -> str:
    """Give the anchor that Git forges make of a heading."""
    plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def _anchors(page: Path) -> set[str]:
    return {_slug(line) for line in re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)}


def _links(page: Path) -> list[str]:
    text = _CODE.sub("", page.read_text(encoding="utf-8"))
    return [link for link in _LINK.findall(text) if not re.match(r"[a-z]+:", link)]


@pytest.mark.parametrize("page", _pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in _links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        leads = target.exists() and target.is_relative_to(ROOT)
        if not leads or (anchor and anchor not in _anchors(target)):
            broken.append(link)
    assert broken == []


def test_links_are_found_at_all() -> None:
    assert len(_links(ROOT / "README.md")) > 5
    assert "docs/images/viewer.png" in _links(ROOT / "README.md")


def test_every_page_of_the_documentation_is_reached_from_its_index() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in _links(index)}
    assert {page for page in (ROOT / "docs").rglob("*.md") if page != index} <= linked


def test_pictures_are_small_and_used() -> None:
    used = {(page.parent / link).resolve() for page in _pages() for link in _links(page)}
    pictures = set((ROOT / "docs" / "images").iterdir())
    assert pictures <= used
    assert [picture.name for picture in pictures if picture.stat().st_size > _LARGEST_PICTURE] == []


def test_the_readme_s_commands_are_those_that_ci_runs() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^    (uv run .+)$", readme, re.MULTILINE)
    assert commands == ["uv run cubehub up", "uv run pytest"]
    runs = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / ".ci").iterdir() if path.is_file())
    assert re.search(r"uv run (?:--frozen )?pytest", runs)


def test_pages_for_people_name_no_path_of_a_builder_s_machine() -> None:
    for page in _pages():
        assert not re.search(r"(?<![\w.])/(?:work|root)/", page.read_text(encoding="utf-8")), page
