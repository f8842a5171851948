"""`study`: from answers to the paragraph in a paper by commands; ratings from elsewhere."""

import csv
import json
import sys
from itertools import combinations
from pathlib import Path

import pytest

from aftertune.cli import main as command_line
from aftertune.cli import studies
from aftertune.study import server
from aftertune.study.store import open_store
from made_raters import borrowing, made_trace, rate
from made_trace import made_rows

if "study" not in {one.name for one in command_line.app.registered_groups}:
    studies.register(command_line.app)


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs one command line in this process: exit status, standard output, standard error."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["aftertune", "study", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "400")
        status = 0
        try:
            command_line.main()
        except SystemExit as stop:
            status = int(stop.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def asked(tmp_path):
    """Options with two files of answers to 14 prompts."""
    options = []
    for name in ("one", "two"):
        records = [{"instruction": f"Item {n}.", "output": f"It is {n}, {len(name) + n}."}
                   for n in range(14)]  # fmt: skip
        (tmp_path / f"{name}.json").write_text(json.dumps(records))
        options += ["--responses", f"{name}={tmp_path / f'{name}.json'}"]
    return [*options, "--out", tmp_path / "out", "--aspects", "depth"]


def prefers_one(item, person, swapped, chance):
    side = "first" if item["hidden"]["models"][0] == "one" else "second"
    return {"overall": side, "aspects": {"depth": chance.choice(["first", "second", "tie"])}}


def test_from_answers_to_the_paragraph(run, asked, tmp_path):
    folder = tmp_path / "s"
    status, out, err = run("create", folder, "--kind", "pairs", "--annotators", "Ann,Ben",
                           "--pilot", 2, *asked)  # fmt: skip
    assert status == 0, err
    assert "14 items to rate; 2 of 2 annotators rate each" in out
    assert "Ann (annotator): http://127.0.0.1:8765/rate#" in out
    assert f"Next: aftertune study serve {folder}" in out
    status, out, err = run("analyze", folder, "--out", tmp_path / "out")
    assert status == 2
    assert "nobody has rated anything" in err
    rate(folder, prefers_one, most=8)
    status, out, err = run("analyze", folder, "--out", tmp_path / "out", "--draws", 100)
    assert status == 0, err
    assert "the study is not finished" in out
    assert "one is preferred" in out
    assert "undecided" in out
    status, out, err = run("analyze", folder, "--out", tmp_path / "out", "--draws", 100, "--json")
    told = json.loads(out)
    page, paragraph = Path(told["page"]).read_text(), Path(told["methods"]).read_text()
    assert "Whose answers do people prefer?" in page
    assert "2 annotators chose the better of two answers" in paragraph
    assert "Ann" not in page + paragraph.replace("Annotators", "")
    status, out, err = run("export", folder, "--label-studio", "--json")
    told = json.loads(out)
    assert told["counts"] == {"ratings": 32, "label_studio_tasks": 14}
    assert (Path(told["folder"]) / "ratings.parquet").exists()


def test_links_as_json_and_nothing_overwritten(run, asked, tmp_path):
    status, out, err = run("create", tmp_path / "s", "--kind", "pairs", "--json", *asked)
    assert status == 0, err
    told = json.loads(out)
    assert [one["role"] for one in told["links"]] == ["annotator", "annotator", "organiser"]
    status, out, err = run("create", tmp_path / "s", "--kind", "pairs", *asked)
    assert status == 2
    assert "not empty" in err


def test_options_of_a_file(run, asked, tmp_path):
    (tmp_path / "c.yaml").write_text("kind: aspects\nannotators: 3\nbatch-size: 4\noverlap: 3\n")
    config = ["--config", tmp_path / "c.yaml"]
    status, out, err = run("create", tmp_path / "s", *config, "--json", *asked)
    assert status == 0, err
    assert len(json.loads(out)["links"]) == 4


def test_rows_of_a_trace_become_candidates(run, asked, tmp_path):
    rows = made_rows([("Who?", "Morse."), ("What?", "A telegraph.")], tmp_path)
    row_id = rows.table("rows").to_pylist()[0]["row_id"]
    trace = made_trace([borrowing("none", (0, 2), row_id)], tmp_path / "out", rows)
    for name, more in (("s", []), ("u", ["--data", rows.folder])):
        options = ["--kind", "spans", "--trace", trace.folder, *more]
        status, _, err = run("create", tmp_path / name, *options, *asked[:-2])
        assert status == 0, err
        store = open_store(tmp_path / name / "study.sqlite")
        assert [row["row_id"] for row in store.search_rows("Morse")] == [row_id]
        store.close()
    status, _, err = run(
        "create", tmp_path / "t", "--kind", "spans", "--trace", rows.folder, *asked[:-2]
    )
    assert status == 2
    assert "give a trace-" in err


def test_serve_calls_the_server(run, asked, tmp_path, monkeypatch):
    run("create", tmp_path / "s", "--kind", "pairs", *asked)
    called = []

    def serve(path, progress, host, port, on_start):
        called.append((path, host, port))
        on_start("http://127.0.0.1:9000")

    monkeypatch.setattr(server, "serve", serve)
    status, _, err = run("serve", tmp_path / "s", "--port", 9000)
    assert status == 0, err
    assert called == [(tmp_path / "s" / "study.sqlite", "127.0.0.1", 9000)]
    assert "is served at http://127.0.0.1:9000" in err
    assert "lead elsewhere than to http://127.0.0.1:9000" in err
    run("create", tmp_path / "t", "--kind", "pairs", "--address", "http://127.0.0.1:9000", *asked)
    status, _, err = run("serve", tmp_path / "t", "--port", 9000)
    assert "lead elsewhere" not in err


def test_wrong_options_end_in_one_sentence(run, asked, tmp_path):
    some = tmp_path / "some.csv"
    some.write_text("item,rater,value\n1,a,3\n1,a,4\n")
    bare = tmp_path / "bare.csv"
    bare.write_text("item,value\n1,3\n")
    cases = [
        (["create", tmp_path / "s", *asked], "`kind` is not given"),
        (["create", tmp_path / "s", "--kind", "best", *asked], "option `kind`"),
        (["create", tmp_path / "s", "--kind", "pairs"], "no answers are given"),
        (["create", tmp_path / "s", "--kind", "pairs", "--overlap", 3, *asked], "--overlap"),
        (["create", tmp_path / "s", "--kind", "spans", *asked], "leave --aspects out"),
        (["export", tmp_path / "none"], "holds no study.sqlite"),
        (["serve", tmp_path / "none"], "study"),
        (["analyze"], "--ratings FILE"),
        (["analyze", tmp_path, "--ratings", some], "--ratings FILE"),
        (["analyze", "--ratings", tmp_path / "none.csv"], "no file"),
        (["analyze", "--ratings", some], "a second time"),
        (["analyze", "--ratings", bare], "names no item or no rater"),
    ]
    for options, words in cases:
        status, _, err = run(*options)
        assert status == 2, (options, err)
        errors = [line for line in err.splitlines() if "error:" in line]
        assert len(errors) == 1, err
        assert words in errors[0]
        assert "Traceback" not in err


def ratings_file(path, entries, names=("item", "rater", "value")):
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(names)
        writer.writerows(entries)
    return path


def test_ratings_from_elsewhere(run, tmp_path):
    """Two raters, 10 items, 7 alike: p_o = 0.7; 11 of 20 ratings are yes."""
    pairs = ["yy"] * 4 + ["nn"] * 3 + ["yn"] * 2 + ["ny"]
    entries = [(k, who, said) for k, two in enumerate(pairs) for who, said in zip("ab", two,
               strict=True)]  # fmt: skip
    file = ratings_file(tmp_path / "r.csv", entries, ("item_id", "annotator", "label"))
    status, out, err = run("analyze", "--ratings", file, "--out", tmp_path / "out", "--json")
    assert status == 0, err
    told = json.loads(out)
    got = told["about"]["found"]["agreement"]["the ratings"]
    assert got["percent"]["estimate"] == pytest.approx(0.7)
    assert got["cohen"][0]["estimate"] == pytest.approx((0.7 - 0.5) / 0.5)
    assert got["fleiss"]["estimate"] == pytest.approx((0.7 - 0.505) / 0.495)
    assert got["nominal"]["estimate"] == pytest.approx(1 - 0.3 / (198 / 380))
    assert got["ordinal"]["reason"] == "the values have no order"
    assert "How far do the raters agree?" in Path(told["page"]).read_text()
    title = ["--title", "Yes & no"]
    status, out, err = run("analyze", "--ratings", file, "--out", tmp_path / "out", *title)
    assert status == 0, err
    assert "20 ratings of 10 items by 2 raters." in out
    page = Path(out.split("report: ")[1].replace("\n", "").strip())
    assert "<h1>Yes &amp; no</h1>" in page.read_text()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mtbench", {"nominal": "0.519011"}),
        ("10k_prompts", {"nominal": "0.120962", "ordinal": "0.254590", "interval": "0.262273"}),
        ("cebab_stars", {"nominal": "0.357196", "ordinal": "0.678839", "interval": "0.680910"}),
    ],
)
def test_published_annotations_have_their_published_alpha(
    run, shared_data, tmp_path, name, expected
):
    path = shared_data / f"human/alttest/{name}.human_annotations.json"
    entries = [
        (item, rater, value)
        for rater, given_by in json.loads(path.read_text()).items()
        for item, value in given_by.items()
    ]
    file = ratings_file(tmp_path / "r.csv", entries)
    status, out, err = run("analyze", "--ratings", file, "--draws", 100, "--json", "--out",
                           tmp_path / "out")  # fmt: skip
    assert status == 0, err
    got = json.loads(out)["about"]["found"]["agreement"]["the ratings"]
    assert {scale: f"{got[scale]['estimate']:.6f}" for scale in expected} == expected


def test_published_annotations_have_their_published_kappas(run, shared_data, tmp_path):
    items = json.loads((shared_data / "human/pandalm/testset-v1.json").read_text())
    lines = [
        json.dumps({"item": k, "rater": who, "value": item[f"annotator{who}"]})
        for k, item in enumerate(items)
        for who in (1, 2, 3)
    ]
    (tmp_path / "r.jsonl").write_text("\n".join(lines))
    status, out, err = run("analyze", "--ratings", tmp_path / "r.jsonl", "--draws", 100, "--json",
                           "--out", tmp_path / "out")  # fmt: skip
    assert status == 0, err
    got = json.loads(out)["about"]["found"]["agreement"]["the ratings"]["cohen"]
    assert [pair["raters"] for pair in got] == [list(two) for two in combinations("123", 2)]
    assert [f"{pair['estimate']:.3f}" for pair in got] == ["0.852", "0.879", "0.862"]
