// Marking what is wrong in an answer, and saying which row it comes from.

import { make, visible } from "./passages.js";

export class Spans {
  // parts: {form, marker, passage, search(words) -> rows, changed()}.
  constructor(study, item, answer, parts) {
    Object.assign(this, parts, { study, item });
    this.spans = (answer?.spans ?? []).map((span) => ({ ...span }));
    this.nothingWrong = answer?.nothing_wrong ?? false;
    this.rows = new Map(item.candidates.map((row) => [row.row_id, row]));
    this.found = [];
    this.active = -1;
    this.chosen = null; // what was selected last, which a finger on a button may undo
    this.#buildMarker();
    this.#build();
    this.#render();
  }

  get answer() {
    return { spans: this.spans, nothing_wrong: this.nothingWrong };
  }

  missing() {
    if (!this.spans.length && !this.nothingWrong) return ["a mark, or “nothing is wrong”"];
    if (!this.item.asks_cause) return [];
    return this.spans.filter((span) => !span.cause).map((span) => `the cause of mark ${this.spans.indexOf(span) + 1}`);
  }

  focusMissing() {
    const open = this.spans.findIndex((span) => this.item.asks_cause && !span.cause);
    if (open < 0) this.nothing.focus();
    else this.#activate(open, true);
  }

  // The selection of the page changed: offer to mark it.
  selectionChanged() {
    const now = this.passage.selected();
    if (now) this.chosen = now;
    this.marker.hidden = !now;
  }

