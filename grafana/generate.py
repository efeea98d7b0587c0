"""The dashboards as JSON: `python -m grafana.generate` writes them, `--check` compares and changes nothing."""

import argparse
import json
import sys
from pathlib import Path

from grafana.proof_and_spend import proof_and_spend
from grafana.sdk import JSONEncoder, dashboard

FOLDER = Path(__file__).parent / "dashboards"
BOARDS = {"proof-and-spend": proof_and_spend}


def text(board: dashboard.Dashboard) -> str:
    """Write a dashboard as its file stands."""
    written = json.loads(JSONEncoder().encode(board))
    for shown in (*written["links"], *written["annotations"]["list"]):
        del shown["placement"]  # the SDK knows one place only, a menu; without it they stand above the panels
    return json.dumps(written, indent=2, ensure_ascii=False) + "\n"


def differing() -> list[Path]:
    """List the files that are not what the builders make."""
    made = {FOLDER / f"{name}.json": text(build()) for name, build in BOARDS.items()}
    strangers = set(FOLDER.glob("*.json")) - made.keys()
    return sorted(strangers | {path for path, wanted in made.items() if _read(path) != wanted})


def main(arguments: list[str] | None = None) -> int:
    """Write or compare; with --check, 1 if a file differs."""
    parser = argparse.ArgumentParser(prog="python -m grafana.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only; exit with 1 if a file differs")
    if parser.parse_args(arguments).check:
        found = differing()
        sys.stderr.writelines(f"{path.name} is not what its builder makes\n" for path in found)
        return 1 if found else 0
    FOLDER.mkdir(exist_ok=True)
    for name, build in BOARDS.items():
        (FOLDER / f"{name}.json").write_text(text(build()), encoding="utf-8")
    return 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
