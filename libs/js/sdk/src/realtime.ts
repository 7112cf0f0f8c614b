// Conversations over the hubs: `client.realtime.chat({ agentId })` and `client.realtime.voice({ agentId })`, on @microsoft/signalr.
//
// A conversation whose connection breaks comes back to the same session by itself within 30 seconds. SignalR's own automatic reconnect
// opens the same address again, which would begin another session; the address of a resumption names the session.

import type { HubConnection } from "@microsoft/signalr";
import { ConfigurationError, ConnectionFailed, HubError, RequestTimeout, VoisnapError } from "./errors.js";
import { bytesOf, samplesOf, toBase64, type Pcm } from "./pcm.js";
import { pause, wait } from "./sender.js";

const RESUME_MS = 30_000;
const INVOKE_MS = 30_000;
const CLOSE_MS = 2_000;
/** Events kept until somebody listens, and for a reader that lags (six minutes of sound); beyond that the oldest are dropped. */
const MOST_UNREAD = 20_000;
const INPUT_RATE = 16_000;
/** 20 ms of sound to the agent. */
const FRAME_BYTES = 640;

/** The conversation has begun, or goes on (`resumed`). */
export interface SessionStarted {
  sessionId: string;
  conversationId: string;
  agentId: string;
  agentName: string;
  channel: string;
  startedAt: string;
  resumed: boolean;
  /** Of calls only. */
  audio: { inputSampleRate: number; outputSampleRate: number } | null;
}

/** The conversation is over; the last event. */
export interface SessionEnded {
  sessionId: string;
  conversationId: string;
  reason: string;
  durationSeconds: number;
  endedAt: string;
}

/** Something went wrong; the conversation goes on when it is `recoverable`. */
export interface HubFault {
  code: string;
  message: string;
  recoverable: boolean;
}

/** Text of the agent: a piece of it (`isChunk`), or the whole (`isFinal`). */
export interface MessageReceived {
  messageId: string;
  content: string;
  isChunk: boolean;
  isFinal: boolean;
  timestamp: string;
}

/** What one side said; a later one of the same `turnId` replaces it. Seconds from the start. */
export interface TranscriptionReceived {
  turnId: string;
  speaker: string;
  text: string;
  isFinal: boolean;
  confidence: number;
  startTime: number;
  endTime: number;
}

/** Events of every conversation, by their names on the hub; `Reconnecting` and `Reconnected` are this package's. */
export interface ConversationEvents {
  SessionStarted: SessionStarted;
  SessionEnded: SessionEnded;
  Error: HubFault;
  /** A tool of the agent is called. */
  ToolCallStarted: { toolCallId: string; name: string; arguments: Record<string, unknown> };
  ToolCallCompleted: { toolCallId: string; name: string; success: boolean; durationMs: number };
  /** The connection broke and is being made anew. */
  Reconnecting: object;
  /** The same session goes on. */
  Reconnected: SessionStarted;
}

/** Events of a chat. */
export interface ChatEvents extends ConversationEvents {
  MessageReceived: MessageReceived;
  TypingIndicator: { isTyping: boolean };
  ConversationEnded: { conversationId: string; reason: string };
}

/** Events of a call. */
export interface VoiceEvents extends ConversationEvents {
  /** Sound of the agent: 16-bit samples, mono, 24 kHz. */
  AudioReceived: { pcm: Int16Array };
  /** The agent was interrupted: drop what you have not played. */
  AudioCleared: object;
  Transcription: TranscriptionReceived;
  AgentStateChanged: { state: "listening" | "thinking" | "speaking" };
  TurnCompleted: {
    turnId: string;
    speaker: string;
    interrupted: boolean;
    /** Milliseconds. */
    latency: Record<
      "totalMs" | "endpointingMs" | "sttMs" | "llmMs" | "ttsMs" | "platformMs",
      number
    > | null;
  };
  DtmfReceived: { digit: string };
}

/** An event with its name in `type`. */
export type EventOf<Events> = { [Name in keyof Events]: { type: Name } & Events[Name] }[keyof Events];
export type ChatEvent = EventOf<ChatEvents>;
export type VoiceEvent = EventOf<VoiceEvents>;

