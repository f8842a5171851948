// Text of which people mark parts, with exact positions in code points.
//
// What is on screen is not the text: characters that deceive the eye stand there as signs like
// ⟨U+202E⟩, and marks cut the text into pieces. So every piece knows which code points it shows, and
// a place in the document is looked up in its piece.

const KEPT = new Set(["\n", "\t", "\u200c", "\u200d"]);
const DECEPTIVE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\ufffe\uffff]/u;
const ANY_DECEPTIVE = new RegExp(DECEPTIVE, "gu");

// How a character is written if it must be: a sign, or null for one that shows itself.
export function signOf(character) {
  if (KEPT.has(character) || !DECEPTIVE.test(character)) return null;
  return `⟨U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;
}

// The text with its deceptive characters as signs, for texts of which nothing is marked.
export function visible(text) {
  return String(text).replace(ANY_DECEPTIVE, (character) => signOf(character) ?? character);
}

// An element with attributes and children; strings become text and never markup.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export class Passage {
  constructor(element, text) {
    this.element = element;
    this.text = text;
    this.unitOf = []; // code point -> UTF-16 unit; one more for the end
    this.signs = []; // code points that are shown as signs
    let unit = 0;
    for (const character of text) {
      if (signOf(character) !== null) this.signs.push(this.unitOf.length);
      this.unitOf.push(unit);
      unit += character.length;
    }
    this.length = this.unitOf.length;
    this.unitOf.push(unit);
    this.graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" }).segment(text);
    this.render([]);
  }

  // The code points [start, end) as text.
  slice(start, end) {
    return this.text.slice(this.unitOf[start], this.unitOf[end]);
  }

  // Show the text with these spans ({start, end, label, active}) marked.
  render(spans) {
    const cuts = new Set([0, this.length]);
    for (const place of this.signs) cuts.add(place).add(place + 1);
    for (const span of spans) cuts.add(span.start).add(span.end);
    const places = [...cuts].sort((a, b) => a - b);
    const signs = new Set(this.signs);
    this.pieces = [];
    const parts = [];
    for (let k = 0; k + 1 < places.length; k++) {
      const [start, end] = [places[k], places[k + 1]];
      parts.push(this.#piece(start, end, signs.has(start), spans));
    }
    this.element.replaceChildren(...parts);
    this.pieceOf = new Map(this.pieces.map((piece) => [piece.node, piece]));
  }

  #piece(start, end, isSign, spans) {
    const shown = this.slice(start, end);
    const node = document.createTextNode(isSign ? signOf(shown) : shown);
    this.pieces.push({ node, start, end, isSign });
    let part = node;
    if (isSign) part = make("span", { class: "sign", dir: "ltr" }, node);
    const over = spans.filter((span) => span.start <= start && end <= span.end);
    if (over.length) {
      const top = over.find((span) => span.active) ?? over[over.length - 1];
      part = make("mark", { class: top.label + (top.active ? " active" : "") }, part);
    }
    return part;
  }

  // What is selected here as {start, end, text}, whole characters as people see them; or null.
  selected() {
    const selection = document.getSelection();
    if (!selection || !selection.rangeCount || selection.isCollapsed) return null;
    const range = selection.getRangeAt(0);
    if (!range.intersectsNode(this.element)) return null;
    const whole = document.createRange();
    whole.selectNodeContents(this.element);
    const before = range.compareBoundaryPoints(Range.START_TO_START, whole) < 0;
    const after = range.compareBoundaryPoints(Range.END_TO_END, whole) > 0;
    const start = before ? 0 : this.placeOf(range.startContainer, range.startOffset, false);
    const end = after ? this.length : this.placeOf(range.endContainer, range.endOffset, true);
    if (end <= start) return null;
    const snapped = this.#snapped(start, end);
    return { ...snapped, text: this.slice(snapped.start, snapped.end) };
  }

  // The code point at a place of the document; within a character, its end or its start.
  placeOf(node, offset, isEnd) {
    const piece = this.pieceOf.get(node);
    if (piece?.isSign) {
      if (offset === 0) return piece.start;
      return offset >= node.length || isEnd ? piece.end : piece.start;
    }
    if (piece) return this.#codePoint(this.unitOf[piece.start] + offset, isEnd);
    const at = document.createRange();
    at.setStart(node, offset);
    at.collapse(true);
    const next = this.pieces.find((one) => at.comparePoint(one.node, 0) >= 0);
    return next ? next.start : this.length;
  }

  #codePoint(unit, isEnd) {
    let [low, high] = [0, this.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.unitOf[middle] < unit) low = middle + 1;
      else high = middle;
    }
    return this.unitOf[low] === unit || isEnd ? low : low - 1;
  }

  // Outwards to whole graphemes: no half of an emoji, no letter without its accent.
  #snapped(start, end) {
    const first = this.graphemes.containing(this.unitOf[start]);
    const last = this.graphemes.containing(this.unitOf[end] - 1);
    return {
      start: this.#codePoint(first.index, false),
      end: this.#codePoint(last.index + last.segment.length, true),
    };
  }
}
