// Runs scenarios with the official client; the same file serves Node and browsers.
// A scenario is data: {name, hub, options, listens, answers, steps}; each step is [verb, ...arguments] and has one outcome.
// Values that JSON cannot hold are written {"$bytes": base64}, {"$date": iso}, {"$repeat": [text, count]}, {"$saved": name}.

const STEP_MS = 60000;

/** Runs cells side by side and the scenarios of a cell one after the other. Gives {cell: {scenario: outcomes}}. */
export async function runCells(environment, cells, scenarios) {
  const results = {};
  await Promise.all(
    cells.map(async (cell) => {
      results[cell.name] = {};
      for (const scenario of scenarios) {
        if (!cell.scenarios.includes(scenario.name)) continue;
        const player = new Player(environment, cell, scenario);
        results[cell.name][scenario.name] = await player.play();
      }
    }),
  );
  return results;
}

class Player {
  constructor({ signalR, MessagePackHubProtocol }, cell, scenario) {
    Object.assign(this, { signalR, MessagePackHubProtocol, cell, scenario });
    this.saved = {};
    this.events = {};
    this.waiting = {};
  }

  async play() {
    const outcomes = [];
    try {
      this.build();
      for (const [verb, ...args] of this.scenario.steps) {
        outcomes.push(await within(STEP_MS, this[verb](...args.map((value) => this.load(value)))));
      }
    } catch (error) {
      outcomes.push({ broken: String(error) });
    }
    await within(STEP_MS, this.connection?.stop());
    return outcomes;
  }

  build() {
    const { signalR, cell, scenario } = this;
    const options = scenario.options ?? {};
    const { token } = options;
    const query = new URLSearchParams(options.query);
    if (options.tokenInQuery) query.set("access_token", token);
    const builder = new signalR.HubConnectionBuilder().configureLogging(signalR.LogLevel.None).withUrl(
      `${cell.origin}${scenario.hub}?${query}`,
      {
        transport: signalR.HttpTransportType[cell.transport],
        ...(cell.isDirect ? { skipNegotiation: true } : {}),
        ...(token && !options.tokenInQuery ? { accessTokenFactory: () => token } : {}),
        ...(options.headers ? { headers: options.headers } : {}),
      },
    );
    if (cell.protocol === "messagepack") builder.withHubProtocol(new this.MessagePackHubProtocol());
    if (options.reconnect) builder.withAutomaticReconnect(options.reconnect);
    if (cell.isStateful) builder.withStatefulReconnect();
    const connection = (this.connection = builder.build());
    for (const target of scenario.listens ?? []) {
      connection.on(target, (...values) => this.note(target, values.map(plain)));
    }
    for (const [target, answer] of Object.entries(scenario.answers ?? {})) {
      connection.on(target, (...values) => {
        if ("throws" in answer) throw new Error(answer.throws);
        return "echoes" in answer ? values[0] : this.load(answer.returns);
      });
    }
    connection.onclose((error) => this.note("$closed", error ? error.message : null));
    connection.onreconnecting(() => this.note("$reconnecting", true));
    connection.onreconnected(() => this.note("$reconnected", true));
  }

  // The verbs

  start() {
    return this.connection.start().then(() => "Connected", failure);
  }

  /** For a hub that lets nobody stay: how it ends, during the start or right behind it. */
  async start_and_end() {
    const started = await this.start();
    return started === "Connected" ? { error: (await this.events_of("$closed"))[0] } : started;
  }

  stop() {
    return this.connection.stop().then(() => "Disconnected", failure);
  }

  state() {
    return this.connection.state;
  }

  invoke(target, ...args) {
    return this.connection.invoke(target, ...args).then((value) => ({ result: plain(value) }), failure);
  }

  send(target, ...args) {
    return this.connection.send(target, ...args).then(() => "sent", failure);
  }

  /** Many invocations at once: their results in the order of the calls. */
  invoke_all(target, lists) {
    return Promise.all(lists.map((args) => this.connection.invoke(target, ...args).then(plain, failure)));
  }

  /** Many invocations at once: their results in the order of the answers. */
  async invoke_race(target, lists) {
    const order = [];
    await Promise.all(lists.map(async (args) => order.push(plain(await this.connection.invoke(target, ...args)))));
    return order;
  }

  stream(target, ...args) {
    return new Promise((resolve) => {
      const items = [];
      this.connection.stream(target, ...args).subscribe({
        next: (item) => items.push(plain(item)),
        complete: () => resolve({ items, end: null }),
        error: (error) => resolve({ items, end: error.message }),
      });
    });
  }

