// A caret in text that cannot be edited, so that a keyboard can select in it as in any text field.

const MOVES = {
  ArrowLeft: ["left", "character", "word"],
  ArrowRight: ["right", "character", "word"],
  ArrowUp: ["backward", "line", "paragraph"],
  ArrowDown: ["forward", "line", "paragraph"],
  Home: ["backward", "lineboundary"],
  End: ["forward", "lineboundary"],
};

export class Caret {
  constructor(element) {
    this.element = element;
    this.line = document.createElement("div");
    this.line.className = "caret";
    this.line.hidden = true;
    element.after(this.line);
    element.addEventListener("keydown", (event) => this.#key(event));
    element.addEventListener("blur", () => (this.line.hidden = true));
  }

  #key(event) {
    const move = MOVES[event.key];
    if (!move || event.altKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    const selection = document.getSelection();
    if (!selection.rangeCount || !this.element.contains(selection.focusNode)) {
      selection.collapse(this.element, 0);
    }
    const before = [selection.anchorNode, selection.anchorOffset, selection.focusNode, selection.focusOffset];
    if (event.ctrlKey && !move[2]) this.#toEnd(selection, event.key === "Home", event.shiftKey);
    else selection.modify(event.shiftKey ? "extend" : "move", move[0], event.ctrlKey ? move[2] : move[1]);
    if (!this.element.contains(selection.focusNode)) selection.setBaseAndExtent(...before);
    this.show();
  }

  // The first or last place of the text; a browser would go to that of the whole page.
  #toEnd(selection, isFirst, extend) {
    let node = this.element;
    while (node.firstChild) node = isFirst ? node.firstChild : node.lastChild;
    const offset = isFirst || node === this.element ? 0 : node.length;
    if (extend) selection.extend(node, offset);
    else selection.collapse(node, offset);
  }

  show() {
    const selection = document.getSelection();
    const at = document.createRange();
    at.setStart(selection.focusNode, selection.focusOffset);
    const box = at.getClientRects()[0];
    this.line.hidden = !box;
    if (!box) return;
    const frame = this.element.parentElement.getBoundingClientRect();
    this.line.style.left = `${box.left - frame.left}px`;
    this.line.style.top = `${box.top - frame.top}px`;
    this.line.style.height = `${box.height}px`;
    this.line.scrollIntoView({ block: "nearest" });
  }
}