/** How a conversation begins. */
export interface ConversationOptions {
  agentId: string;
  /** Fills the prompt's `{{variables}}` and is kept with the conversation. */
  metadata?: Record<string, unknown> | undefined;
  /** In place of the agent's language (BCP 47, `es-MX`). */
  language?: string | undefined;
  /** Gives the hub tokens, for pages whose server makes them; the client makes them otherwise. */
  accessTokenFactory?: ((binding: { agentId?: string; sessionId?: string }) => string | Promise<string>) | undefined;
}

export type TokenOf = (binding: { agentId?: string; sessionId?: string }) => string | Promise<string>;

const CHAT_EVENTS = ["MessageReceived", "TypingIndicator", "ConversationEnded"];
const VOICE_EVENTS = [
  "AudioReceived",
  "AudioCleared",
  "Transcription",
  "AgentStateChanged",
  "TurnCompleted",
  "DtmfReceived",
];
const COMMON_EVENTS = ["SessionStarted", "SessionEnded", "Error", "ToolCallStarted", "ToolCallCompleted"];

/** A promise that is settled from outside, and may be left alone when it is rejected. */
class Later<T> {
  resolve!: (value: T) => void;
  reject!: (error: unknown) => void;
  isSettled = false;
  readonly promise: Promise<T>;

  constructor() {
    this.promise = new Promise<T>((resolve, reject) => {
      this.resolve = (value) => ((this.isSettled = true), resolve(value));
      this.reject = (error) => ((this.isSettled = true), reject(error));
    });
    this.promise.catch(() => undefined);
  }
}

/** Events that one reader has not read yet. */
class Reader<Event> {
  readonly #unread: Event[] = [];
  #awaited = new Later<void>();
  #isOver = false;

  put(event: Event): void {
    if (this.#unread.length >= MOST_UNREAD) this.#unread.shift();
    this.#unread.push(event);
    this.#awaited.resolve();
  }

  end(): void {
    this.#isOver = true;
    this.#awaited.resolve();
  }

  /** The next one; undefined after the end. */
  async next(): Promise<Event | undefined> {
    while (this.#unread.length === 0 && !this.#isOver) {
      this.#awaited = new Later();
      await this.#awaited.promise;
    }
    return this.#unread.shift();
  }
}

type Named = { type: PropertyKey };

/** A session of one hub: connects, comes back, and hands out its events. Subclasses add the hub's methods. */
export abstract class RealtimeSession<Events extends ConversationEvents> implements AsyncIterable<EventOf<Events>> {
  readonly #url: string;
  readonly #options: ConversationOptions;
  readonly #token: TokenOf;
  readonly #names: readonly string[];
  readonly #handlers = new Map<PropertyKey, Set<(event: never) => void>>();
  readonly #readers = new Set<Reader<EventOf<Events>>>();
  readonly #closed = new Later<void>();
  #unheard: Named[] | undefined = [];
  #isDelivering = false;
  #connection: HubConnection | undefined;
  #live = new Later<HubConnection>();
  #begun: Later<SessionStarted> | undefined;
  #session: SessionStarted | undefined;
  #fatal: HubError | undefined;
  #failure: unknown;
  #isOver = false;

  /** @internal */
  constructor(hub: string, names: readonly string[], baseUrl: string, token: TokenOf, options: ConversationOptions) {
    this.#url = `${baseUrl}/hubs/${hub}`;
    this.#names = [...COMMON_EVENTS, ...names];
    this.#options = options;
    this.#token = options.accessTokenFactory ?? token;
  }

