"""What an analysis finds: planted errors, strengths, shares and causes come out again."""

import json
import random
from collections import Counter

import numpy as np
import pytest

from aftertune.errors import UserError
from aftertune.progress import Silent
from aftertune.report import study_methods
from aftertune.report.blocks import study as of_answers
from aftertune.report.blocks import study_agreement as of_people
from aftertune.report.blocks.shape import checked
from aftertune.report.study_page import build, render
from aftertune.study import agreement, analyze, beside, create, marked, results, times
from aftertune.study.agreement import Drawing
from aftertune.study.answers import OUTCOMES
from aftertune.study.collected import read
from aftertune.study.config import AnalyzeConfig, StudyConfig
from aftertune.study.design import design
from aftertune.study.found import of_study
from aftertune.study.items import make
from aftertune.study.rated import Rated, pair_of, split, tokens, values
from made_answers import answer, answers
from made_raters import borrowing, made_trace, made_verdicts, rate, settle, simulated

QUICK = Drawing(draws=300)
ASKED = {"ratings": 0, "items": 0, "people": 0, "pilot": 0, "repeats": 0}
STRENGTHS = {"a": 0.6, "b": 0.0, "c": -0.6}


def planned(kind, models, n, people=3, seed=0, **options):
    given = {model: [answer(k, model) for k in range(n)] for model in models}
    asked = {"overlap": 2, "batch_size": 20, "pilot": 0, "repeats": 0, **options}
    names = [f"p{k}" for k in range(people)]
    return design(make(given, kind, seed).items, names, seed=seed, **asked)


def contest(item, chance, strengths=STRENGTHS, ties=0.5):
    """Davidson's model: first, second or tie, of the stored order."""
    a, b = (strengths[model] for model in item["hidden"]["models"])
    weights = [np.exp((a - b) / 2), np.exp((b - a) / 2), ties]
    return chance.choices(["first", "second", "tie"], weights)[0]


def found(rated, kind, aspects=(), drawing=QUICK, **more):
    return of_study(rated, kind, aspects, ASKED, drawing, **more)


def one(item="i", person="p", answer=None, kind="pairs", models=("a", "b"), **more):
    said = {"overall": "first", "aspects": {}} if answer is None else answer
    ids = tuple(f"{model}-0" for model in models)
    given = {"original": item, "prompt_id": item, "role": "annotator", "text": "Some text here.",
             **more}  # fmt: skip
    return Rated(
        item, person=person, kind=kind, answer=said, models=models, response_ids=ids, **given
    )


def holds(interval, value):
    return interval["low"] <= value <= interval["high"]


# what is counted


def test_the_latest_rating_that_stands_counts():
    first, second = one(sequence=1), one(sequence=2, answer={"overall": "tie", "aspects": {}})
    taken_back = one(sequence=3, withdrawn=True)
    parts = split([first, second, taken_back])
    assert parts.main == [second]
    assert parts.n_withdrawn == 1
    again = one("j", original="i")
    pilot = one("k", pilot=True)
    settled = one(person="q", role="adjudicator")
    parts = split([again, pilot, settled, first])
    assert (parts.main, parts.pilot, parts.repeats) == ([first], [pilot], [again])
    assert parts.final == [settled]


def test_values_are_of_the_model_first_by_name():
    said = {"overall": "first", "aspects": {"depth": "tie", "clarity": "second"}}
    assert values(one(answer=said)) == {"overall": 1.0, "depth": 0.5, "clarity": 0.0}
    turned = one(answer=said, models=("b", "a"))
    assert values(turned) == {"overall": 0.0, "depth": 0.5, "clarity": 1.0}
    assert pair_of(turned) == ("a", "b")


def test_everybody_alike_and_nobody():
    alike = [one(f"i{k}", f"p{j}") for k in range(9) for j in range(2)]
    got = found(alike, "pairs")
    assert got["agreement"]["overall"]["percent"]["estimate"] == 1
    assert got["agreement"]["overall"]["percent"]["low"] < 1
    assert got["agreement"]["overall"]["nominal"]["estimate"] is None  # one category
    assert got["preferences"]["overall"]["pairs"][0]["win"]["estimate"] == 1
    nothing = found([], "pairs")
    assert nothing["agreement"] == {}
    assert nothing["counts"]["ratings"] == 0
    for kind in ("spans", "outcomes", "aspects"):
        assert found([], kind)["agreement"] == {}


