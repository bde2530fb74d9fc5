"""Promises about the repository itself."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [path for room in ("bot", "adapters", "core") for path in sorted((ROOT / room).rglob("*.py"))]


def functions() -> Iterator[tuple[str, int]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(ROOT)}:{node.name}", (node.end_lineno or 0) - node.lineno + 1


def test_both_files_that_heroku_reads_name_the_same_python() -> None:
    runtime = (ROOT / "runtime.txt").read_text().strip()

    assert runtime == "python-" + (ROOT / ".python-version").read_text().strip()
    assert runtime == "python-3.11"


def test_no_constraint_can_bring_cuda_or_a_local_build() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()

    assert "torch==2.13.0" in lines
    assert not [line for line in lines if re.search(r"cuda|nvidia|triton|\+|://|--hash", line)]


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in _lines("constraints.txt")}
    wanted = [
        *project["dependencies"],
        *(d for extra in project["optional-dependencies"].values() for d in extra),
    ]

    assert not {re.split(r"[<>=\[]", need)[0].lower().replace("_", "-") for need in wanted} - pinned


def test_heroku_installs_what_the_constraints_pin() -> None:
    *pins, last = _lines("requirements.txt")

    assert last == "."
    assert set(pins) <= set(_lines("constraints.txt"))
    # Its add-on sets REDIS_URL, without which nobody asked for the extra.
    assert any(pin.startswith("redis==") for pin in pins)


def test_most_functions_are_short_and_none_is_long() -> None:
    lengths = sorted(length for _, length in functions())

    assert [name for name, length in functions() if length >= 60] == []
    assert lengths[len(lengths) // 2] < 12


def test_no_exception_is_caught_broadly_but_at_the_three_edges() -> None:
    broad = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id == "Exception"))
    ]

    # pdf.py runs in the child: one broken page of a PDF leaves the others.
    assert set(broad) <= {"core/service.py", "core/providers/web/child.py", "core/providers/web/pdf.py"}


def test_core_never_reads_the_environment() -> None:
    readers = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "core").rglob("*.py")
        if re.search(r"\bos\.(environ|getenv)\b", path.read_text())
    ]

    assert readers == []


def test_web_requests_are_made_by_the_guarded_fetcher_and_to_apis_that_we_chose_only() -> None:
    makers = {
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).removeprefix("aiohttp.")
        in ("ClientSession", "TCPConnector", "request", "urlopen")
    }
    other_clients = {
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        for line in path.read_text().splitlines()
        if re.match(r"\s*(import|from) (requests|httpx2?|primp|urllib3|http\.client|ftplib)\b", line)
    }

    assert "core/providers/web/fetcher.py" in makers
    assert makers <= {"core/providers/web/fetcher.py", "bot/search_engines.py", "adapters/slack/adapter.py"}
    assert other_clients <= {
        "core/providers/embedding/api.py",
        "core/providers/openai_api.py",
        "core/providers/search/duckduckgo.py",
    }


def test_the_slack_manifest_is_valid_yaml_and_keeps_to_slacks_limits() -> None:
    manifest = yaml.safe_load((ROOT / "manifest.yml").read_text())

    assert len(manifest["display_information"]["name"]) <= 35
    assert len(manifest["display_information"]["description"]) <= 140
    assert manifest["settings"]["socket_mode_enabled"] is True
    assert manifest["features"]["slash_commands"][0]["command"] == "/websearch"


@pytest.mark.parametrize(
    "page", [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"], ids=lambda p: p.name
)
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


def _lines(name: str) -> list[str]:
    lines = (ROOT / name).read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
