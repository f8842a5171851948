// Requests to the study, and the sending of what waits: in order, each until it was confirmed.

const PATIENCE_MS = 20_000;
const LONGEST_WAIT_MS = 30_000;

export class Refused extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

// The token stands behind the # of the link, which the browser sends to nobody.
export function tokenOfLink() {
  return decodeURIComponent(location.hash.slice(1));
}

// JSON of the study. Throws Refused for an answer that will not change by asking again.
export async function ask(token, path, body) {
  const headers = { Authorization: `Bearer ${token}`, "X-Aftertune-Study": "1" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const reply = await fetch(path, {
    method: body === undefined ? "GET" : "POST",
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    cache: "no-store",
    credentials: "omit",
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  if (reply.ok) return reply.json();
  if (reply.status >= 500 || reply.status === 408 || reply.status === 429) {
    throw new Error(`the study answered ${reply.status}`);
  }
  const said = await reply.json().catch(() => ({}));
  throw new Refused(reply.status, said.error ?? `the study answered ${reply.status}`);
}

export class Sender {
  // heard(entry, reply) is called for everything that is on the study's disk; refused(entry, error)
  // for what it will never take; changed() whenever there is something new to say.
  constructor(token, kept, { heard, refused, changed }) {
    Object.assign(this, { token, kept, heard, refused, changed });
    this.connected = true;
    this.sending = false;
    this.wait = 1000;
    addEventListener("online", () => this.send());
    addEventListener("visibilitychange", () => document.hidden || this.send());
  }

  get count() {
    return this.kept.waiting().length;
  }

  add(entry) {
    this.kept.enqueue(entry);
    this.send();
  }

  async send() {
    if (this.sending) return;
    this.sending = true;
    clearTimeout(this.timer);
    try {
      for (let next = this.kept.waiting()[0]; next; next = this.kept.waiting()[0]) {
        this.changed();
        await this.#one(...next);
      }
      this.connected = true;
    } catch {
      this.connected = false;
      this.timer = setTimeout(() => this.send(), this.wait);
      this.wait = Math.min(2 * this.wait, LONGEST_WAIT_MS);
    } finally {
      this.sending = false;
      this.changed();
    }
  }

  async #one(name, entry) {
    try {
      const reply = await ask(this.token, entry.path, entry.body);
      this.wait = 1000;
      this.connected = true;
      this.kept.remove(name);
      this.heard(entry, reply);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.status === 401 || error.status === 403) {
        this.refused(entry, error); // another link may still be accepted: it stays
        throw error;
      }
      this.kept.set(name.replace(/^send /, "refused "), entry);
      this.kept.remove(name);
      this.refused(entry, error);
    }
  }
}
