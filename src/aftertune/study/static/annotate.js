// The page of a rater: one item after the other, each kept here until it is on the study's disk.

import { Caret } from "./caret.js";
import { Kept, newId } from "./kept.js";
import { make, Passage, visible } from "./passages.js";
import { Questions } from "./questions.js";
import { answerText, messages, paragraphs } from "./said.js";
import { Spans } from "./spans.js";
import { ask, Refused, Sender, tokenOfLink } from "./talk.js";

const AHEAD = 10; // items fetched before they are needed, so that a lost network does not matter
const HELP = [
  ["1 to 5", "answer the question that is marked; in spans, what is wrong with the selected words"],
  ["0", "spans: nothing is wrong"],
  ["Tab, Shift+Tab", "to the next and the previous field"],
  ["↑ ↓", "to the previous and the next question or mark"],
  ["Arrows among options", "choose: ← and → in a row, ↑ and ↓ in a column"],
  ["Arrows in an answer", "move in its text; with Shift they select, with Ctrl by words"],
  ["Del", "take the open mark away"],
  ["Enter", "save, and go on"],
  ["← →", "to the previous and the next item"],
  ["u", "undo: take the last rating back"],
  ["n", "write a note"],
  ["g, ?", "guidelines, keys"],
];
const at = (id) => document.getElementById(id);
const token = tokenOfLink();

let study, kept, sender, questions, item, place, shownAt, seconds;
const items = new Map(); // item_id -> promise of the item
const history = []; // {item_id, rating_id} of what was rated since the page was loaded

async function begin() {
  try {
    study = await ask(token, "/api/study");
  } catch (error) {
    notice(error instanceof Refused ? error.message : "There is no connection to the study. Load the page again.");
    return;
  }
  kept = new Kept(`aftertune study ${study.study_id} ${study.person.person_id} `);
  for (const [, entry] of kept.waiting()) applyWaiting(entry);
  sender = new Sender(token, kept, { heard, refused, changed: showState });
  at("name").textContent = visible(study.name);
  at("guidelines-text").replaceChildren(...paragraphs(study.guidelines || "There are none for this study."));
  at("help-list").replaceChildren(...HELP.flatMap(([key, what]) => [make("dt", {}, key), make("dd", {}, what)]));
  at("tools").hidden = at("foot").hidden = false;
  listen();
  sender.send();
  if (study.guidelines && !kept.get("guidelines read")) open("guidelines");
  kept.set("guidelines read", true);
  await goOn(-1);
}

// What this browser has yet to send counts as done.
function applyWaiting(entry) {
  const found = study.items.find((one) => one.item_id === entry.item_id);
  if (found) found.rated = entry.kind === "rating" ? 1 : 0;
}

function fetched(item_id) {
  if (!items.has(item_id)) {
    const promise = ask(token, `/api/items/${encodeURIComponent(item_id)}`);
    items.set(item_id, promise);
    promise.catch(() => items.delete(item_id));
  }
  return items.get(item_id);
}

async function fetchAhead() {
  const next = study.items.slice(place + 1).filter((one) => !one.rated).slice(0, AHEAD);
  for (const one of next) {
    try {
      await fetched(one.item_id);
    } catch {
      return;
    }
  }
}

// To the first item behind `from` that is not rated, or anywhere.
async function goOn(from) {
  const open = (one) => !one.rated;
  const behind = study.items.findIndex((one, k) => k > from && open(one));
  const next = behind >= 0 ? behind : study.items.findIndex(open);
  if (next >= 0) await show(next);
  else finish();
}

async function show(k) {
  if (k < 0 || k >= study.items.length) return;
  leave();
  place = k;
  const { item_id } = study.items[k];
  at("finished").hidden = true;
  at("marker").hidden = true;
  questions = null;
  say("");
  try {
    item = await fetched(item_id);
  } catch (error) {
    item = null;
    at("item").hidden = true;
    showProgress();
    notice(error instanceof Refused ? error.message : "There is no connection; this item comes when it is back.");
    if (!(error instanceof Refused)) setTimeout(() => place === k && !item && show(k), 3000);
    return;
  }
  if (place !== k) return; // the person went on while it came
  notice("");
  build();
  showProgress(); // with the item, so that both speak of the same
  fetchAhead();
}

