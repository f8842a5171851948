// Questions that a number key answers: which of two, 1 to 5, or one of the outcomes.

import { make, visible } from "./passages.js";

// [{name, legend, options: [{value, text}]}] of an item of this study.
function asked(study, item) {
  const sides = [
    { value: "first", text: "Answer 1" },
    { value: "second", text: "Answer 2" },
    { value: "tie", text: "Equal" },
  ];
  if (item.kind === "pairs") {
    const names = ["overall", ...study.aspects];
    const legend = (name) => (name === "overall" ? "Which is better overall?" : `Better in ${name}?`);
    return names.map((name) => ({ name, legend: legend(name), options: sides }));
  }
  if (item.kind === "aspects") {
    const points = [1, 2, 3, 4, 5].map((n) => ({ value: n, text: String(n) }));
    points[0].text = "1 bad";
    points[4].text = "5 good";
    return study.aspects.map((name) => ({ name, legend: name, options: points }));
  }
  return [{ name: "outcome", legend: "What became of the two answers?", options: item.outcomes }];
}

export class Questions {
  // changed() is called whenever an answer changes.
  constructor(form, study, item, answer, changed) {
    this.item = item;
    this.changed = changed;
    this.values = Questions.valuesOf(item.kind, answer);
    this.asked = asked(study, item);
    this.fields = this.asked.map((one, k) => this.#field(one, k));
    form.replaceChildren(...this.fields);
    this.active = 0;
    this.#mark(Math.max(0, this.#open()));
  }

  static valuesOf(kind, answer) {
    if (!answer) return {};
    if (kind === "pairs") return { overall: answer.overall, ...answer.aspects };
    return kind === "aspects" ? { ...answer.scores } : { outcome: answer.outcome };
  }

  // The answer as the study keeps it; parts may be missing.
  get answer() {
    if (this.item.kind === "pairs") {
      const { overall, ...aspects } = this.values;
      return { overall, aspects };
    }
    return this.item.kind === "aspects" ? { scores: { ...this.values } } : { ...this.values };
  }

  // What is still to be answered, in words; empty when all is.
  missing() {
    return this.asked.filter((one) => this.values[one.name] === undefined).map((one) => one.name);
  }

  focusMissing() {
    this.#go(this.#open());
  }

  // Whether the key meant something here.
  key(event) {
    const number = Number(event.key);
    const options = this.asked[this.active].options;
    if (number >= 1 && number <= options.length) {
      this.#choose(this.active, options[number - 1].value);
      this.#go(this.#open(this.active));
      return true;
    }
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.#go(Math.min(this.fields.length - 1, Math.max(0, this.active + step)));
      return true;
    }
    return false;
  }

  #field(one, k) {
    const options = one.options.map((option, n) => {
      const input = make("input", {
        type: "radio", name: one.name, value: option.value,
      });
      input.checked = this.values[one.name] === option.value;
      input.addEventListener("change", () => this.#choose(k, option.value));
      return make("label", {}, input, make("span", {}, option.text, " ", make("kbd", {}, String(n + 1))));
    });
    const field = make("fieldset", { class: `options of-${one.options.length}` },
      make("legend", {}, visible(one.legend)), make("div", {}, ...options));
    field.addEventListener("focusin", () => this.#mark(k));
    return field;
  }

  #choose(k, value) {
    const { name, options } = this.asked[k];
    this.values[name] = value;
    const inputs = this.fields[k].querySelectorAll("input");
    inputs[options.findIndex((option) => option.value === value)].checked = true;
    this.changed();
  }

  // The first question without an answer, behind question `from` if there is one there; -1: none.
  #open(from = -1) {
    const open = (one) => this.values[one.name] === undefined;
    const behind = this.asked.findIndex((one, k) => k > from && open(one));
    return behind >= 0 ? behind : this.asked.findIndex(open);
  }

  #go(k) {
    if (k < 0) {
      document.getElementById("save").focus();
      return;
    }
    const inputs = [...this.fields[k].querySelectorAll("input")];
    (inputs.find((input) => input.checked) ?? inputs[0]).focus();
    this.#mark(k);
  }

  #mark(k) {
    this.active = k;
    this.fields.forEach((field, n) => field.classList.toggle("active", n === k));
  }
}
