"""Docs say what is true: every command and option, and every path that the paper's map names."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_command_reference_is_what_the_commands_say() -> None:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from make_cli_docs import document
    finally:
        sys.path.pop(0)
    from aftertune.cli.main import app

    written = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert written == document(app), "run `make docs`"


def test_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    reference = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for command in re.findall(r"^## aftertune (.+)$", reference, re.MULTILINE):
        assert f"aftertune {command}" in readme, command


@pytest.mark.parametrize("page", ["docs/paper.md", "docs/architecture.md", "README.md"])
def test_paths_in_the_docs_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for path in re.findall(r"`((?:tests|bench|docs|scripts)/[\w/.-]+)`", text):
        if "results" not in path:
            assert (ROOT / path).exists(), path
    for module in re.findall(r"`([a-z]+(?:/[a-z_]+)+\.py)`", text):
        if not module.startswith(("tests", "bench", "scripts")):
            assert (ROOT / "src" / "aftertune" / module).exists(), module


def test_help_loads_no_heavy_library() -> None:
    """`aftertune --help` answers within half a second because of this."""
    code = (
        "import sys; sys.argv = ['aftertune', '--help']\n"
        "from aftertune.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'pyarrow', 'numpy', 'pandas', 'altair', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "audit" in done.stdout
    assert "demo" in done.stdout


def test_import_loads_no_heavy_library() -> None:
    code = "import sys, aftertune; print('torch' in sys.modules, 'pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