def test_agreement_by_hand():
    """3 items: alike, alike, apart. p_o = 2/3; 4 firsts and 2 seconds: D_e = 2 x 4 x 2 / 30."""
    other = {"overall": "second", "aspects": {}}
    rated = [one("i", "p"), one("i", "q"), one("j", "p", other), one("j", "q", other),
             one("k", "p"), one("k", "q", other)]  # fmt: skip
    got = found(rated, "pairs")["agreement"]["overall"]
    assert got["percent"]["estimate"] == pytest.approx(2 / 3)
    # 6 ratings, 3 of each: D_o = 2 / 6, D_e = 2 x 3 x 3 / (6 x 5)
    assert got["nominal"]["estimate"] == pytest.approx(1 - (2 / 6) / (18 / 30))
    assert got["ac1"]["estimate"] == pytest.approx((2 / 3 - 1 / 4) / (3 / 4))  # a tie was possible
    assert got["cohen"][0]["raters"] == ["p", "q"]
    # p: 2 of 3 first, q: 1 of 3: p_e = 2/9 + 2/9
    assert got["cohen"][0]["estimate"] == pytest.approx((2 / 3 - 4 / 9) / (5 / 9))


# planted truth comes out again


@pytest.mark.parametrize("error", [0.1, 0.4])
def test_known_rater_error_is_recovered(error):
    """Scores of 1 to 5, wrong with chance `error`: two agree with (1 - e)^2 + e^2 / 4."""
    plan = planned("aspects", "ab", 150, repeats=30)

    def say(item, person, swapped, chance):
        truth = random.Random(item["repeat_of"] or item["item_id"]).randint(1, 5)
        wrong = [score for score in range(1, 6) if score != truth]
        return {"scores": {"depth": chance.choice(wrong) if chance.random() < error else truth}}

    got = found(simulated(plan, say), "aspects", ("depth",))
    expected = (1 - error) ** 2 + error**2 / 4
    assert holds(got["agreement"]["depth"]["percent"], expected)
    chance = 1 / 5
    for name in ("fleiss", "ac1", "nominal"):
        assert holds(got["agreement"]["depth"][name], (expected - chance) / (1 - chance))
    assert got["itself"]["depth"]["n_rated_twice"] == 3 * 30
    assert holds(got["itself"]["depth"]["percent"], expected)


def test_planted_strengths_have_nominal_coverage():
    """40 studies of 3 models and 60 prompts, through items, design and simulated ratings."""
    hits, total, estimates = 0, 0, []
    for seed in range(40):
        plan = planned("pairs", "abc", 60, seed=seed, overlap=1)
        rated = simulated(plan, lambda i, p, s, c: {"overall": contest(i, c), "aspects": {}}, seed)
        got = results.preferences(rated, QUICK)["overall"]["strengths"]
        hits += sum(holds(got[model], STRENGTHS[model]) for model in STRENGTHS)
        total += 3
        estimates.append(got["a"]["estimate"])
    # nominal 0.95; with 40 independent studies 5 standard errors are about 0.17
    assert hits / total > 0.88
    assert np.mean(estimates) == pytest.approx(0.6, abs=0.1)


def test_strengths_through_the_whole_chain(tmp_path):
    """create, ratings through the store with orders as shown, analyze."""
    given = {model: answers(tmp_path / "out", model, range(60)) for model in "abc"}
    asked = StudyConfig(kind="pairs", annotators=3, aspects="depth", pilot=4, repeats=10)
    made = create.run(asked, given, tmp_path / "s")

    def say(item, person, swapped, chance):
        return {"overall": contest(item, chance, ties=0.3), "aspects": {"depth": "tie"}}

    n = rate(made.folder, say)
    config = AnalyzeConfig(study=str(made.folder), draws=300)
    got = analyze.run(config, tmp_path / "out", Silent())
    assert n == got.about["found"]["counts"]["asked_ratings"]
    assert got.about["found"]["counts"]["missing"] == 0
    overall = got.about["found"]["preferences"]["overall"]
    for model, strength in STRENGTHS.items():
        assert holds(overall["strengths"][model], strength)
    first = next(p for p in overall["pairs"] if (p["first"], p["second"]) == ("a", "c"))
    assert first["score"]["low"] > 0.5
    depth = got.about["found"]["preferences"]["depth"]
    assert "tie" in depth["strengths"]["a"]["reason"]
    assert holds(got.about["found"]["order"]["overall"], 0.5)
    # the same study: the same artefact; one more rating: another
    assert analyze.run(config, tmp_path / "out", Silent()).id == got.id
    assert "annotator 1" not in json.dumps(got.about)


