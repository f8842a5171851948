"""What a sweep says: sums by hand, planted effects of method, rate and size, and its words."""

import numpy as np
import pyarrow as pa
import pytest

from aftertune.controls.sweep import MEASURES, Cell, by_prompt, findings, gap, stacked
from aftertune.report.blocks.sweep import block, size_block
from aftertune.stats.equivalence import Margin

MARGIN = Margin(0.05, "0.1 of the gap", "2026-01-01T00:00:00+00:00", "pilot tunings: two")


def values(mean, n_seeds=5, n_prompts=20, seed=0, spread=0.02):
    """Every prompt has one answer of 10 tokens; the prompts' own levels are those of seed 0."""
    prompts = 0.1 * np.random.default_rng(0).normal(size=(1, n_prompts))
    noise = np.random.default_rng(seed).normal(size=(n_seeds, n_prompts))
    kl = mean + prompts + spread * noise
    tens, ones = np.full(kl.shape, 10.0), np.ones(kl.shape)
    return {"kl": 10 * kl, "tokens": tens, "response_kl": kl, "responses": ones, "ranked": tens,
            "unshifted": 8 * ones, "marginal": ones, "shifted": ones}  # fmt: skip


def grid(means, n_seeds=5):
    """Cells from {(method, rate, size): mean}."""
    return [
        Cell(*place, values(mean, n_seeds, seed=number))
        for number, (place, mean) in enumerate(means.items(), start=1)
    ]


BOTH = {
    ("full", 1e-5, 160): 0.1, ("full", 5e-5, 160): 0.5,
    ("lora", 5e-5, 160): 0.05, ("lora", 1e-3, 160): 0.6,
}  # fmt: skip


def about_of(cells, margin=None, **other):
    n_seeds = cells[0].values["kl"].shape[0]
    result = findings(cells, margin)
    for cell in result["cells"]:
        cell["runs"] = [{"rows": cell["size"] or 300, "steps": 60} for _ in range(n_seeds)]
    return {
        "control": "sweep", "name": "a base", "absent": other.pop("absent", {}),
        "found": {
            **result, "n_prompts": 20, "seeds": list(range(n_seeds)),
            "speaks_of": "method" if n_seeds >= 5 else "models", "steps": None,
            "noise_floor_nats": 0.0012, "dtypes": ["float32"],
            "margin": margin.as_json() if margin else None, "measured_before_margin": [], **other,
        },
    }  # fmt: skip


def test_sums_by_prompt_by_hand():
    # prompt a: answers r1 (1 and 3 nats) and r3 (2 nats, no category); b: r2 (0 nats); c: none
    tokens = pa.table(
        {
            "response_id": ["r1", "r1", "r2", "r3"],
            "kl_tuned_base_nats": pa.array([1.0, 3.0, 0.0, 2.0], pa.float32()),
            "category": ["unshifted", "shifted", "marginal", None],
        }
    )
    found = by_prompt(tokens, {"r1": "a", "r2": "b", "r3": "a"}, ["a", "b", "c"])
    assert found["kl"].tolist() == [6, 0, 0]
    assert found["tokens"].tolist() == [3, 1, 0]
    assert found["response_kl"].tolist() == [4, 0, 0]  # (1 + 3) / 2 + 2
    assert found["responses"].tolist() == [2, 1, 0]
    assert found["ranked"].tolist() == [2, 1, 0]
    assert found["shifted"].tolist() == [1, 0, 0]
    assert stacked([found, found])["kl"].shape == (2, 3)


def test_means_of_a_cell_by_hand():
    cell = Cell("full", 1e-5, None, values(0.3))
    (found,) = findings([cell], None)["cells"]
    kl = cell.values["response_kl"]
    assert found["kl_per_token"]["estimate"] == pytest.approx(kl.mean())
    assert found["per_seed"]["kl_per_token"] == pytest.approx(kl.mean(1).tolist())
    assert found["unshifted"]["estimate"] == pytest.approx(0.8)
    assert set(MEASURES) <= set(found)
    assert "smallest_detectable" not in found["kl_per_token"]  # no comparison


