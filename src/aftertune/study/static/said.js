// Prompts, answers of people and guidelines as elements; every word of them as text.

import { make, visible } from "./passages.js";

const SIDES = { first: "answer 1", second: "answer 2", tie: "equal" };
const NAMES = { user: "Question", assistant: "Earlier answer", system: "Instruction to the model" };

// The turns of a prompt.
export function messages(prompt) {
  return prompt.map((one) => make("div", { class: "turn" },
    prompt.length > 1 || one.role !== "user" ? make("h3", {}, NAMES[one.role] ?? visible(one.role)) : null,
    make("div", { class: "text", dir: "auto" }, visible(one.content))));
}

// What somebody answered, in words.
export function answerText(item, answer, labels) {
  if (item.kind === "pairs") {
    const aspects = Object.entries(answer.aspects ?? {}).map(([name, side]) => `${visible(name)}: ${SIDES[side]}`);
    return [[`better: ${SIDES[answer.overall]}`, ...aspects].join(", ")];
  }
  if (item.kind === "aspects") {
    return [Object.entries(answer.scores ?? {}).map(([name, score]) => `${visible(name)} ${score}`).join(", ")];
  }
  if (item.kind === "outcomes") {
    const found = item.outcomes?.find((one) => one.value === answer.outcome);
    return [found?.text ?? String(answer.outcome).replaceAll("_", " ")];
  }
  if (!answer.spans?.length) return ["nothing is wrong"];
  const cause = (one) => (one ? { row: `, from row ${one.row_id}`, none: ", from no row", unsure: ", cause unsure" }[one.kind] : "");
  return [make("ul", {}, ...answer.spans.map((span) =>
    make("li", {}, make("bdi", {}, `“${visible(span.text)}”`), ` ${labels?.[span.label] ?? span.label.replaceAll("_", " ")}${cause(span.cause)}`)))];
}

// Lines of a paragraph as one, but where a line ends with two spaces.
function runOn(lines) {
  return lines.map((line, k) => (k ? (/ {2}$/.test(lines[k - 1]) ? "\n" : " ") : "") + line.trim()).join("");
}

// Markdown's headings, lists and paragraphs, whose lines run on; everything else stays as it is.
export function paragraphs(text) {
  const blocks = [];
  for (const block of visible(text).split(/\n\s*\n/)) {
    let list = null;
    let lines = [];
    const flush = () => {
      if (lines.length) blocks.push(make("p", { class: "text", dir: "auto" }, runOn(lines)));
      lines = [];
    };
    for (const line of block.split("\n").filter((one) => one.trim())) {
      const heading = line.match(/^#{1,6}\s+(.*)/);
      const entry = line.match(/^\s*(?:[-*]|\d+[.)])\s+(.*)/);
      if (list && !heading && !entry) {
        list.lastChild.append(` ${line.trim()}`); // the entry goes on
        continue;
      }
      if (heading) list = null;
      if (heading || entry) flush();
      if (heading) blocks.push(make("h3", { dir: "auto" }, heading[1]));
      else if (entry) {
        if (!list) blocks.push((list = make("ul", {})));
        list.append(make("li", { dir: "auto" }, entry[1]));
      } else lines.push(line);
    }
    flush();
  }
  return blocks;
}