def test_a_taste_for_the_first_place_is_found_and_cancels():
    plan = planned("pairs", "ab", 150)

    def say(item, person, swapped, chance):
        shown = "first" if chance.random() < 0.7 else "second"
        return {"overall": shown if not swapped else {"first": "second"}.get(shown, "first"),
                "aspects": {}}  # fmt: skip

    got = found(simulated(plan, say), "pairs")
    assert holds(got["order"]["overall"], 0.7)
    assert got["order"]["overall"]["low"] > 0.5
    assert holds(got["preferences"]["overall"]["pairs"][0]["score"], 0.5)


def test_planted_outcome_shares():
    shares = dict(zip(OUTCOMES, (0.115, 0.165, 0.215, 0.325, 0.18), strict=True))  # figure 6
    plan = planned("outcomes", "ab", 200, overlap=1)

    def say(item, person, swapped, chance):
        return {"outcome": chance.choices(list(shares), list(shares.values()))[0]}

    pair = found(simulated(plan, say), "outcomes")["outcomes"]["pairs"][0]
    assert all(holds(pair["shares"][name], share) for name, share in shares.items())
    assert sum(share["estimate"] for share in pair["shares"].values()) == pytest.approx(1)
    assert holds(pair["worse"], 0.325 + 0.18 - 0.115)
    assert pair["needed"]["decided"]


def mark(start, end, cause=None, text="Some text here."):
    told = {"start": start, "end": end, "text": text[start:end], "label": "not_factual"}
    return {**told, "cause": cause}


def marks(*spans):
    return {"spans": list(spans), "nothing_wrong": not spans}


def row(row_id):
    return {"kind": "row", "row_id": row_id}


NONE, UNSURE = {"kind": "none", "row_id": None}, {"kind": "unsure", "row_id": None}


def test_planted_causes_by_model():
    """Figure 8: 85% of the marks of one model come from a row, 15% of the other's."""
    plan = planned("spans", ("full", "lora"), 120, overlap=1)

    def say(item, person, swapped, chance):
        share = 0.85 if item["hidden"]["models"] == ["full"] else 0.15
        causes = [row("r") if chance.random() < share else NONE for _ in range(2)]
        return marks(mark(0, 4, causes[0]), mark(5, 9, causes[1]))

    got = found(simulated(plan, say), "spans")["causes"]
    assert holds(got["models"]["full"]["row"], 0.85)
    assert holds(got["models"]["lora"]["row"], 0.15)
    assert holds(got["pairs"][0]["difference"], 0.7)
    assert got["pairs"][0]["needed"]["decided"]
    assert got["models"]["full"]["n_spans"] == 240


def test_causes_by_hand():
    """Two readers of i: 1 of 2 and 1 of 1 marks from a row; one of j: 0 of 1, unsure counts."""
    spans = {"kind": "spans", "models": ("m",)}
    rated = [
        one("i", "p", marks(mark(0, 4, row("r")), mark(5, 9, NONE)), **spans),
        one("i", "q", marks(mark(0, 4, row("r"))), **spans),
        one("j", "p", marks(mark(0, 4, UNSURE)), **spans),
        one("k", "p", marks(), **spans),
    ]
    got = marked.causes(rated, QUICK)["models"]["m"]
    # per reading: i has 1 from a row and 0.5 without, j 1 unsure
    assert got["row"]["estimate"] == pytest.approx(1 / 2.5)
    assert got["none"]["estimate"] == pytest.approx(0.5 / 2.5)
    assert got["unsure"]["estimate"] == pytest.approx(1 / 2.5)
    assert (got["n_spans"], got["without_cause"]) == (4, 0)
    shown = marked.marks(rated, QUICK)["models"]["m"]
    assert shown["answers"]["estimate"] == pytest.approx(2 / 3)
    # 15 characters each: (8 + 4) / 2 in i, 4 in j, none in k
    assert shown["characters"]["estimate"] == pytest.approx((6 + 4 + 0) / 45)