function build() {
  const draft = kept.get(`draft ${item.item_id}`);
  const before = draft ?? waitingRating() ?? item.rating;
  seconds = before?.seconds ?? 0;
  shownAt = document.hidden ? null : performance.now();
  at("prompt").replaceChildren(...messages(item.prompt));
  at("note").value = before?.note ?? "";
  const texts = item.answers.map((text, k) => frame(text, k));
  at("answers").replaceChildren(...texts.map((one) => one.box));
  at("answers").className = `of-${texts.length}`;
  showRaters();
  const form = at("form");
  form.className = item.kind;
  questions = item.kind === "spans"
    ? new Spans(study, item, before?.answer, {
        form, marker: at("marker"), passage: texts[0].passage, changed: keepDraft,
        search: (words) => ask(token, `/api/rows?words=${encodeURIComponent(words)}`),
      })
    : new Questions(form, study, item, before?.answer, keepDraft);
  at("item").hidden = false;
  at("save").hidden = false;
  scrollTo(0, 0);
  at("main").focus({ preventScroll: true });
  showState();
}

// A rating that this browser has yet to send, perhaps from before the page was loaded.
function waitingRating() {
  const sent = kept.waiting().map(([, entry]) => entry).filter((entry) => entry.item_id === item.item_id);
  const last = sent.at(-1);
  if (last?.kind === "rating") item.rating = last.body;
  return last?.kind === "rating" ? last.body : null;
}

function frame(text, k) {
  const alone = item.answers.length === 1;
  const content = make("div", { class: "text", dir: "auto" });
  const title = make("h2", { id: `answer-${k}` }, alone ? "The answer" : `Answer ${k + 1}`);
  const empty = text.trim() ? null : make("p", { class: "hint" }, text ? "This answer is white space alone." : "This answer is empty.");
  const box = make("article", { "aria-labelledby": `answer-${k}` }, title, make("div", { class: "frame" }, content), empty);
  if (item.kind === "spans") {
    content.tabIndex = 0;
    content.setAttribute("role", "group");
    content.setAttribute("aria-label", "Text of the answer; Shift and arrows select in it");
    new Caret(content);
  }
  return { box, passage: new Passage(content, text) };
}

function showRaters() {
  const raters = item.raters ?? [];
  at("raters").hidden = !raters.length;
  const lines = raters.map((one) => make("li", {}, make("strong", {}, `${one.name}: `),
    ...answerText(item, one.answer, study.labels), one.note ? make("p", { class: "text" }, visible(one.note)) : null));
  at("raters").replaceChildren(make("h2", {}, "What the raters said"), make("ul", {}, ...lines));
}

// Seconds that the item was to be seen; the clock stands while the page is hidden.
function elapsed() {
  if (shownAt !== null && shownAt !== undefined) {
    seconds += (performance.now() - shownAt) / 1000;
    shownAt = document.hidden ? null : performance.now();
  }
  return Math.round(seconds * 10) / 10;
}

function keepDraft() {
  if (!questions) return;
  const draft = { answer: questions.answer, note: at("note").value, seconds: elapsed() };
  kept.set(`draft ${item.item_id}`, draft);
  say("");
  showState();
}

// Time counts even where nothing was answered yet.
function leave() {
  if (questions && kept.get(`draft ${item.item_id}`)) keepDraft();
}

function save() {
  if (!questions) return;
  const missing = questions.missing();
  if (missing.length) {
    say(`Still to answer: ${missing.map(visible).join(", ")}.`);
    questions.focusMissing();
    return;
  }
  const mine = place;
  if (kept.get(`draft ${item.item_id}`)) sendRating();
  goOn(mine);
}

function sendRating() {
  const body = {
    rating_id: newId(), item_id: item.item_id, answer: questions.answer,
    note: at("note").value, seconds: elapsed(),
  };
  sender.add({ kind: "rating", path: "/api/ratings", item_id: item.item_id, body });
  kept.remove(`draft ${item.item_id}`);
  history.push({ item_id: item.item_id, rating_id: body.rating_id });
  item.rating = { rating_id: body.rating_id, answer: body.answer, note: body.note, seconds: body.seconds };
  study.items[place].rated = 1;
  questions = null;
}

// Take the last rating back, and show its item with the answer still in its fields.
async function undo() {
  const last = history.pop() ?? (await lastBefore());
  if (!last) {
    say("There is nothing to undo.");
    return;
  }
  const k = study.items.findIndex((one) => one.item_id === last.item_id);
  leave();
  questions = null;
  const undone = await fetched(last.item_id);
  const { answer, note, seconds: spent } = undone.rating;
  kept.set(`draft ${last.item_id}`, { answer, note, seconds: spent });
  undone.rating = null;
  study.items[k].rated = 0;
  sender.add({ kind: "withdrawal", path: "/api/withdrawals", item_id: last.item_id, body: { rating_id: last.rating_id } });
  await show(k);
  say("Taken back. Change it and save again.");
}

// After the page was loaded again: the rated item that stands before this one.
async function lastBefore() {
  const end = at("finished").hidden ? place : study.items.length;
  const found = study.items.slice(0, end).reverse().find((one) => one.rated);
  if (!found) return null;
  try {
    const { rating } = await fetched(found.item_id);
    return rating && { item_id: found.item_id, rating_id: rating.rating_id };
  } catch {
    return null;
  }
}

