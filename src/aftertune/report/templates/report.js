// The answers, side by side: choose a prompt, look at any token.
//
// Everything that a model or a user wrote reaches the page through textContent.
// Data (see answers.py): `pieces`, `models`, `prompts[].answers[]`, one per model or null; an
// answer's tokens are parallel columns, its units are runs of tokens that share a character.
"use strict";
(() => {
  const source = document.getElementById("answers-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const CATEGORIES = ["unshifted", "marginal", "shifted", "not scored"];
  const byId = (id) => document.getElementById(id);
  const select = byId("prompt"), turns = byId("turns"), answers = byId("answers"), panel = byId("panel");
  let shown = 0; // the prompt on the page
  let units = []; // every unit on the page: {answer, model, from, to, element}
  let current = -1; // the unit in the panel
  let held = false; // chosen by tap or keyboard: hovering elsewhere changes nothing

  const make = (tag, kind, text) => {
    const element = document.createElement(tag);
    if (kind) element.className = kind;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const percent = (p) => p === null || p < 0 ? "–" : p === 0 ? "<0.01%" : p >= 10000 ? "≈100%"
    : (p / 100).toFixed(p < 1000 ? 2 : 1) + "%";
  const nats = (n) => n === null ? "–" : n < 0 ? "∞" : n === 0 ? "0" : n < 0.0001 ? "<0.0001" : n < 0.1 ? n.toFixed(4) : n.toFixed(2);
  const scaled = (n, by) => n === null ? null : n / by; // stored as whole numbers; -1 is infinite
  const rank = (r) => r === null ? "outside the common vocabulary" : "rank " + r.toLocaleString("en");
  const swatch = (model) => {
    const sample = document.querySelector("#swatches .m" + model + " svg");
    return sample ? sample.cloneNode(true) : make("span");
  };

  // -- one prompt ---------------------------------------------------------------------------------
  function show(index) {
    shown = Math.max(0, Math.min(data.prompts.length - 1, index));
    const prompt = data.prompts[shown];
    select.value = String(shown);
    byId("previous").disabled = shown === 0;
    byId("next").disabled = shown === data.prompts.length - 1;
    turns.replaceChildren(...prompt.turns.map(([role, content]) => {
      const turn = make("div", "turn");
      turn.append(make("b", "", role), make("div", "", content));
      return turn;
    }));
    units = [];
    close();
    answers.replaceChildren(...data.models.map((model, place) => card(model, place, prompt.answers[place])));
  }

  function card(model, place, given) {
    const box = make("article", "answer m" + model.style);
    const title = make("h3");
    title.append(swatch(model.style), make("span", "", model.name));
    box.append(title);
    if (!given) {
      box.append(make("p", "facts", "This model has no answer to this prompt."));
      return box;
    }
    box.append(make("p", "facts", given.facts));
    if (given.units.length === 0) {
      box.append(make("p", "facts", "The answer is empty."));
      return box;
    }
    const list = make("div", "tokens");
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "Answer of " + model.name + ", token by token");
    list.setAttribute("aria-describedby", "keys");
    const special = new Set(given.special);
    const counts = new Map(given.counts);
    let token = 0, first = true;
    given.units.forEach((text, at) => {
      const n = counts.has(at) ? counts.get(at) : 1;
      if (n === 0) { // text between tokens: nothing to look at
        list.append(text);
        return;
      }
      let category = -1;
      for (let k = token; k < token + n; k++) category = Math.max(category, Number(given.category[k]));
      const element = make("span", "tok c" + category + (special.has(at) ? " special" : ""));
      const bare = text.length > 1 && text[0] === " " ? text.slice(1) : text;
      if (bare !== text) list.append(" "); // the space between words stays uncoloured
      fill(element, bare);
      element.setAttribute("role", "option");
      element.setAttribute("aria-selected", "false");
      element.tabIndex = first ? 0 : -1;
      element.dataset.unit = String(units.length);
      units.push({answer: given, model, from: token, to: token + n, element, list});
      list.append(element);
      token += n;
      first = false;
    });
    box.append(list);
    return box;
  }

  function fill(element, text) { // newlines get a mark that can be pointed at
    text.split("\n").forEach((line, at) => {
      if (at > 0) {
        const mark = make("span", "newline", "↵");
        element.append(mark, "\n");
      }
      if (line) element.append(line);
    });
  }

  // -- one token ----------------------------------------------------------------------------------
  function look(index, token) {
    if (!units[index]) return;
    if (units[current]) unmark(units[current]);
    current = index;
    const unit = units[index];
    unit.element.classList.add("current");
    unit.element.setAttribute("aria-selected", "true");
    const {answer} = unit, k = token === undefined ? strongest(unit) : token;
    const category = Number(answer.category[k]);
    const head = make("div", "head");
    head.append(make("span", "piece", data.pieces[answer.piece[k]]),
      make("span", "tag c" + category, CATEGORIES[category]),
      make("span", "soft", unit.model.name + " · token " + (k + 1).toLocaleString("en") + " of "
        + answer.piece.length.toLocaleString("en") + " · sentence " + (answer.sentence[k] + 1)));
    if (unit.to - unit.from > 1) head.append(parts(index, unit, k));
    const say = make("p", "say", "KL(tuned from base) " + nats(scaled(answer.kl[k], 1e4))
      + " nats. This token: base " + percent(answer.base_prob[k]) + ", " + rank(answer.base_rank[k])
      + "; tuned " + percent(answer.tuned_prob[k]) + ", " + rank(answer.tuned_rank[k]) + "."
      + (answer.tuned_rank[k] === 1 ? "" : " Tuned’s first choice is, for base, "
        + rank(answer.rank[k]) + " at " + percent(answer.first_prob[k]) + ".")
      + " Entropy: base " + nats(scaled(answer.base_entropy[k], 1e3)) + ", tuned "
      + nats(scaled(answer.tuned_entropy[k], 1e3)) + " nats.");
    const tops = make("div", "tops");
    tops.append(preferred("base", "What base preferred", answer.base_top[k], answer.piece[k]),
      preferred("tuned", "What tuned preferred", answer.tuned_top[k], answer.piece[k]));
    byId("panel-body").replaceChildren(head, say, tops);
    panel.hidden = false;
  }

  function strongest(unit) { // of several tokens of one character, the one that moved most
    let best = unit.from;
    for (let k = unit.from; k < unit.to; k++) if (unit.answer.kl[k] > unit.answer.kl[best]) best = k;
    return best;
  }

  function parts(index, unit, chosen) {
    const box = make("div", "parts");
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", "Tokens of this character");
    for (let k = unit.from; k < unit.to; k++) {
      const button = make("button", "", (k - unit.from + 1) + " of " + (unit.to - unit.from));
      button.type = "button";
      button.setAttribute("aria-pressed", String(k === chosen));
      button.addEventListener("click", () => {
        held = true;
        look(index, k);
        byId("panel-body").querySelector('[aria-pressed="true"]').focus();
      });
      box.append(button);
    }
    return box;
  }

  function preferred(kind, title, top, here) { // top: piece, probability in 1/10,000, piece, ...
    const box = make("div", kind), list = make("ol");
    for (let k = 0; k < top.length; k += 2) {
      const item = make("li", top[k] === here ? "here" : "");
      const track = make("span", "track"), bar = make("span", "bar");
      bar.style.width = Math.max(0.5, top[k + 1] / 100) + "%";
      track.append(bar);
      const word = make("span", "word", data.pieces[top[k]]);
      word.title = data.pieces[top[k]];
      item.append(word, track, make("span", "p", percent(top[k + 1])));
      list.append(item);
    }
    box.append(make("h4", "", title), list);
    return box;
  }

  function unmark(unit) {
    unit.element.classList.remove("current");
    unit.element.setAttribute("aria-selected", "false");
  }

  function close() {
    if (units[current]) unmark(units[current]);
    current = -1;
    held = false;
    panel.hidden = true;
  }

  function leave() { // the focus goes back to the token before the panel goes
    const unit = units[current];
    if (unit && panel.contains(document.activeElement)) unit.element.focus({preventScroll: true});
    close();
  }

  function move(from, to) { // one tab stop per answer: the unit last visited
    const unit = units[to];
    if (!unit || unit.list !== units[from].list) return;
    units[from].element.tabIndex = -1;
    unit.element.tabIndex = 0;
    unit.element.focus();
  }

  const unitOf = (event) => {
    const element = event.target instanceof Element ? event.target.closest(".tok") : null;
    return element ? Number(element.dataset.unit) : -1;
  };

  answers.addEventListener("mouseover", (event) => {
    const index = unitOf(event);
    if (index >= 0 && !held && index !== current) look(index);
  });
  answers.addEventListener("focusin", (event) => {
    const index = unitOf(event);
    if (index < 0) return;
    look(index);
    held = true;
  });
  answers.addEventListener("click", (event) => {
    const index = unitOf(event);
    if (index < 0) return;
    for (const other of units) if (other.list === units[index].list) other.element.tabIndex = -1;
    units[index].element.tabIndex = 0;
    look(index);
    held = true;
    units[index].element.focus({preventScroll: true});
  });
  answers.addEventListener("keydown", (event) => {
    const index = unitOf(event);
    if (index < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const {list} = units[index];
    const first = units.findIndex((u) => u.list === list);
    const last = units.findLastIndex((u) => u.list === list);
    const target = {ArrowRight: index + 1, ArrowLeft: index - 1, Home: first, End: last,
      ArrowDown: below(index, 1), ArrowUp: below(index, -1)}[event.key];
    if (target === undefined) return;
    event.preventDefault();
    move(index, target);
  });

  function below(index, way) { // the nearest unit on the next or previous line of the same answer
    const from = units[index].element.getBoundingClientRect();
    let line = null, best = index, nearest = Infinity;
    for (let k = index + way; units[k] && units[k].list === units[index].list; k += way) {
      const box = units[k].element.getClientRects()[0];
      if (!box || (way > 0 ? box.top < from.bottom - 4 : box.bottom > from.top + 4)) continue;
      if (line === null) line = box.top;
      if (Math.abs(box.top - line) > 6) break;
      const distance = Math.abs(box.left - from.left);
      if (distance < nearest) [nearest, best] = [distance, k];
    }
    return best;
  }

  byId("section-answers").addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !panel.hidden) leave();
    if (event.target === select || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "n" || event.key === "p") {
      event.preventDefault();
      step(event.key === "n" ? 1 : -1);
    }
  });

  function step(way) { // keep the focus in the section when the token that had it goes
    const inside = answers.contains(document.activeElement) || panel.contains(document.activeElement);
    show(shown + way);
    if (inside) select.focus({preventScroll: true});
  }

  data.prompts.forEach((prompt, at) => {
    const option = make("option", "", prompt.label);
    option.value = String(at);
    select.append(option);
  });
  select.addEventListener("change", () => show(Number(select.value)));
  byId("previous").addEventListener("click", () => show(shown - 1));
  byId("next").addEventListener("click", () => show(shown + 1));
  byId("close").addEventListener("click", leave);
  show(0);
})();