def test_marks_that_overlap_are_one_place():
    spans = {"kind": "spans", "models": ("m",)}
    rated = [
        one("i", "p", marks(mark(0, 4, row("r")), mark(10, 14, NONE)), **spans),
        one("i", "q", marks(mark(2, 9, row("r"))), **spans),
        one("i", "s", marks(mark(8, 9, NONE)), **spans),
    ]
    places = agreement.places(rated)
    assert {place: set(who) for place, who in places.items()} == {
        ("i", 0): {"p", "q", "s"}, ("i", 1): {"p"},
    }  # fmt: skip
    got = agreement.causes(rated, QUICK)
    assert got["kind"]["percent"]["estimate"] == pytest.approx(1 / 3)  # of p-q, p-s and q-s
    assert got["row"]["percent"]["estimate"] == 1


def test_agreement_on_causes_draws_answers():
    """20 places of 2 answers are 2 pieces of evidence, not 20."""
    spans = {"kind": "spans", "models": ("m",)}
    starts = range(0, 40, 4)
    same = marks(*(mark(k, k + 2, NONE) for k in starts))
    other = marks(*(mark(k, k + 2, UNSURE) for k in starts))
    text = {"text": "x" * 50}
    rated = [
        one("i", "p", same, **spans, **text), one("i", "q", same, **spans, **text),
        one("j", "p", same, **spans, **text), one("j", "q", other, **spans, **text),
    ]  # fmt: skip
    got = agreement.causes(rated, QUICK)["kind"]
    assert (got["n_rated_twice"], got["percent"]["n"]) == (20, 2)
    assert got["percent"]["estimate"] == 0.5
    assert (got["percent"]["low"], got["percent"]["high"]) == (0, 1)
    assert agreement.causes(rated, QUICK)["row"]["percent"]["estimate"] is None
    always = agreement.causes(rated[:2], QUICK)["kind"]["percent"]
    assert (always["estimate"], always["low"]) == (1, None)  # one answer has no interval


def test_token_f1_by_hand():
    """Words of `Some text here.`: Some, text, here and the full stop; marks share `text`."""
    assert tokens("Some text here.") == [(0, 4), (5, 9), (10, 14), (14, 15)]
    spans = {"kind": "spans", "models": ("m",)}
    rated = [one("i", "p", marks(mark(0, 9)), **spans), one("i", "q", marks(mark(5, 9)), **spans)]
    got = agreement.of_spans(rated, QUICK)
    assert got["f1"]["estimate"] == pytest.approx(2 / 3)
    assert got["chance"]["estimate"] == pytest.approx(2 * 2 * 1 / 4 / 3)


def test_a_comparison_that_is_not_decided_says_how_much_is_missing():
    half = [{"overall": side, "aspects": {}} for side in ("first", "second", "first", "tie")]
    rated = [one(f"i{k}", "p", half[k % 4]) for k in range(40)]
    pair = found(rated, "pairs")["preferences"]["overall"]["pairs"][0]
    assert pair["score"]["estimate"] == pytest.approx(0.625)
    assert pair["needed"]["decided"] is (pair["score"]["low"] > 0.5)
    few = found(rated[:12], "pairs")["preferences"]["overall"]["pairs"][0]
    assert not few["needed"]["decided"]
    assert few["needed"]["more"] > 0


# a judge and a tracer


def test_a_judge_beside_people(tmp_path):
    said = {"scores": {"depth": 4}}
    rated = [
        Rated(f"i{k}", f"i{k}", who, "annotator", "aspects", said, ("m",), (f"m-{k}",), f"i{k}")
        for k in range(6)
        for who in "pq"
    ]  # fmt: skip
    verdicts = [
        {"response_id": f"m-{k}", "other_response_id": None, "aspect": "depth", "score": score}
        for k in range(4)
        for score in (
            (4, 4.8) if k else (1, 2)
        )  # the mean of repeats, rounded: 4 but for the first
    ]
    got = beside.judge(rated, verdicts, QUICK)["depth"]
    assert got["judge"]["estimate"] == pytest.approx(3 / 4)
    assert got["people"]["estimate"] == 1
    assert got["difference"]["estimate"] == pytest.approx(-1 / 4)
    assert beside.judge(rated, [], QUICK) == {}
    assert beside.judge([], verdicts, QUICK) == {}


