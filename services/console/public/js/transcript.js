// The transcript: finished turns in a log that screen readers follow, unfinished ones below it, which they skip.

const NAMES = { user: "You", agent: "Agent" };

export class Transcript {
  #lines;
  #partials;
  #empty;
  #byTurn = new Map();
  #partialBySpeaker = new Map();
  #latencies = [];

  constructor({ lines, partials, empty }) {
    this.#lines = lines;
    this.#partials = partials;
    this.#empty = empty;
  }

  clear() {
    this.#lines.replaceChildren();
    this.#partials.replaceChildren();
    this.#byTurn.clear();
    this.#partialBySpeaker.clear();
    this.#latencies = [];
    this.#empty.hidden = false;
  }

  get turns() {
    return this.#lines.children.length;
  }

  /** Median of the answer times in ms, or null. */
  get medianLatencyMs() {
    if (this.#latencies.length === 0) return null;
    const sorted = this.#latencies.toSorted((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  show({ turnId, speaker, text, isFinal }) {
    this.#empty.hidden = true;
    if (isFinal) this.#finish(turnId, speaker, text);
    else this.#sketch(speaker, text);
  }

  /** Answer time of a turn, shown under what the agent said in it. */
  measure({ turnId, latency, interrupted }) {
    if (interrupted) this.#byTurn.get(`agent ${turnId}`)?.classList.add("cut");
    if (!latency || !Number.isFinite(latency.totalMs)) return;
    this.#latencies.push(latency.totalMs);
    const line = this.#byTurn.get(`agent ${turnId}`);
    if (line) line.append(latencyNote(latency));
    else this.#byTurn.set(`latency ${turnId}`, latency);
  }

  /** The call is over: what nobody finished was not said. */
  close() {
    this.#partials.replaceChildren();
    this.#partialBySpeaker.clear();
  }

  #sketch(speaker, text) {
    let line = this.#partialBySpeaker.get(speaker);
    if (!line) {
      line = newLine(speaker);
      this.#partialBySpeaker.set(speaker, line);
      this.#partials.append(line);
    }
    line.querySelector(".line-text").textContent = text;
    keepInView(line);
  }

  #finish(turnId, speaker, text) {
    this.#partialBySpeaker.get(speaker)?.remove();
    this.#partialBySpeaker.delete(speaker);
    const key = `${speaker} ${turnId}`;
    const known = this.#byTurn.get(key);
    if (!text.trim()) return;
    if (known) {
      known.querySelector(".line-text").textContent = text;
      return;
    }
    const line = newLine(speaker);
    line.querySelector(".line-text").textContent = text;
    const latency = speaker === "agent" ? this.#byTurn.get(`latency ${turnId}`) : undefined;
    if (latency) line.append(latencyNote(latency));
    this.#byTurn.set(key, line);
    this.#lines.append(line);
    keepInView(line);
  }
}

function newLine(speaker) {
  const line = document.createElement("li");
  line.className = `line ${speaker}`;
  const who = document.createElement("span");
  who.className = "line-who";
  who.textContent = NAMES[speaker] ?? speaker;
  const text = document.createElement("p");
  text.className = "line-text";
  line.append(who, text);
  return line;
}

const PARTS = [
  ["endpointingMs", "end of turn"],
  ["sttMs", "speech to text"],
  ["llmMs", "model"],
  ["ttsMs", "voice"],
  ["platformMs", "platform"],
];

function latencyNote(latency) {
  const note = document.createElement("p");
  note.className = "line-latency";
  const total = document.createElement("b");
  total.textContent = `${Math.round(latency.totalMs)} ms`;
  const parts = PARTS.filter(([key]) => Number.isFinite(latency[key])).map(([key, name]) => `${name} ${Math.round(latency[key])}`);
  note.append("Answered in ", total, parts.length ? ` (${parts.join(" · ")})` : "");
  return note;
}

// Follow the conversation unless the reader has scrolled up to read.
function keepInView(line) {
  const distance = document.documentElement.scrollHeight - window.scrollY - window.innerHeight;
  if (distance < 240) line.scrollIntoView({ block: "nearest" });
}