  /** Takes so many items, then cancels; with none it cancels at once. */
  take(count, target, ...args) {
    return new Promise((resolve) => {
      const items = [];
      const subscription = this.connection.stream(target, ...args).subscribe({
        next: (item) => {
          if (items.length < count) items.push(plain(item));
          if (items.length === count) finish();
        },
        complete: () => resolve({ items, end: null }),
        error: (error) => resolve({ items, end: error.message }),
      });
      const finish = () => {
        subscription?.dispose();
        resolve({ items });
      };
      if (count === 0) finish();
    });
  }

  /** Streams the lists to the server, side by side; an {"$error": text} in a list fails that stream. */
  async upload(target, args, lists) {
    const subjects = lists.map(() => new this.signalR.Subject());
    // Of two streams side by side among the arguments the client forgets one, so the others go in between.
    const mixed = [...subjects.slice(0, 1), ...args, ...subjects.slice(1)];
    const answer = this.connection.invoke(target, ...mixed).then((value) => ({ result: plain(value) }), failure);
    await this.feed(subjects, lists);
    return answer;
  }

  /** An upload that asks for no answer. */
  async upload_only(target, list) {
    const subject = new this.signalR.Subject();
    await this.connection.send(target, subject);
    await this.feed([subject], [list]);
    return "sent";
  }

  async upload_stream(target, list) {
    const subject = new this.signalR.Subject();
    const answer = new Promise((resolve) => {
      const items = [];
      this.connection.stream(target, subject).subscribe({
        next: (item) => items.push(plain(item)),
        complete: () => resolve({ items, end: null }),
        error: (error) => resolve({ items, end: error.message }),
      });
    });
    await this.feed([subject], [list]);
    return answer;
  }

  async feed(subjects, lists) {
    await null; // the invocation goes first
    for (let i = 0; i < Math.max(...lists.map((list) => list.length)); i++) {
      lists.forEach((list, which) => {
        if (i >= list.length) return;
        if (list[i]?.$error) subjects[which].error(new Error(list[i].$error));
        else subjects[which].next(list[i]);
      });
      await null;
    }
    lists.forEach((list, which) => list.some((item) => item?.$error) || subjects[which].complete());
  }

  /** Calls, a stream and pushes while the sockets are cut again and again. */
  async through_cuts(cuts, count) {
    const stream = this.stream("StreamNumbers", count, 0.01);
    await this.connection.send("PushMany", count);
    const results = [];
    for (let cut = 0; cut < cuts; cut++) {
      const before = this.connection.invoke("Echo", `before ${cut}`);
      await this.cut();
      results.push(await before, await this.connection.invoke("Echo", `after ${cut}`));
    }
    const { items, end } = await stream;
    const numbers = (this.events.Number ?? []).map(([number]) => number);
    const range = [...Array(count).keys()].join();
    return { results, end, stream: items.join() === range, pushes: numbers.join() === range };
  }

  /** What the connection calls itself is what the server calls it. */
  async same_id() {
    return (await this.connection.invoke("GetCallerConnectionId")) === this.connection.connectionId;
  }

  async save(name, target, ...args) {
    this.saved[name] = await this.connection.invoke(target, ...args);
    return "saved";
  }

  async save_id(name) {
    this.saved[name] = this.connection.connectionId;
    return "saved";
  }

  id_is(value) {
    return this.connection.connectionId === value;
  }

  /** The next `count` events of a target, or of "$closed", "$reconnecting", "$reconnected". */
  async events_of(target, count = 1) {
    while ((this.events[target] ?? []).length < count) {
      await new Promise((resolve) => (this.waiting[target] = resolve));
    }
    return this.events[target].splice(0, count);
  }

  count_of(target) {
    return (this.events[target] ?? []).length;
  }

  /** Breaks all TCP connections of this cell. */
  async cut() {
    await fetch(this.cell.cut);
    return "cut";
  }

  // Values

  note(target, value) {
    (this.events[target] ??= []).push(value);
    this.waiting[target]?.();
  }

  load(value) {
    if (Array.isArray(value)) return value.map((item) => this.load(item));
    if (value === null || typeof value !== "object") return value;
    if ("$bytes" in value) return this.cell.protocol === "messagepack" ? fromBase64(value.$bytes) : value.$bytes;
    if ("$date" in value) return this.cell.protocol === "messagepack" ? new Date(value.$date) : value.$date;
    if ("$repeat" in value) return value.$repeat[0].repeat(value.$repeat[1]);
    if ("$saved" in value) return this.saved[value.$saved];
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.load(item)]));
  }
}

const failure = (error) => ({ error: error.message });

function plain(value) {
  if (value === undefined) return { $undefined: true };
  if (value instanceof Uint8Array) return { $bytes: btoa(String.fromCharCode(...value)) };
  if (value instanceof Date) return { $date: value.toISOString() };
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

function within(milliseconds, promise) {
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(() => resolve({ timeout: true }), milliseconds)));
  return Promise.race([Promise.resolve(promise), late]).finally(() => clearTimeout(timer));
}
