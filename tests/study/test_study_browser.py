"""The study in a real browser: mouse, keyboard, finger, no network, and text that means harm."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aftertune.study.answers import Rating
from aftertune.study.store import open_store
from aftertune.study.tokens import link
from made_study_store import (
    ASPECTS,
    ASTRONAUT,
    HOSTILE,
    TANGLED,
    Server,
    answer,
    make,
    rating,
    served,
)

pytestmark = pytest.mark.slow
CHROMIUM = Path("/usr/bin/chromium")
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
SAVED = "All saved."


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM))
        yield started
        started.close()


class Opened:
    """A page with everything that it said or asked for."""

    def __init__(self, browser: Any, server: Server, role: str, token: str, **options: Any) -> None:
        self.server, self.token = server, token
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(link(server.address, role, token))

    def waits(self, text: str, of: str = "body") -> None:
        self.page.locator(of, has_text=text).first.wait_for()

    def select(self, start: int, end: int) -> None:
        """Select code points of the answer as a mouse would: through places in the document."""
        self.page.evaluate(SELECT, [start, end])

    def close(self) -> None:
        assert all(url.startswith(self.server.address) for url in self.asked)
        assert not any(self.token in url for url in self.asked)
        self.context.close()


# Walks the text nodes on screen, in which a sign like ⟨U+202E⟩ stands for one code point.
SELECT = """([start, end]) => {
  const box = document.querySelector("#answers .text");
  const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
  const found = []; let at = 0;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const sign = node.parentElement.classList.contains("sign");
    const parts = sign ? [node.data] : [...node.data];
    let unit = 0;
    for (const part of parts) {
      if (at === start) found[0] = [node, unit];
      unit += part.length; at += 1;
      if (at === end) found[1] = [node, unit];
    }
  }
  document.getSelection().setBaseAndExtent(...found[0], ...found[1]);
}"""


@contextmanager
def opened(
    browser: Any, folder: Path, role: str = "annotator", person: str = "a0", size: Any = WIDE,
    browser_options: dict[str, Any] | None = None, **study: Any,
) -> Iterator[Opened]:  # fmt: skip
    path = folder / "study.sqlite"
    found = make(path, **study)
    with served(path) as server:
        page = Opened(browser, server, role, found[person], viewport=size, **browser_options or {})
        page.tokens = found  # type: ignore[attr-defined]
        yield page
        page.close()


def kept(folder: Path) -> list[dict[str, Any]]:
    """The current ratings on disk, while the server runs."""
    store = open_store(folder / "study.sqlite")
    found = store.current_ratings()
    store.close()
    return found


def test_pairs_by_keyboard_from_begin_to_end(browser: Any, tmp_path: Path) -> None:
    with opened(browser, tmp_path, kind="pairs", n=3, guidelines="# Read\n- both answers") as it:
        it.waits("both answers", "#guidelines")
        it.page.keyboard.press("Escape")
        it.waits("0 of 3 rated")
        for key in ("1", "2", "3"):
            it.page.keyboard.press(key)
        it.page.keyboard.press("n")
        it.page.keyboard.type("a note: 1 u g ?")
        it.page.keyboard.press("Escape")
        it.page.keyboard.press("Enter")
        it.waits("1 of 3 rated")
        it.page.keyboard.press("2")
        it.page.keyboard.press("Enter")
        it.waits("Still to answer: clarity, depth", "#said")
        it.page.keyboard.press("1")
        it.page.keyboard.press("1")
        it.page.keyboard.press("Enter")
        it.waits("2 of 3 rated")
        it.page.keyboard.press("u")
        it.waits("Taken back", "#said")
        it.waits("1 of 3 rated")
        it.page.keyboard.press("ArrowDown")
        it.page.keyboard.press("ArrowDown")
        it.page.keyboard.press("3")
        it.page.keyboard.press("Enter")
        it.waits("2 of 3 rated")
        for key in ("3", "3", "3", "Enter"):
            it.page.keyboard.press(key)
        it.waits("All done. Thank you.")
        it.waits(SAVED, "#state")
        assert it.said == []
        found = kept(tmp_path)
    assert [one["item_id"] for one in found] == ["i0", "i1", "i2"]
    assert found[0]["answer"] == {
        "overall": "first", "aspects": {"clarity": "second", "depth": "tie"}
    }  # fmt: skip
    assert found[0]["note"] == "a note: 1 u g ?"
    assert found[1]["answer"]["aspects"]["depth"] == "tie"
    assert all(one["seconds"] >= 0 for one in found)


@pytest.mark.parametrize("kind", ["aspects", "outcomes"])
def test_by_mouse_and_where_one_left_off(browser: Any, tmp_path: Path, kind: str) -> None:
    with opened(browser, tmp_path, kind=kind, n=3) as it:
        it.waits("0 of 3 rated")
        for field in it.page.locator("#form fieldset").all():
            field.locator("label").nth(3).click()
        it.page.locator("#save").click()
        it.waits("1 of 3 rated")
        it.waits(SAVED, "#state")
        it.page.locator("#form fieldset label").nth(0).click()
        it.page.reload()
        it.waits("question 1", "#answers")
        assert it.page.locator("#form input:checked").count() == 1
        it.page.locator("#previous").click()
        it.waits("question 0", "#answers")
        assert it.page.locator("#form input:checked").count() == len(ASPECTS) ** (kind == "aspects")
        found = kept(tmp_path)
        assert it.said == []
    assert len(found) == 1
    assert found[0]["answer"] in (
        {"scores": dict.fromkeys(ASPECTS, 4)},
        {"outcome": "first_invented"},
    )


PHRASES = [
    ASTRONAUT, "Cafe\u0301", "if a < b and c > d:\n\tprint(", "שלום עולם", "\u202eevil\u202c",
    "مرحبا 🇩🇪", "end\u0007 of", ".\r\nLast", "The", "line.", TANGLED,
]  # fmt: skip


def test_spans_have_exact_positions(browser: Any, tmp_path: Path) -> None:
    with opened(browser, tmp_path, kind="spans", n=2, texts={0: TANGLED}) as it:
        it.waits("0 of 2 rated")
        for n, phrase in enumerate(PHRASES):
            start = TANGLED.index(phrase)
            it.select(start, start + len(phrase))
            it.page.locator("#marker button").nth(n % 2).click()
            it.page.locator("ol.marks li").nth(n).wait_for()
            it.page.locator("ol.marks li.active .causes > label").first.click()
        assert "⟨U+202E⟩evil⟨U+202C⟩" in it.page.locator("#answers .text").inner_text()
        it.page.locator("#save").click()
        it.waits("1 of 2 rated")
        it.waits(SAVED, "#state")
        assert it.said == []
        found = kept(tmp_path)[0]["answer"]["spans"]
    assert sorted(span["text"] for span in found) == sorted(PHRASES)
    for span in found:
        assert TANGLED[span["start"] : span["end"]] == span["text"]


def test_half_a_character_is_selected_whole(browser: Any, tmp_path: Path) -> None:
    with opened(browser, tmp_path, kind="spans", n=1, texts={0: TANGLED}) as it:
        it.waits("0 of 1 rated")
        emoji = TANGLED.index(ASTRONAUT)
        it.select(emoji + 1, emoji + 2)  # the colour of the skin alone
        it.page.keyboard.press("1")
        accent = TANGLED.index("\u0301")
        it.select(accent, accent + 1)
        it.page.keyboard.press("2")
        quotes = it.page.locator("ol.marks .quote bdi").all_inner_texts()
    assert quotes == [ASTRONAUT, "e\u0301"]


def test_spans_by_keyboard_and_a_row_that_was_searched(browser: Any, tmp_path: Path) -> None:
    with opened(browser, tmp_path, kind="spans", n=2, texts={0: TANGLED}) as it:
        it.waits("0 of 2 rated")
        press = it.page.keyboard.press
        it.page.locator("#answers .text").focus()
        press("Control+ArrowRight")
        for _ in range(5):
            press("Shift+ArrowRight")
        press("2")
        it.waits(" flag"[1:], "ol.marks .quote bdi")
        press("ArrowDown")
        it.page.locator("input[type=search]").focus()
        it.page.keyboard.type("river \" OR * '")
        press("Enter")
        it.waits("Tell me of the river.", ".causes")
        it.page.locator(".row", has_text="river").locator("input").focus()
        press("Space")
        press("Enter")
        it.waits("1 of 2 rated")
        press("0")
        press("Enter")
        it.waits("All done")
        it.waits(SAVED, "#state")
        assert it.said == []
        first, second = (one["answer"] for one in kept(tmp_path))
    assert first["spans"][0]["cause"] == {"kind": "row", "row_id": "row-1"}
    assert first["spans"][0]["label"] == "not_useful"
    span = first["spans"][0]
    assert TANGLED[span["start"] : span["end"]] == span["text"]
    assert span["end"] - span["start"] == 5
    assert second == {"spans": [], "nothing_wrong": True}


def test_a_very_long_answer(browser: Any, tmp_path: Path) -> None:
    text = " ".join(f"Sentence {k} 🙂 of many.{chr(10) * (k % 7 == 0)}" for k in range(8000))
    with opened(browser, tmp_path, kind="spans", n=1, texts={0: text}) as it:
        it.waits("0 of 1 rated")
        for where in (0, len(text) // 2, len(text) - 9):
            it.select(where, where + 9)
            it.page.keyboard.press("1")
            it.page.locator("ol.marks li.active .causes > label").first.click()
        it.page.keyboard.press("Enter")
        it.waits("All done")
        it.waits(SAVED, "#state")
        found = kept(tmp_path)[0]["answer"]["spans"]
    assert [span["start"] for span in found] == [0, len(text) // 2, len(text) - 9]


def test_without_a_network_ratings_wait_and_are_sent_once(browser: Any, tmp_path: Path) -> None:
    with opened(browser, tmp_path, kind="pairs", n=4) as it:
        it.waits("0 of 4 rated")
        it.page.wait_for_load_state("networkidle")
        it.context.set_offline(True)
        for done in (1, 2):
            for key in ("1", "1", "1", "Enter"):
                it.page.keyboard.press(key)
            it.waits(f"{done} of 4 rated")
        it.waits("No connection: 2 changes kept", "#state")
        assert kept(tmp_path) == []
        it.context.set_offline(False)
        it.waits(SAVED, "#state")
        assert [one["item_id"] for one in kept(tmp_path)] == ["i0", "i1"]
        it.server.kill()
        for key in ("2", "2", "2", "Enter"):
            it.page.keyboard.press(key)
        it.waits("No connection: 1 change kept", "#state")
        it.server.start()
        it.page.reload()
        it.waits("3 of 4 rated")
        it.waits(SAVED, "#state")
        store = open_store(tmp_path / "study.sqlite")
        assert [one["item_id"] for one in store.ratings()] == ["i0", "i1", "i2"]
        store.close()


def test_a_reply_that_is_lost_does_not_double_a_rating(browser: Any, tmp_path: Path) -> None:
    with opened(browser, tmp_path, kind="outcomes", n=2) as it:
        it.waits("0 of 2 rated")
        lost = []

        def lose(route: Any) -> None:
            if lost:
                route.continue_()
                return
            lost.append(route.fetch().status)  # the server has it; the page never hears
            route.abort()

        it.page.route("**/api/ratings", lose)
        it.page.keyboard.press("3")
        it.page.keyboard.press("Enter")
        it.waits("1 of 2 rated")
        it.waits(SAVED, "#state")
        assert lost == [200]
        store = open_store(tmp_path / "study.sqlite")
        assert len(store.ratings()) == 1
        store.close()


def test_a_pilot_item_is_followed_by_what_the_organisers_say(browser: Any, tmp_path: Path) -> None:
    with opened(browser, tmp_path, kind="pairs", n=2, pilot=1) as it:
        it.waits("0 of 2 rated, pilot")
        for key in ("1", "1", "1", "Enter"):
            it.page.keyboard.press(key)
        it.waits("Because the organisers say so.", "#feedback")
        assert "better: answer 1" in it.page.locator("#feedback").inner_text()
        it.page.keyboard.press("Enter")
        it.waits("1 of 2 rated, batch 1")


@pytest.mark.parametrize("person", ["a0", "a1"])
def test_what_is_first_is_what_is_shown_first(browser: Any, tmp_path: Path, person: str) -> None:
    with opened(browser, tmp_path, kind="pairs", n=1, person=person) as it:
        it.waits("0 of 1 rated")
        first = it.page.locator("#answers article").first.inner_text()
    assert ("First answer" in first) == (person == "a0")


def test_hostile_text_stays_text(browser: Any, tmp_path: Path) -> None:
    with opened(
        browser, tmp_path, kind="spans", n=1, texts={0: HOSTILE}, size=NARROW, guidelines=HOSTILE
    ) as it:
        it.waits("<script>", "#guidelines")
        it.page.keyboard.press("Escape")
        it.waits("<script>", "#answers")
        it.waits("<script>", "#prompt")
        assert it.page.title() == "A study of answers"
        assert it.page.locator("img").count() == 0
        assert "⟨U+202E⟩" in it.page.locator("#answers").inner_text()
        assert it.page.evaluate("document.documentElement.scrollWidth") <= 360
        assert it.said == []


def test_organiser_sees_progress_and_adjudicator_decides(browser: Any, tmp_path: Path) -> None:
    with opened(browser, tmp_path, role="organiser", person="o", kind="pairs", n=2) as it:
        store = open_store(tmp_path / "study.sqlite")
        people = {one.person_id: one for one in store.people()}
        for name in ("a0", "a1"):  # a1 sees the answers in reverse: the two disagree
            store.save(people[name], Rating(**rating("pairs", 0, note=HOSTILE)))
        store.close()
        it.page.locator("#refresh").click()
        it.waits("1 of 2 (50%)")
        it.waits("Krippendorff")
        it.page.locator("#apart button").click()
        it.waits("Person a1: better: answer 2", "#compared")
        it.page.keyboard.press("Escape")
        assert "secret-model" not in it.page.content()
        token = it.tokens["j"]  # type: ignore[attr-defined]
        other = Opened(browser, it.server, "adjudicator", token, viewport=NARROW)
        other.waits("rater 2: better: answer 2")
        assert "Person a1" not in other.page.content()
        for key in ("2", "2", "2", "Enter"):
            other.page.keyboard.press(key)
        other.waits("All done")
        other.waits(SAVED, "#state")
        it.page.locator("#refresh").click()
        it.waits("decided", "#apart")
        assert it.said == []
        assert other.said == []
        other.close()


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["pairs", "spans", "outcomes", "aspects"])
def test_fits_and_nothing_serious_for_accessibility(
    browser: Any, tmp_path: Path, kind: str, scheme: str, size: Any
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    # axe is injected as a script, which the page's own policy forbids
    options = {"color_scheme": scheme, "bypass_csp": True}
    with opened(browser, tmp_path, kind=kind, n=2, texts={0: TANGLED}, size=size,
                guidelines="# Read\nAll of it.", browser_options=options) as it:  # fmt: skip
        it.waits("All of it.", "#guidelines")
        assert serious(axe, it.page) == []
        it.page.keyboard.press("Escape")
        it.waits("0 of 2 rated")
        it.page.keyboard.press("1")
        if kind == "spans":
            it.select(10, 30)
            it.page.locator("#marker button").first.wait_for()
            assert serious(axe, it.page) == []
            it.page.keyboard.press("1")
        assert serious(axe, it.page) == []
        assert it.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        it.page.screenshot(path=tmp_path / f"{kind}-{scheme}-{size['width']}.png", full_page=True)
        organiser = Opened(
            browser, it.server, "organiser", it.tokens["o"], viewport=size, **options
        )  # type: ignore[attr-defined]
        organiser.waits("0 of 2 (0%)")
        assert serious(axe, organiser.page) == []
        assert organiser.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        organiser.page.screenshot(path=tmp_path / f"organiser-{scheme}-{size['width']}.png")
        organiser.close()


def serious(axe: Any, page: Any) -> list[Any]:
    """What axe finds serious or critical."""
    found = axe.Axe().run(page).response["violations"]
    bad = [one for one in found if one["impact"] in ("serious", "critical")]
    return [(one["id"], [node["html"][:120] for node in one["nodes"][:3]]) for one in bad]


def test_a_phone_marks_by_finger(browser: Any, tmp_path: Path) -> None:
    options = {"has_touch": True, "is_mobile": True, "device_scale_factor": 2}
    with opened(browser, tmp_path, kind="spans", n=1, size=NARROW, browser_options=options) as it:
        it.waits("0 of 1 rated")
        it.select(0, 5)
        it.page.locator("#marker button").first.tap()
        it.page.locator("ol.marks li.active .causes > label").first.tap()
        it.page.locator("#save").tap()
        it.waits("All done")
        it.waits(SAVED, "#state")
        assert kept(tmp_path)[0]["answer"] == answer("spans")


def command(*arguments: Any) -> None:
    """One command line in this process."""
    from typer.testing import CliRunner

    from aftertune.cli.main import app

    done = CliRunner().invoke(app, ["study", *map(str, arguments)])
    assert done.exit_code == 0, done.output


def test_create_annotate_lose_the_network_finish_see_the_analysis(
    browser: Any, tmp_path: Path
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    asked = ["--kind", "pairs", "--annotators", "Ann,Ben", "--aspects", "depth", "--pilot", 1]
    for name in ("one", "two"):
        records = [{"instruction": f"Item {n}?", "output": f"{name} {n} 🙂"} for n in range(6)]
        (tmp_path / f"{name}.json").write_text(json.dumps(records))
        asked += ["--responses", f"{name}={tmp_path / name}.json"]
    study, out = tmp_path / "study", tmp_path / "out"
    command("create", study, *asked, "--repeats", 1, "--out", out)
    people = [line.split("\t") for line in (study / "links.txt").read_text().splitlines()]
    tokens = {name: address.partition("#")[2] for _, name, address in people}
    with served(study / "study.sqlite") as server:
        for name in ("Ann", "Ben"):
            rate_all_with_a_lost_network(browser, server, tokens[name])
        organiser = Opened(browser, server, "organiser", tokens["organiser"], viewport=WIDE)
        organiser.waits("5 of 5 items have a rating")
        assert organiser.said == []
        organiser.close()
    store = open_store(study / "study.sqlite")
    rated = [(one["person_id"], one["item_id"]) for one in store.ratings()]
    store.close()
    assert len(rated) == len(set(rated)) == 2 * 7  # 1 pilot, 5 more and 1 again, each once
    command("analyze", study, "--out", out, "--draws", 200)
    page = next(out.glob("report-*/report.html"))
    for size in (WIDE, NARROW):
        context = browser.new_context(viewport=size, bypass_csp=True)
        shown = context.new_page()
        shown.goto(page.as_uri())
        text = shown.locator("body").inner_text()
        assert "10 ratings of 5 items by 2 annotators; everything that was asked for" in text
        assert "All in all, one against two" in text
        assert serious(axe, shown) == []
        assert shown.evaluate("document.documentElement.scrollWidth") <= size["width"]
        context.close()


def rate_all_with_a_lost_network(browser: Any, server: Server, token: str) -> None:
    """Seven items, answer 1 always; the network is away after the second."""
    it = Opened(browser, server, "annotator", token, viewport=NARROW)
    it.waits("You see a request and two answers", "#guidelines")
    it.page.keyboard.press("Escape")
    it.waits("0 of 7 rated")
    it.page.wait_for_load_state("networkidle")
    for done in range(1, 8):
        if done == 3:
            it.waits(SAVED, "#state")
            it.context.set_offline(True)
        for key in ("1", "1", "Enter"):
            it.page.keyboard.press(key)
        it.waits("All done" if done == 7 else f"{done} of 7 rated")
        if done == 4:
            it.waits("No connection: 2 changes kept", "#state")
            it.context.set_offline(False)
            it.waits(SAVED, "#state")
    it.waits(SAVED, "#state")
    it.page.reload()
    it.waits("All done")
    it.page.locator("#previous").click()  # what was rated can be looked at
    it.waits("What was asked")
    assert it.page.locator("#form input:checked").count() == 2
    it.close()


def test_guidelines_run_on_and_their_button_stays_in_sight(browser: Any, tmp_path: Path) -> None:
    told = "# Read\nOne line\nruns on.\n\n- an entry\n  goes on\n- another\n\n" + "More. " * 2000
    with opened(browser, tmp_path, kind="pairs", n=1, size=NARROW, guidelines=told) as it:
        it.waits("One line runs on.", "#guidelines p")
        assert it.page.locator("#guidelines li").all_inner_texts() == [
            "an entry goes on",
            "another",
        ]
        button = it.page.locator("#guidelines button")
        box = button.bounding_box()
        assert 0 < box["y"] < NARROW["height"] - box["height"]
        button.click()
        it.waits("0 of 1 rated")
        labels = it.page.locator("#form fieldset").first.locator("label").all()
        assert len({one.bounding_box()["y"] for one in labels}) == 1  # three options in a row


def test_the_ends_of_an_answer_by_keyboard(browser: Any, tmp_path: Path) -> None:
    with opened(browser, tmp_path, kind="spans", n=2, texts={0: TANGLED}) as it:
        it.waits("0 of 2 rated")
        it.page.locator("#answers .text").focus()
        it.page.keyboard.press("Control+End")
        it.page.keyboard.press("Control+Shift+Home")
        it.page.keyboard.press("1")
        it.page.locator("ol.marks li.active .causes > label").first.click()
        it.page.keyboard.press("Enter")
        it.waits("1 of 2 rated")
        it.waits(SAVED, "#state")
        assert kept(tmp_path)[0]["answer"]["spans"][0]["text"] == TANGLED


def test_a_link_that_is_none_offers_nothing(browser: Any, tmp_path: Path) -> None:
    with opened(browser, tmp_path, kind="pairs", n=1) as it:
        other = Opened(browser, it.server, "annotator", "nobody", viewport=WIDE)
        other.waits("this link is not one of this study", "#notice")
        assert not other.page.locator("#save").is_visible()
        token = it.tokens["j"]  # type: ignore[attr-defined]
        idle = Opened(browser, it.server, "adjudicator", token, viewport=WIDE)
        idle.waits("There is nothing for you to rate yet.")
        assert not idle.page.locator("text=All done").is_visible()


def test_an_empty_answer_says_so(browser: Any, tmp_path: Path) -> None:
    with opened(browser, tmp_path, kind="spans", n=1, texts={0: " \n"}) as it:
        it.waits("This answer is white space alone.")