function heard(entry, reply) {
  if (!reply.feedback || reply.again) return;
  const { answer, why } = reply.feedback;
  const parts = typeof answer === "string" ? [make("p", { class: "text" }, visible(answer))]
    : answer ? [make("p", {}, ...answerText({ kind: study.kind }, answer, study.labels))] : [];
  at("feedback-text").replaceChildren(...parts, ...paragraphs(why ?? ""));
  open("feedback");
}

function refused(entry, error) {
  notice(`A rating could not be saved: ${error.message} It stays on this device; tell the organisers.`);
}

function finish() {
  questions = null;
  item = null;
  at("item").hidden = true;
  at("marker").hidden = true;
  at("finished").hidden = false;
  at("save").hidden = true;
  const n = study.items.length;
  place = n; // behind the last one, so that ← leads back to it
  const more = study.person.role === "adjudicator" ? "Load the page again when annotators have rated more." : "";
  at("finished-title").textContent = n ? "All done. Thank you." : "There is nothing for you to rate yet.";
  at("finished-text").textContent = n ? `You rated all ${n} items. ${more}` : more;
  at("finished-more").hidden = !n;
  at("main").focus();
  showProgress();
  showState();
}

function showProgress() {
  const total = study.items.length;
  const done = study.items.filter((one) => one.rated).length;
  const { pilot, batch } = study.items[place] ?? {};
  const part = at("finished").hidden && place !== undefined ? (pilot ? ", pilot" : `, batch ${batch}`) : "";
  at("progress").textContent = `${done} of ${total} rated${part}`;
  at("bar").style.width = `${total ? (100 * done) / total : 0}%`;
  at("previous").disabled = !place;
  at("next").disabled = !(place < total - 1);
}

function showState() {
  const n = sender.count;
  const many = n === 1 ? "1 change" : `${n} changes`;
  let text = "All saved.";
  if (!sender.connected && n) text = `No connection: ${many} kept on this device, sent when it is back.`;
  else if (n) text = `Saving ${many}…`;
  else if (questions && item && kept.get(`draft ${item.item_id}`)) text = "Not saved yet.";
  if (!kept.lasts) text += " This browser keeps nothing: do not close the page before all is saved.";
  at("state").textContent = text;
  at("state").dataset.state = n ? (sender.connected ? "saving" : "offline") : "saved";
}

function say(text) {
  at("said").textContent = text;
  at("said").hidden = !text;
}

function notice(text) {
  at("notice").textContent = visible(text);
  at("notice").hidden = !text;
}

function open(id) {
  if (!at(id).open) at(id).showModal();
}

function listen() {
  at("save").addEventListener("click", save);
  at("undo").addEventListener("click", undo);
  at("previous").addEventListener("click", () => show(place - 1));
  at("next").addEventListener("click", () => show(place + 1));
  at("guidelines-open").addEventListener("click", () => open("guidelines"));
  at("help-open").addEventListener("click", () => open("help"));
  at("note").addEventListener("input", keepDraft);
  at("form").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("selectionchange", () => questions?.selectionChanged?.());
  document.addEventListener("visibilitychange", () => (document.hidden ? elapsed() : (shownAt ??= performance.now())));
  addEventListener("pagehide", leave);
  addEventListener("beforeunload", (event) => !kept.lasts && sender.count && event.preventDefault());
  document.addEventListener("keydown", keys);
}

function keys(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
  const { target } = event;
  if (target.matches("textarea, input[type=search]")) {
    if (event.key === "Escape") target.blur();
    return;
  }
  if (act(event, target)) event.preventDefault();
}

// Whether the key meant something.
function act(event, target) {
  const inRadio = target.matches("input[type=radio]");
  const isButton = target.matches("button, summary, a");
  if (event.key === "Enter") return isButton && target.id !== "save" ? false : (save(), true);
  // in a row of options ← and → choose, in a column all arrows do
  const inColumn = inRadio && (item?.kind === "spans" || item?.kind === "outcomes");
  if (inColumn && event.key.startsWith("Arrow")) return false;
  if (inRadio && (event.key === "ArrowLeft" || event.key === "ArrowRight")) return false;
  if (event.key === "ArrowLeft") return (show(place - 1), true);
  if (event.key === "ArrowRight") return (show(place + 1), true);
  if (event.key === "u") return (undo(), true);
  if (event.key === "g") return (open("guidelines"), true);
  if (event.key === "?") return (open("help"), true);
  if (event.key === "n" && item) return (at("note").focus(), true);
  return questions?.key(event) ?? false;
}

begin();
