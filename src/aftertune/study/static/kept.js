// What this browser keeps until the study has it: drafts, and ratings that wait to be sent.
//
// One entry per rating, so that two windows of one person cannot overwrite each other.

export class Kept {
  constructor(prefix) {
    this.prefix = prefix;
    this.inMemory = new Map(); // where the browser refuses to keep anything
    this.last = 0;
  }

  get lasts() {
    return this.inMemory.size === 0;
  }

  set(name, value) {
    const text = JSON.stringify(value);
    try {
      localStorage.setItem(this.prefix + name, text);
      this.inMemory.delete(name);
    } catch {
      this.inMemory.set(name, text);
    }
  }

  get(name) {
    let text = this.inMemory.get(name) ?? null;
    try {
      text ??= localStorage.getItem(this.prefix + name);
    } catch { /* refused: what is in memory is all there is */ }
    try {
      return text === null ? null : JSON.parse(text);
    } catch {
      return null;
    }
  }

  remove(name) {
    this.inMemory.delete(name);
    try {
      localStorage.removeItem(this.prefix + name);
    } catch { /* refused: it was never there */ }
  }

  // Names that begin so, in the order of the alphabet.
  names(beginning) {
    const found = new Set(this.inMemory.keys());
    try {
      for (let k = 0; k < localStorage.length; k++) {
        const key = localStorage.key(k);
        if (key.startsWith(this.prefix)) found.add(key.slice(this.prefix.length));
      }
    } catch { /* as above */ }
    return [...found].filter((name) => name.startsWith(beginning)).sort();
  }

  // Put something at the end of what waits to be sent.
  enqueue(entry) {
    this.last = Math.max(this.last + 1, Date.now());
    this.set(`send ${String(this.last).padStart(15, "0")} ${newId()}`, entry);
  }

  waiting() {
    return this.names("send ").map((name) => [name, this.get(name)]).filter(([, entry]) => entry);
  }
}

// A random UUID; crypto.randomUUID exists on encrypted pages only.
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