  /** Ids of the session and its conversation. */
  get session(): SessionStarted {
    if (this.#session === undefined) throw new VoisnapError("the conversation has not begun");
    return this.#session;
  }

  /** Whether the conversation is over. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * Calls `handler` at each event of a name; gives what takes it off again. Events wait until somebody listens, so handlers that are
   * added at once miss none.
   */
  on<Name extends keyof Events>(name: Name, handler: (event: Events[Name]) => void): () => void {
    const handlers = this.#handlers.get(name) ?? new Set();
    this.#handlers.set(name, handlers.add(handler as (event: never) => void));
    this.#deliver();
    return () => void handlers.delete(handler as (event: never) => void);
  }

  /** Every event from now on, up to the end of the conversation. Throws what ended it, if that was no orderly end. */
  [Symbol.asyncIterator](): AsyncGenerator<EventOf<Events>, void, undefined> {
    const reader = new Reader<EventOf<Events>>();
    this.#readers.add(reader);
    this.#deliver();
    return this.#read(reader);
  }

  /** Hang up; the agent's side ends at once. A second time does nothing. */
  async end(reason = "user_ended"): Promise<void> {
    if (this.#isOver) return;
    await this.invoke("EndSessionAsync", reason);
    await within(this.#closed.promise, CLOSE_MS, () => new RequestTimeout("the hub did not close")).catch(() => undefined);
    await this.close();
  }

  /** Close the connection. The session itself is kept for 30 seconds unless it was ended. */
  async close(): Promise<void> {
    this.#finish(undefined);
    await this.#connection?.stop();
  }

  /** @internal */
  async open(): Promise<this> {
    const { agentId, metadata, language } = this.#options;
    const query = new URLSearchParams({ agentId });
    if (metadata) query.set("metadata", JSON.stringify(metadata));
    if (language) query.set("language", language);
    try {
      await this.#connect(query, { agentId }, RESUME_MS);
    } catch (error) {
      this.#finish(error);
      throw error;
    }
    return this;
  }

  /** Called with every event, before anybody else. */
  protected heard(_event: Named): void {}

  /** Called once when the conversation is over. */
  protected over(_failure: unknown): void {}

  /** @internal Call a method of the hub, once the connection is there; its result. */
  protected async invoke<T>(method: string, ...values: unknown[]): Promise<T> {
    const connection = await this.live();
    try {
      return await within(connection.invoke<T>(method, ...values), INVOKE_MS, () => {
        return new RequestTimeout(`${method} was not answered within ${INVOKE_MS / 1000} s`);
      });
    } catch (error) {
      if (error instanceof VoisnapError) throw error;
      if (connection.state !== "Connected") throw broken(error);
      throw new HubError("INVOCATION_FAILED", error instanceof Error ? error.message : String(error));
    }
  }

  /** @internal The connection, once it is there. */
  protected live(): Promise<HubConnection> {
    return within(this.#live.promise, RESUME_MS, () => new ConnectionFailed("the hub is not connected"));
  }

  /** @internal The connection, if it is there. */
  protected get connected(): HubConnection | undefined {
    return this.#connection?.state === "Connected" && !this.#isOver ? this.#connection : undefined;
  }

  async *#read(reader: Reader<EventOf<Events>>): AsyncGenerator<EventOf<Events>, void, undefined> {
    try {
      if (this.#isOver && this.#unheard === undefined) reader.end();
      for (let event = await reader.next(); event !== undefined; event = await reader.next()) yield event;
      if (this.#failure !== undefined) throw this.#failure;
    } finally {
      this.#readers.delete(reader);
    }
  }

  async #connect(query: URLSearchParams, binding: Parameters<TokenOf>[0], ms: number): Promise<void> {
    const signalR = await loadSignalR();
    const begun = (this.#begun = new Later<SessionStarted>());
    await this.#token(binding); // its errors are clearer than those of a connection that fails for it
    const connection = new signalR.HubConnectionBuilder()
      .withUrl(`${this.#url}?${query}`, { accessTokenFactory: () => this.#token(binding) })
      .configureLogging(signalR.LogLevel.None)
      .build();
    for (const name of this.#names) connection.on(name, (value: unknown) => this.#take(name, value));
    connection.onclose((error) => this.#broke(connection, error));
    this.#connection = connection;
    const start = connection.start().catch((error: unknown) => {
      throw refused(this.#url, error);
    });
    try {
      const late = () => new ConnectionFailed("the hub did not begin the session");
      this.#session = await within(Promise.all([begun.promise, start]), ms, late).then(([session]) => session);
    } catch (error) {
      this.#connection = undefined;
      connection.stop().catch(() => undefined);
      throw error;
    }
    if (this.#closed.isSettled) return void connection.stop(); // closed by the program meanwhile
    if (this.#live.isSettled) this.#live = new Later();
    this.#live.resolve(connection);
  }

  #take(name: string, value: unknown): void {
    const isWaiting = this.#begun !== undefined && !this.#begun.isSettled;
    const event = { ...eventOf(name, value), type: name } as Named;
    if (name === "SessionStarted" && isWaiting) this.#begun?.resolve(value as SessionStarted);
    if (name === "Error" && !(value as HubFault).recoverable) {
      const { code, message } = value as HubFault;
      this.#fatal = new HubError(code, message);
      if (isWaiting) return this.#begun?.reject(this.#fatal);
    }
    if (name === "SessionEnded") this.#isOver = true;
    this.#tell(event);
  }

  #broke(connection: HubConnection, error: Error | undefined): void {
    if (connection !== this.#connection) return;
    if (this.#begun && !this.#begun.isSettled) return this.#begun.reject(broken(error));
    if (this.#isOver || this.#session === undefined) return this.#finish(undefined);
    if (this.#fatal) return this.#finish(this.#fatal);
    this.#live = new Later();
    void this.#comeBack(this.#session);
  }

  async #comeBack({ sessionId, agentId }: SessionStarted): Promise<void> {
    this.#tell({ type: "Reconnecting" });
    const deadline = Date.now() + RESUME_MS;
    for (let attempt = 0; !this.#isOver; attempt += 1) {
      const left = deadline - Date.now();
      try {
        if (left <= 0) throw new HubError("RECONNECT_FAILED", `not reached again within ${RESUME_MS / 1000} s`);
        await this.#connect(new URLSearchParams({ agentId, sessionId }), { agentId, sessionId }, left);
        return this.#tell({ ...this.session, type: "Reconnected" } as Named);
      } catch (error) {
        if (!(error instanceof ConnectionFailed)) return this.#finish(error);
        await wait(Math.min(pause(attempt) / 2, Math.max(0, left)));
      }
    }
  }

  #finish(failure: unknown): void {
    if (this.#closed.isSettled) return;
    this.#isOver = true;
    this.#failure = failure;
    if (this.#live.isSettled) this.#live = new Later();
    this.#live.reject(failure ?? new VoisnapError("the conversation is over"));
    this.#closed.resolve();
    this.over(failure);
    if (this.#unheard === undefined) for (const reader of this.#readers) reader.end();
  }

  #tell(event: Named): void {
    this.heard(event);
    if (this.#unheard === undefined) return this.#hand(event);
    if (this.#unheard.length >= MOST_UNREAD) this.#unheard.shift();
    this.#unheard.push(event);
  }

  /** Hands out what waited, after whoever listens now has said all he wants to hear. */
  #deliver(): void {
    if (this.#unheard === undefined || this.#isDelivering) return;
    this.#isDelivering = true;
    setTimeout(() => {
      const unheard = this.#unheard ?? [];
      this.#unheard = undefined;
      for (const event of unheard) this.#hand(event);
      if (this.#closed.isSettled) for (const reader of this.#readers) reader.end();
    }, 0);
  }

  #hand(event: Named): void {
    for (const reader of this.#readers) reader.put(event as EventOf<Events>);
    for (const handler of this.#handlers.get(event.type) ?? []) {
      try {
        handler(event as never);
      } catch (error) {
        // The handler's own fault: told like any other that nobody caught, and no reason to keep the event from the next one.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}

/** The agent's answer to one message: iterate over its pieces as they come, or await its whole text. */
export class Reply implements AsyncIterable<string>, PromiseLike<string> {
  readonly #pieces: string[] = [];
  readonly #early: MessageReceived[] = [];
  #more = new Later<void>();
  #asked: number | undefined;
  #written = "";
  #isDone = false;
  #error: unknown;

  /** The pieces, from the first on; may be read more than once. */
  async *[Symbol.asyncIterator](): AsyncGenerator<string, void, undefined> {
    for (let at = 0; ; ) {
      const piece = this.#pieces[at];
      if (piece !== undefined) {
        at += 1;
        yield piece;
      } else if (this.#isDone) {
        if (this.#error !== undefined) throw this.#error;
        return;
      } else {
        await this.#more.promise;
      }
    }
  }

  /** Whether it is whole. */
  get isDone(): boolean {
    return this.#isDone;
  }

  /** The whole text. */
  async text(): Promise<string> {
    let text = "";
    for await (const piece of this) text += piece;
    return text;
  }

  then<A = string, B = never>(
    fulfilled?: ((text: string) => A | PromiseLike<A>) | null,
    rejected?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.text().then(fulfilled, rejected);
  }

  /** @internal The message was taken, under a number that is smaller than its answer's. */
  accepted(number: number): void {
    this.#asked = number;
    for (const message of this.#early.splice(0)) this.take(message);
  }

  /** @internal A message of the agent: this answer's, a greeting's or an earlier answer's. */
  take(message: MessageReceived): void {
    if (this.#isDone) return;
    if (this.#asked === undefined) return void this.#early.push(message);
    if (numberOf(message.messageId) <= this.#asked) return;
    // The last one carries the whole text: whatever was lost with a connection is made up for.
    const isMore = !message.isChunk && message.content.startsWith(this.#written);
    const piece = isMore ? message.content.slice(this.#written.length) : message.content;
    this.#written += piece;
    if (piece) this.#pieces.push(piece);
    if (message.isFinal) return this.end(undefined);
    this.#wake();
  }

  /** @internal No more comes. */
  end(error: unknown): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#error = error;
    this.#wake();
  }

  #wake(): void {
    const more = this.#more;
    this.#more = new Later();
    more.resolve();
  }
}

/**
 * A text conversation.
 *
 * ```ts
 * const chat = await client.realtime.chat({ agentId });
 * for await (const piece of chat.send("When do you open?")) process.stdout.write(piece);
 * await chat.end();
 * ```
 */
export class ChatSession extends RealtimeSession<ChatEvents> {
  readonly #replies = new Set<Reply>();

  /** @internal */
  constructor(baseUrl: string, token: TokenOf, options: ConversationOptions) {
    super("chat", CHAT_EVENTS, baseUrl, token, options);
  }

  /** Write to the agent; its answer. What becomes of it is thrown where the answer is read: HubError when the message is refused. */
  send(content: string, { metadata }: { metadata?: Record<string, unknown> } = {}): Reply {
    const reply = new Reply();
    this.#replies.add(reply);
    this.invoke<{ messageId: string }>("SendMessageAsync", { content, ...(metadata ? { metadata } : {}) }).then(
      ({ messageId }) => reply.accepted(numberOf(messageId)),
      (error: unknown) => {
        this.#replies.delete(reply);
        reply.end(error);
      },
    );
    return reply;
  }

  /** Write to the agent; its whole answer. */
  ask(content: string, options: { metadata?: Record<string, unknown> } = {}): Promise<string> {
    return this.send(content, options).text();
  }

  /** Tell that the person is writing, so that nobody counts as idle who does. */
  typing(): Promise<void> {
    return this.invoke("TypingAsync");
  }

  /** Stop the answer; what was sent of it stays. */
  cancel(): Promise<void> {
    return this.invoke("CancelAsync");
  }

  protected override heard(event: Named): void {
    if (event.type !== "MessageReceived") return;
    const message = event as Named & MessageReceived;
    for (const reply of this.#replies) {
      reply.take(message);
      if (reply.isDone) this.#replies.delete(reply);
    }
  }

  protected override over(failure: unknown): void {
    for (const reply of this.#replies) reply.end(failure);
    this.#replies.clear();
  }
}

/**
 * A spoken conversation over sound of your own.
 *
 * ```ts
 * const call = await client.realtime.voice({ agentId });
 * call.on("AudioReceived", ({ pcm }) => speaker.play(pcm));
 * call.on("AudioCleared", () => speaker.drop());
 * microphone.on("frame", (pcm) => call.sendAudio(pcm));
 * ```
 */
export class VoiceSession extends RealtimeSession<VoiceEvents> {
  /** @internal */
  constructor(baseUrl: string, token: TokenOf, options: ConversationOptions) {
    super("voice", VOICE_EVENTS, baseUrl, token, options);
  }

  /**
   * Send sound as it is recorded: 16-bit samples, mono, 16 kHz; 20 ms (320 samples) at a time are best. What is recorded while the
   * connection is away is dropped, as nobody wants to be heard later.
   */
  async sendAudio(pcm: Pcm): Promise<void> {
    const bytes = bytesOf(pcm);
    const connection = this.connected;
    if (connection === undefined) return;
    try {
      for (let at = 0; at < bytes.length; at += 50 * FRAME_BYTES) {
        await connection.send("SendAudioAsync", toBase64(bytes.subarray(at, at + 50 * FRAME_BYTES)));
      }
    } catch (error) {
      if (connection.state === "Connected") throw broken(error);
    }
  }

  /**
   * Send a whole recording at the pace of speech, up to its end or that of the conversation. Keep sending silence after it, so that its
   * end is heard.
   */
  async speak(pcm: Pcm, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    const bytes = bytesOf(pcm);
    const start = Date.now();
    for (let at = 0; at < bytes.length && !this.isOver; at += FRAME_BYTES) {
      signal?.throwIfAborted();
      await this.sendAudio(bytes.subarray(at, at + FRAME_BYTES));
      const due = start + (1000 * (at + FRAME_BYTES)) / (2 * INPUT_RATE);
      await wait(Math.max(0, due - Date.now()), signal);
    }
  }

  /** Press a key: one of `0-9`, `*`, `#`. */
  sendDtmf(digit: string): Promise<void> {
    return this.invoke("SendDtmfAsync", digit);
  }
}

/** `client.realtime`. */
export class Realtime {
  readonly #baseUrl: string;
  readonly #token: TokenOf;

  /** @internal */
  constructor(baseUrl: string, token: TokenOf) {
    this.#baseUrl = baseUrl;
    this.#token = token;
  }

  /** Begin a text conversation with an agent. Rejects with HubError when it is refused. */
  chat(options: ConversationOptions): Promise<ChatSession> {
    return new ChatSession(this.#baseUrl, this.#token, options).open();
  }

  /** Begin a spoken conversation with an agent. Rejects with HubError when it is refused. */
  voice(options: ConversationOptions): Promise<VoiceSession> {
    return new VoiceSession(this.#baseUrl, this.#token, options).open();
  }
}

async function loadSignalR(): Promise<typeof import("@microsoft/signalr")> {
  try {
    const module = await import("@microsoft/signalr");
    // Of a CommonJS module Node.js may show the default only.
    return "HubConnectionBuilder" in module ? module : (module as { default: typeof module }).default;
  } catch (error) {
    throw new ConfigurationError("Conversations need @microsoft/signalr: npm install @microsoft/signalr", { cause: error });
  }
}

function eventOf(name: string, value: unknown): object {
  if (name === "AudioReceived" && typeof value === "string") return { pcm: samplesOf(value) };
  return typeof value === "object" && value !== null ? value : {};
}

/** What a start that failed means: SignalR tells the status in words only. */
function refused(url: string, error: unknown): VoisnapError {
  const text = error instanceof Error ? error.message : String(error);
  const status = /status code '(\d+)'/i.exec(text)?.[1];
  if (status === "401" || status === "403") return new HubError("AUTH_FAILED", `the hub answered with ${status}`);
  return new ConnectionFailed(`${url}: ${status ? `answered ${status}` : text}`, { cause: error });
}

function broken(error: unknown): ConnectionFailed {
  return new ConnectionFailed("the connection to the hub broke", { cause: error });
}

/** Messages of a conversation are numbered: `msg_01`. */
function numberOf(messageId: string): number {
  return Number(messageId.slice(messageId.lastIndexOf("_") + 1));
}

async function within<T>(promise: Promise<T>, ms: number, late: () => Error): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), ms);
  });
  try {
    return await Promise.race([promise, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}
