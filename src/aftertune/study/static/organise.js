// The organiser's page: how far people are, how far they agree, and where they do not.

import { make, visible } from "./passages.js";
import { answerText, messages } from "./said.js";
import { ask, Refused, tokenOfLink } from "./talk.js";

const EVERY_MS = 30_000;
const AT_ONCE = 50; // disagreements shown, and shown more of
const at = (id) => document.getElementById(id);
const token = tokenOfLink();
const LABELS = { not_factual: "not factual", not_useful: "not useful" };

let found;
let most = AT_ONCE;

async function look() {
  try {
    found = await ask(token, "/api/overview");
    show();
    at("notice").hidden = true;
  } catch (error) {
    at("notice").textContent = error instanceof Refused ? visible(error.message) : "There is no connection to the study.";
    at("notice").hidden = false;
  }
}

function show() {
  at("name").textContent = visible(found.name);
  at("progress").textContent = `${found.n_rated} of ${found.n_items} items have a rating`;
  at("people").replaceChildren(...found.people.map(person));
  const some = found.agreement.length > 0;
  at("agreement-text").textContent = some ? "The pilot and repeated items are left out. Intervals are over items."
    : "Nobody has rated an item that counts yet.";
  at("agreement").closest(".scroll").hidden = !some;
  at("agreement").replaceChildren(...found.agreement.map(line));
  const open = found.disagreements.filter((one) => !one.adjudicated).length;
  at("apart-text").textContent = found.disagreements.length
    ? `${found.disagreements.length} items, the farthest apart first; ${open} not yet decided by an adjudicator.`
    : "There are none so far.";
  at("apart").replaceChildren(...found.disagreements.slice(0, most).map(disagreement));
  at("more").hidden = found.disagreements.length <= most;
}

function person(one) {
  const share = one.items ? Math.round((100 * one.done) / one.items) : 0;
  const each = one.done ? `${(one.seconds / one.done).toFixed(1)} s` : "none yet";
  const last = one.last ? new Date(one.last).toLocaleString(undefined, { dateStyle: "short", timeStyle: "short" }) : "not yet";
  return make("tr", {}, make("th", { scope: "row" }, visible(one.name)), make("td", {}, `${one.done} of ${one.items} (${share}%)`),
    make("td", {}, each), make("td", {}, last));
}

function line(one) {
  const { estimate, low, high, n, reason } = one.interval;
  const value = estimate === null ? `none: ${reason}`
    : low === null ? `${estimate.toFixed(2)} (${reason})` : `${estimate.toFixed(2)} [${low.toFixed(2)}, ${high.toFixed(2)}]`;
  return make("tr", {}, make("th", { scope: "row" }, visible(one.aspect)), make("td", {}, one.measure),
    make("td", {}, value), make("td", {}, String(n)));
}

function disagreement(one) {
  const button = make("button", { type: "button", class: "quote" }, make("bdi", {}, visible(one.request)),
    make("span", { class: "tag" }, visible(one.about)), one.adjudicated ? make("span", { class: "tag" }, "decided") : null);
  button.addEventListener("click", () => compare(one.item_id));
  return make("li", {}, button);
}

async function compare(item_id) {
  let item;
  try {
    item = await ask(token, `/api/compared/${encodeURIComponent(item_id)}`);
  } catch {
    return;
  }
  const answers = item.answers.map((text, k) => make("article", {},
    make("h3", {}, item.answers.length > 1 ? `Answer ${k + 1}` : "The answer"), make("div", { class: "text", dir: "auto" }, visible(text))));
  const raters = item.raters.map((one) => make("li", {}, make("strong", {}, `${visible(one.name)}: `),
    ...answerText(item, one.answer, LABELS), one.note ? make("p", { class: "text" }, visible(one.note)) : null));
  at("compared-text").replaceChildren(...messages(item.prompt), ...answers, make("ul", {}, ...raters));
  at("compared").showModal();
}

at("refresh").addEventListener("click", look);
at("more").addEventListener("click", () => {
  most += AT_ONCE;
  show();
});
look();
setInterval(() => document.hidden || look(), EVERY_MS);