def test_means_stay_where_a_kl_and_a_share_can_be():
    cell = Cell("lora", 1e-5, None, values(0.0, n_prompts=3))
    cell.values["kl"][:] = [[0.01, 0.0, 0.3]] * 5
    cell.values["shifted"][:] = [[0.0, 0.0, 1.0]] * 5
    cell.values["unshifted"][:] = [[10.0, 10.0, 9.0]] * 5
    (found,) = findings([cell], None)["cells"]
    assert found["kl_per_token"]["low"] == found["shifted"]["low"] == 0.0
    assert found["unshifted"]["high"] == 1.0


def test_identical_methods_do_not_differ():
    same = values(0.3)
    cells = [Cell("full", 5e-5, 160, same), Cell("lora", 5e-5, 160, same)]
    (one,) = findings(cells, None)["methods"]
    assert one["difference"]["estimate"] == one["difference"]["low"] == 0.0
    assert gap(same, same).interval.estimate == 0.0


def test_planted_differences_of_methods_and_of_rates():
    found = findings(grid(BOTH), None)
    (method,) = found["methods"]
    assert method["learning_rate"] == 5e-5
    assert method["difference"]["estimate"] == pytest.approx(0.45, abs=0.02)
    assert method["difference"]["low"] > 0.4
    assert 0 < method["difference"]["smallest_detectable"] < 0.05
    assert [(one["method"], one["lowest"], one["highest"]) for one in found["rates"]] == [
        ("full", 1e-5, 5e-5), ("lora", 5e-5, 1e-3),
    ]  # fmt: skip
    (turned,) = found["turned_round"]
    assert (turned["lora_rate"], turned["full_rate"]) == (1e-3, 1e-5)
    assert turned["difference"]["low"] > 0.4
    assert found["trends"] == []


def test_the_answer_names_both():
    shown = block(about_of(grid(BOTH)))
    assert shown["question"] == "Is it the method or the rate?"
    assert shown["sentences"][0] == (
        "Both: at an equal rate and size, full lies above LoRA at 1 of 1; within a method and "
        "size, the highest rate lies above the lowest at 2 of 2; a higher rate for LoRA turns the "
        "order of the methods round."
    )
    assert any("smallest difference that could have been seen" in s for s in shown["sentences"])
    assert any("speak of the method" in s for s in shown["sentences"])


def test_the_answer_is_the_rate_where_methods_are_alike():
    means = {("full", 5e-5, 160): 0.1, ("full", 2e-4, 160): 0.5,
             ("lora", 5e-5, 160): 0.1, ("lora", 2e-4, 160): 0.5}  # fmt: skip
    cells = [Cell(*place, values(mean, seed=7)) for place, mean in means.items()]
    shown = block(about_of(cells))
    assert shown["sentences"][0].startswith("The rate, as far as seen")
    assert any("; undecided (smallest difference" in s for s in shown["sentences"])


def test_one_comparison_of_several_is_mixed():
    same = values(0.1, seed=7)
    cells = [
        Cell("full", 5e-5, 160, same),
        Cell("lora", 5e-5, 160, same),
        Cell("full", 2e-4, 160, values(0.5)),
        Cell("lora", 2e-4, 160, values(0.9)),
    ]
    assert block(about_of(cells))["sentences"][0].startswith(
        "Mixed: at an equal rate and size, LoRA lies above full at 1 of 2; within"
    )


def test_the_method_says_which_way():
    cells = [
        Cell(method, rate, 160, values(mean, seed=7))
        for rate in (5e-5, 2e-4)
        for method, mean in (("full", 0.1), ("lora", 0.5))
    ]
    said = block(about_of(cells))["sentences"][0]
    assert said.startswith("The method, as far as seen: at an equal rate and size, LoRA lies above")
    assert "full at 2 of 2" in said
    assert "no difference was found (0 of 2)" in said


def test_statements_name_the_fewest_prompts_they_rest_on():
    full, lora = values(0.5), values(0.1, seed=2)
    lora["tokens"][0, 3] = lora["responses"][0, 3] = lora["ranked"][0, 3] = 0
    shown = block(about_of([Cell("full", 5e-5, 160, full), Cell("lora", 5e-5, 160, lora)]))
    assert any("at least 19 of 20 prompts" in sentence for sentence in shown["sentences"])


def test_one_rate_is_undecided_and_cautioned():
    shown = block(about_of(grid({("full", 5e-5, None): 0.5, ("lora", 5e-5, None): 0.05})))
    assert shown["sentences"][0].startswith("Undecided: only one learning rate")
    assert sum("Only one learning rate was tried" in c for c in shown["cautions"]) == 2


