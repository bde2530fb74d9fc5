"""Scores the product on the public sets in `../shared/eval`, by the scorers that come with them.

    python -m benchmarks.public_sets

Says so where the sets are not there. Takes some minutes: 1,398 documents are ranked for 225 questions and
240 for 1,190, 125 pages are read, 600 questions are answered in the pages' own sentences. Last, sentences of
the pages are linked to, and looked up as a browser would (benchmarks/text_fragments.py).
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from benchmarks.entry import extract_html, pick_sentences, rank
from benchmarks.text_fragments import found_share

ROOT = Path(__file__).resolve().parent.parent
SETS = ROOT.parent / "shared" / "eval"


def main() -> None:
    if not SETS.is_dir():
        print("The public sets are not here: nothing was scored.")
        return
    with tempfile.TemporaryDirectory() as directory:
        for name in ("cranfield", "xquad_en"):
            rankings = _written(Path(directory, f"{name}.jsonl"), _rankings(name))
            _score(SETS / "retrieval" / "score_retrieval.py", name, str(rankings))
        picked = _written(Path(directory, "picked.jsonl"), _picked())
        _score(SETS / "grounding" / "score_extract.py", str(picked))
    extraction = SETS / "extraction" / "score_extraction.py"
    for name in ("wcxb_dev", "moz"):
        _score(extraction, "html", "--func", "benchmarks.entry:extract_html", "--set", name)
    _score(extraction, "pdf", "--func", "benchmarks.entry:extract_pdf")
    print(f"text fragments: {found_share(map(extract_html, _pages('wcxb_dev')))}")


def _rankings(name: str) -> Iterable[dict[str, object]]:
    with gzip.open(SETS / "retrieval" / f"{name}.json.gz", "rt") as file:
        data = json.load(file)
    ids, texts = list(data["corpus"]), list(data["corpus"].values())
    for query_id, query in data["queries"].items():
        yield {"qid": query_id, "ranking": [ids[place] for place in rank(query, texts)]}


def _picked() -> Iterable[dict[str, object]]:
    with (SETS / "grounding" / "extract_dev.jsonl").open() as file:
        for row in map(json.loads, file):
            passages = [{key: each[key] for key in ("id", "title", "text")} for each in row["passages"]]
            yield {"id": row["id"], "sentences": pick_sentences(row["question"], passages)}


def _pages(name: str) -> Iterable[str]:
    for path in sorted((SETS / "extraction" / "html" / name).glob("*.html.gz")):
        yield gzip.decompress(path.read_bytes()).decode("utf-8", "replace")


def _written(path: Path, rows: Iterable[dict[str, object]]) -> Path:
    with path.open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def _score(scorer: Path, *arguments: str) -> None:
    print(f"{scorer.stem} {' '.join(arguments[:2])}", flush=True)
    subprocess.run([sys.executable, str(scorer), *arguments], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