def test_a_judge_of_pairs_reads_both_orders():
    rated = [one("i", "p"), one("i", "q")]  # both prefer a
    both = [
        {"response_id": "a-0", "other_response_id": "b-0", "aspect": "overall", "score": 1},
        {"response_id": "b-0", "other_response_id": "a-0", "aspect": "overall", "score": 0},
    ]
    assert beside.judge(rated, both, QUICK)["overall"]["judge"]["estimate"] == 1
    tied = [{**both[0], "score": 1}, {**both[0], "score": 0}]  # its own mind changes: a tie
    assert beside.judge(rated, tied, QUICK)["overall"]["judge"]["estimate"] == 0
    turned = [one("i", "p", {"overall": "second", "aspects": {}}, models=("b", "a"))]
    assert beside.judge(turned, both, QUICK)["overall"]["judge"]["estimate"] == 1


def test_a_tracer_beside_people():
    spans = {"kind": "spans", "models": ("m",)}
    rated = [
        one("i", "p", marks(mark(0, 4, row("r")), mark(10, 14, NONE)), **spans),
        one("i", "q", marks(mark(0, 4, row("s")), mark(10, 14, UNSURE)), **spans),
    ]
    got = beside.tracer(rated, [borrowing("m-0", (0, 4), "r", q_value=0.01)], 0.1, QUICK)
    # at the first place it says what p says and not q; at the second it says none, as p does
    assert got["rows"]["judge"]["estimate"] == pytest.approx((0.5 + 1) / 2)
    assert got["rows"]["people"]["estimate"] == 0  # only the first place has two people
    # people: Some, here; the tracer: Some
    assert got["spans"]["f1"]["estimate"] == pytest.approx(2 / 3)
    doubtful = [borrowing("m-0", (0, 4), "r", q_value=0.5)]
    assert beside.tracer(rated, doubtful, 0.1, QUICK)["spans"]["f1"]["estimate"] == 0
    control = [borrowing("m-0", (0, 4), "r", control="other")]
    assert beside.tracer(rated, control, 0.1, QUICK)["rows"]["judge"]["estimate"] == 0.5
    second = [borrowing("m-0", (0, 4), "r", rank=2)]
    assert beside.tracer(rated, second, 0.1, QUICK)["spans"]["f1"]["estimate"] == 0


# the artefact and its page


def random_say(kind, aspects=("depth",)):
    def say(item, person, swapped, chance):
        if kind == "pairs":
            sides = {name: chance.choice(["first", "second", "tie"]) for name in aspects}
            return {"overall": chance.choice(["first", "second", "tie"]), "aspects": sides}
        if kind == "aspects":
            return {"scores": {name: chance.randint(1, 5) for name in aspects}}
        if kind == "outcomes":
            return {"outcome": chance.choice(list(OUTCOMES))}
        text = item["shown"]["answers"][0]
        return chance.choice([marks(), marks(mark(0, 6, None, text))])

    return say


@pytest.mark.parametrize("kind", ["pairs", "aspects", "outcomes", "spans"])
@pytest.mark.parametrize("most", [None, 3, 2])  # 2: the pilot alone
def test_every_kind_has_blocks_a_page_and_paragraphs(kind, most, tmp_path):
    given = {model: answers(tmp_path / "out", model, range(9)) for model in ("<b>", "two")}
    asked = StudyConfig(kind=kind, annotators=3, aspects="depth", pilot=2, repeats=2)
    made = create.run(asked, given, tmp_path / "s")
    rate(made.folder, random_say(kind), most=most)
    config = AnalyzeConfig(study=str(made.folder), draws=100)
    got = analyze.run(config, tmp_path / "out", Silent())
    blocks = [checked(of_answers.block(got.about)), checked(of_people.block(got.about))]
    said = " ".join(blocks[0]["sentences"])
    assert ("missing" in said) == (most is not None)
    page = render(build(got.manifest, "0"))
    assert "<b> against" not in page
    assert "For a paper" in page
    text = study_methods.paragraphs(got.about)
    assert "did not know which model wrote what" in text
    assert "None" not in text
    assert "annotator-" not in text
    if most is None and kind == "pairs":
        assert "undecided" in said