def test_few_seeds_speak_of_these_models_only():
    shown = block(about_of(grid(BOTH, n_seeds=2)))
    assert any("these tuned models only" in sentence for sentence in shown["sentences"])
    assert any("Fewer than 5 seeds" in caution for caution in shown["cautions"])


def test_the_picture_has_one_series_per_method_with_intervals():
    picture = block(about_of(grid(BOTH)))["picture"]
    assert (picture["kind"], picture["log_x"]) == ("curve", True)
    assert picture["x_values"] == [1e-5, 5e-5, 1e-3]
    assert [one["name"] for one in picture["series"]] == ["full", "LoRA"]
    for one in picture["series"]:
        assert [p["x"] for p in one["points"]] == sorted(p["x"] for p in one["points"])
        assert all(p["low"] < p["estimate"] < p["high"] for p in one["points"])
    assert "KL(tuned from base)" in picture["y_label"]
    assert "own answers" in picture["y_label"]


def test_the_table_has_one_row_per_cell_and_names_seeds():
    table = block(about_of(grid(BOTH)))["table"]
    assert table["columns"][-1] == "KL per token of seed 0, 1, 2, 3, 4"
    assert len(table["rows"]) == 4
    assert all(len(row) == len(table["columns"]) for row in table["rows"])


def sized(lora_end):
    return {("full", 5e-5, 100): 0.5, ("full", 5e-5, 1600): 0.9,
            ("lora", 5e-5, 100): 0.1, ("lora", 5e-5, 1600): lora_end}  # fmt: skip


def test_trends_have_their_verdicts():
    found = findings(grid(sized(0.1)), MARGIN)
    assert [(one["method"], one["verdict"]) for one in found["trends"]] == [
        ("full", "rises"), ("lora", "flat"),
    ]  # fmt: skip
    shown = size_block(about_of(grid(sized(0.1)), MARGIN))
    assert shown["picture"]["x_values"] == [100, 1600]
    assert any("full at 5e-5: rises" in s for s in shown["sentences"])
    assert any(MARGIN.rule in s and MARGIN.fixed_at in s for s in shown["sentences"])
    assert any("more steps" in caution for caution in shown["cautions"])
    named = block(about_of(grid(sized(0.1)), MARGIN))["picture"]["series"]
    assert [one["name"] for one in named] == [
        "full, 100 rows", "full, 1,600 rows", "LoRA, 100 rows", "LoRA, 1,600 rows",
    ]  # fmt: skip


def test_an_undecided_trend_says_what_margin_could_have_been_shown():
    tight = Margin(0.0001, "given", "before", "nothing")
    said = size_block(about_of(grid(sized(0.1)), tight))["sentences"]
    (undecided,) = [sentence for sentence in said if "LoRA at 5e-5: undecided" in sentence]
    assert "a flat line could be shown in 80 of 100 such sweeps with a margin of" in undecided
    assert not any("80 of 100" in sentence for sentence in said if "rises" in sentence)


def test_without_a_margin_no_trend_is_flat_and_the_page_says_so():
    about = about_of(grid(sized(0.1)), absent={"margin": "the gap is 0"})
    shown = size_block(about)
    assert not any(": flat" in sentence for sentence in shown["sentences"])
    assert any("the gap is 0" in caution for caution in shown["cautions"])


def test_what_was_measured_before_the_margin_is_told():
    shown = size_block(about_of(grid(sized(0.1)), MARGIN, measured_before_margin=["shift-1"]))
    assert any("before the margin was fixed" in caution for caution in shown["cautions"])


def test_one_method_and_one_size_leave_nothing_to_compare():
    about = about_of(grid({("lora", 5e-5, 160): 0.1}), absent={"methods": "only lora was tuned"})
    assert size_block(about) is None
    assert block(about)["sentences"][0] == "Undecided: only lora was tuned."


def test_an_unanswered_prompt_is_left_out_of_every_cell_that_is_compared():
    full, lora = values(0.5), values(0.1, seed=2)
    lora["tokens"][0, 3] = lora["responses"][0, 3] = lora["ranked"][0, 3] = 0
    cells = [Cell("full", 5e-5, 160, full), Cell("lora", 5e-5, 160, lora)]
    found = findings(cells, None)
    assert found["methods"][0]["difference"]["n_prompts"] == 19
    assert [one["kl_per_token"]["n_prompts"] for one in found["cells"]] == [20, 19]