  key(event) {
    const labels = Object.keys(this.study.labels);
    const label = labels[Number(event.key) - 1];
    if (label) {
      const now = this.passage.selected();
      if (now) this.#add(now, label);
      else if (this.active >= 0) this.#relabel(this.active, label);
      return true;
    }
    if (event.key === "0") {
      this.#setNothing(!this.nothingWrong);
      return true;
    }
    if (event.key === "Delete" || event.key === "Backspace") {
      if (this.active >= 0) this.#remove(this.active);
      return true;
    }
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const next = this.active + (event.key === "ArrowDown" ? 1 : -1);
      if (this.spans[next]) this.#activate(next, true);
      return true;
    }
    return false;
  }

  #buildMarker() {
    const buttons = Object.entries(this.study.labels).map(([label, text], k) => {
      const button = make("button", { type: "button", class: label }, text, " ", make("kbd", {}, String(k + 1)));
      button.addEventListener("pointerdown", (event) => event.preventDefault());
      button.addEventListener("click", () => this.chosen && this.#add(this.chosen, label));
      return button;
    });
    this.marker.replaceChildren(make("span", {}, "Mark as"), ...buttons);
    this.marker.hidden = true;
  }

  #build() {
    this.nothing = make("input", { type: "checkbox", id: "nothing" });
    this.nothing.addEventListener("change", () => this.#setNothing(this.nothing.checked));
    this.list = make("ol", { class: "marks" });
    this.form.replaceChildren(
      make("h2", {}, "What is wrong"),
      make("p", { class: "hint" }, "Select words of the answer, by mouse, finger or keyboard (Shift and arrows), and say what is wrong with them."),
      make("label", { class: "check" }, this.nothing, make("span", {}, "Nothing is wrong ", make("kbd", {}, "0"))),
      this.list,
    );
  }

  #add(where, label) {
    const same = this.spans.findIndex((span) => span.start === where.start && span.end === where.end);
    document.getSelection().removeAllRanges();
    this.marker.hidden = true;
    this.chosen = null;
    if (same >= 0) {
      this.#relabel(same, label);
      return;
    }
    const span = { ...where, label, cause: null };
    this.spans.push(span);
    this.spans.sort((a, b) => a.start - b.start || a.end - b.end);
    this.nothingWrong = false;
    this.found = [];
    this.active = this.spans.indexOf(span);
    this.#told();
  }

  #relabel(k, label) {
    this.spans[k].label = label;
    this.active = k;
    this.#told();
  }

  #remove(k) {
    this.spans.splice(k, 1);
    this.active = -1;
    this.#told();
    this.passage.element.focus();
  }

  #setNothing(value) {
    if (value && this.spans.length) {
      this.nothing.checked = false; // marks say otherwise; take them away first
      return;
    }
    this.nothingWrong = value;
    this.#told();
  }

  #activate(k, focus) {
    this.active = k;
    this.found = [];
    this.#render();
    if (focus) this.list.children[k].querySelector("input, button").focus();
  }

  #told() {
    this.#render();
    this.changed();
  }

  #render() {
    this.nothing.checked = this.nothingWrong;
    const shown = this.spans.map((span, k) => ({ ...span, active: k === this.active }));
    this.passage.render(shown);
    this.list.replaceChildren(...this.spans.map((span, k) => this.#entry(span, k)));
  }

  #entry(span, k) {
    const isActive = k === this.active;
    const text = visible(span.text.length > 160 ? `${span.text.slice(0, 150)}…` : span.text);
    const open = make("button", { type: "button", class: "quote", "aria-expanded": String(isActive) },
      make("bdi", {}, text), make("span", { class: `tag ${span.label}` }, this.study.labels[span.label]),
      this.item.asks_cause ? make("span", { class: "tag" }, this.#causeText(span.cause)) : null);
    open.addEventListener("click", () => this.#activate(isActive ? -1 : k, false));
    const entry = make("li", { class: isActive ? "active" : "" }, open);
    if (isActive) entry.append(this.#details(span, k));
    return entry;
  }

  #causeText(cause) {
    if (!cause) return "cause?";
    return cause.kind === "row" ? `row ${cause.row_id}` : { none: "no row", unsure: "cause unsure" }[cause.kind];
  }

  #details(span, k) {
    const labels = Object.entries(this.study.labels).map(([label, text]) =>
      this.#radio(`label-${k}`, text, span.label === label, () => this.#relabel(k, label)));
    const remove = make("button", { type: "button" }, "Take this mark away ", make("kbd", {}, "Del"));
    remove.addEventListener("click", () => this.#remove(k));
    const parts = [make("fieldset", { class: "options" }, make("legend", {}, "What is wrong with it?"), make("div", {}, ...labels))];
    if (this.item.asks_cause) parts.push(this.#causes(span, k));
    return make("div", { class: "details" }, ...parts, remove);
  }

  #causes(span, k) {
    const set = (cause) => {
      span.cause = cause;
      this.changed();
      this.list.children[k].querySelector(".tag:last-child").textContent = this.#causeText(cause);
    };
    const rows = new Map([...this.item.candidates, ...this.found].map((row) => [row.row_id, row]));
    const named = span.cause?.row_id;
    if (named && !rows.has(named)) rows.set(named, this.rows.get(named) ?? { row_id: named, instruction: `row ${named}`, output: "" });
    const list = [...rows.values()].map((row) => this.#row(row, k, span.cause?.row_id === row.row_id,
      () => set({ kind: "row", row_id: row.row_id })));
    const others = [["none", "None of these rows, nor any that I found"], ["unsure", "I cannot say"]].map(([kind, text]) =>
      this.#radio(`cause-${k}`, text, span.cause?.kind === kind, () => set({ kind, row_id: null })));
    return make("fieldset", { class: "causes" }, make("legend", {}, "Which row does it come from?"),
      ...list, ...(this.item.search ? [this.#searchField(k)] : []), ...others);
  }

  #row(row, k, checked, choose) {
    const text = make("details", {}, make("summary", {}, "Read the whole row"),
      make("p", { class: "text", dir: "auto" }, visible(row.instruction)),
      make("p", { class: "text", dir: "auto" }, visible(row.output)));
    const short = visible(row.instruction.slice(0, 200)) + (row.instruction.length > 200 ? "…" : "");
    return make("div", { class: "row" }, this.#radio(`cause-${k}`, short, checked, choose), text);
  }

  #searchField(k) {
    const input = make("input", { type: "search", id: `search-${k}`, placeholder: "words of a row", maxlength: 300 });
    const said = make("span", { role: "status" });
    const go = async () => {
      said.textContent = "searching…";
      try {
        this.found = await this.search(input.value);
      } catch {
        said.textContent = "no connection";
        return;
      }
      for (const row of this.found) this.rows.set(row.row_id, row);
      const n = this.found.length;
      this.#render();
      const again = document.getElementById(`search-${k}`);
      again.value = input.value;
      again.focus();
      again.parentElement.querySelector("[role=status]").textContent = n ? `${n} rows` : "no row has these words";
    };
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      event.stopPropagation();
      go();
    });
    const button = make("button", { type: "button" }, "Search");
    button.addEventListener("click", go);
    return make("div", { class: "search" }, make("label", { for: `search-${k}` }, "Search the rows"), input, button, said);
  }

  #radio(name, text, checked, choose) {
    const input = make("input", { type: "radio", name });
    input.checked = checked;
    input.addEventListener("change", choose);
    return make("label", {}, input, make("span", { dir: "auto" }, text));
  }
}