def test_an_adjudicator_settles_results_and_not_agreement(tmp_path):
    given = {model: answers(tmp_path / "out", model, range(6)) for model in ("a", "b")}
    asked = StudyConfig(kind="outcomes", annotators=2, adjudicators="Ada", pilot=0, repeats=0)
    made = create.run(asked, given, tmp_path / "s")
    rate(made.folder, lambda i, p, s, c: {"outcome": "both_wrong"})
    items = [item.item_id for item in made.design.items[:3]]
    settle(made.folder, lambda i, p, s, c: {"outcome": "first_invented"}, items)
    got = found(read(made.folder).rated, "outcomes")
    assert got["counts"]["adjudicated"] == 3
    assert got["agreement"]["outcome"]["percent"]["estimate"] == 1
    shares = got["outcomes"]["pairs"][0]["shares"]
    assert shares["first_invented"]["estimate"] == pytest.approx(0.5)
    assert shares["both_wrong"]["estimate"] == pytest.approx(0.5)


def test_judge_and_trace_of_an_artefact(tmp_path):
    out = tmp_path / "out"
    given = {model: answers(out, model, range(8)) for model in ("a", "b")}
    asked = StudyConfig(kind="aspects", annotators=2, aspects="depth", pilot=0, repeats=0)
    made = create.run(asked, given, tmp_path / "s")
    rate(made.folder, lambda i, p, s, c: {"scores": {"depth": 3}})
    verdicts = [{"response_id": f"{m}-{k}", "aspect": "depth", "score": 3.0}
                for m in given for k in range(8)]  # fmt: skip
    judge = made_verdicts(verdicts, out)
    config = AnalyzeConfig(study=str(made.folder), draws=100)
    got = analyze.run(config, out, Silent(), judge=judge)
    assert got.about["found"]["judge"]["depth"]["judge"]["estimate"] == 1
    assert "The judge J on depth says what a person says" in " ".join(
        of_people.block(got.about)["sentences"]
    )
    trace = made_trace([borrowing("a-0", (0, 4), "r")], out)
    for more, words in (({"judge": trace}, "judge-"), ({"trace": judge}, "trace-"),
                        ({"trace": trace}, "leave --trace out")):  # fmt: skip
        with pytest.raises(UserError, match=words):
            analyze.run(config, out, Silent(), **more)


def test_nothing_to_analyse(tmp_path):
    given = {model: answers(tmp_path / "out", model, range(4)) for model in ("a", "b")}
    made = create.run(StudyConfig(kind="pairs", pilot=0), given, tmp_path / "s")
    with pytest.raises(UserError, match="nobody has rated"):
        analyze.run(AnalyzeConfig(study=str(made.folder)), tmp_path / "out", Silent())
    with pytest.raises(UserError, match="holds no study"):
        analyze.run(AnalyzeConfig(study=str(tmp_path)), tmp_path / "out", Silent())
    with pytest.raises(ValueError, match="--ratings FILE"):
        AnalyzeConfig()


def test_time_is_a_median_of_items():
    rated = [
        one(f"i{k}", who, seconds=float(s)) for k, s in enumerate((10, 20, 90)) for who in "pq"
    ]
    got = times.seconds(rated, QUICK)
    assert got["item"]["estimate"] == 20
    assert got["total_hours"] == pytest.approx(240 / 3600)
    assert got["untimed"] == 0
    assert times.seconds([], QUICK)["item"]["reason"] == "no times"


def test_seconds_and_batches_of_a_design():
    plan = planned("pairs", "ab", 30, batch_size=10)
    rated = simulated(plan, lambda i, p, s, c: {"overall": "tie", "aspects": {}})
    assert Counter(one.batch for one in rated if one.person == "p0") == {1: 10, 2: 10}
    assert list(times.seconds(rated, QUICK)["batches"]) == ["1", "2"]
