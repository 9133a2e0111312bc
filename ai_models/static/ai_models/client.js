/**
 * Client of the websocket protocol `ai-models.v1`, for browsers, Node 22 and later, Deno and Bun. It needs nothing else.
 *
 * One connection carries many streams. When it is lost, another one is made, and every stream goes on after the last event
 * that was seen. `client.d.ts` describes what is public.
 *
 *     const client = new AIModelsClient();
 *     const stream = client.streamText({ prompt: "Why is the sky blue?" });
 *     for await (const piece of stream.text) show(piece);
 *     const { usage } = await stream.result;
 *
 * @module
 * @import * as Public from "./client.d.ts"
 */

const SUBPROTOCOL = "ai-models.v1";

/** @type {Record<number, string>} Errors by the close code that tells them; after any other code the client tries again. */
const REFUSALS = {
  1003: "invalid_request", 1007: "invalid_request", 1008: "permission_denied", 1009: "payload_too_large",
  4400: "invalid_request", 4401: "unauthenticated", 4403: "permission_denied",
};

/** @implements {Public.AIModelsError} */
export class AIModelsError extends Error {
  name = "AIModelsError";
  code = "";
  retryable = false;

  /** @param {Public.ErrorFields} error @param {{cause?: unknown}} [options] */
  constructor(error, options) {
    super(error.message, options);
    Object.assign(this, error);
  }
}

/** @type {typeof Public.fetchTicket} */
export async function fetchTicket(url, init) {
  const response = await fetch(url, { method: "POST", ...init });
  const answer = await response.json();
  if (!response.ok) throw new AIModelsError(answer.error);
  return answer.ticket;
}

/** @implements {Public.AIModelsClient} */
export class AIModelsClient {
  #options;
  /** @type {Map<string, Run>} */
  #runs = new Map();
  /** @type {ReturnType<typeof watch> | undefined} */
  #connection;
  #isConnecting = false;
  #failures = 0; // connections in a row that brought nothing
  #isRenewed = false; // whether the last one of these was for a new ticket
  #endPause = () => {};

  /** @param {Public.ClientOptions} [options] */
  constructor({
    url = "/ws/ai/v1/",
    ticket,
    WebSocket = globalThis.WebSocket,
    heartbeat = 10_000,
    attempts = 10,
    firstDelay = 250,
    longestDelay = 20_000,
    largestMessage = 1024 * 1024,
  } = {}) {
    if (!WebSocket) throw new TypeError("This runtime has no WebSocket: pass a class as the option of that name.");
    const address = new URL(url, globalThis.location?.href);
    address.protocol = address.protocol.replace("http", "ws");
    this.#options = { address, ticket, WebSocket, heartbeat, attempts, firstDelay, longestDelay, largestMessage };
  }

  /** @type {Public.AIModelsClient["streamText"]} */
  streamText(request, options) {
    return this.#begin("stream-text", request, options);
  }

  /** @type {Public.AIModelsClient["streamObject"]} */
  streamObject(request, options) {
    return this.#begin("stream-object", request, options);
  }

  /** @type {Public.AIModelsClient["resume"]} */
  resume(id, { signal } = {}) {
    return this.#add(Object.assign(new Run(id, "", true), { isSent: true, isKnown: true }), signal);
  }

  close() {
    this.#endAll(aborted("The client was closed."));
    this.#connection?.close();
    this.#endPause();
  }

  /** @param {string} type @param {object} request @param {Public.StreamOptions} [options] */
  #begin(type, request, { onDisconnect = "cancel", signal } = {}) {
    const id = unguessable();
    const frame = JSON.stringify({ type, streamId: id, request, onDisconnect });
    return this.#add(new Run(id, frame, onDisconnect === "finish"), signal);
  }

  /** @param {Run} run @param {AbortSignal} [signal] */
  #add(run, signal) {
    const cancel = () => this.#cancel(run, signal?.reason);
    if (signal?.aborted) {
      cancel();
    } else if (new TextEncoder().encode(run.frame).length > this.#options.largestMessage) {
      // The server would close the connection, and with it every other stream.
      run.end(failure("payload_too_large", `A request has at most ${this.#options.largestMessage} bytes.`, false));
    } else {
      signal?.addEventListener("abort", cancel);
      run.onEnd = () => {
        signal?.removeEventListener("abort", cancel);
        this.#runs.delete(run.id);
      };
      this.#runs.set(run.id, run);
      if (this.#connection?.isOpen) this.#tell(run);
      else this.#keepConnected();
    }
    return run.stream(cancel);
  }

  /** @param {Run} run @param {unknown} [cause] */
  #cancel(run, cause) {
    if (run.isEnded) return;
    run.end(aborted("The stream was cancelled.", cause));
    const isOpen = this.#connection?.isOpen === true;
    // Without a reader, the server itself ends a stream that is not to finish.
    run.isCancelled = run.isSent && (isOpen || run.finishes);
    if (run.isCancelled) this.#runs.set(run.id, run);
    if (run.isCancelled && isOpen) this.#tell(run);
  }

  /** Say to the server what is wanted of a stream. @param {Run} run */
  #tell(run) {
    const streamId = run.id;
    if (run.isCancelled) this.#connection?.send(JSON.stringify({ type: "cancel", streamId }));
    else if (run.isSent) this.#connection?.send(JSON.stringify({ type: "resume", streamId, after: run.seq }));
    else this.#connection?.send(run.frame);
    run.isSent = true;
  }

  /** Make one connection after the other, for as long as there are streams. */
  async #keepConnected() {
    if (this.#isConnecting) return;
    this.#isConnecting = true;
    while (this.#runs.size) {
      const error = await this.#connect();
      for (const run of this.#runs.values()) {
        run.isInterrupted = run.isSent;
        if (run.isCancelled && !run.finishes) this.#runs.delete(run.id);
      }
      if (!this.#runs.size) break;
      if (error.code === "unauthenticated" && this.#options.ticket && !this.#isRenewed) this.#isRenewed = true;
      else if (!error.retryable || ++this.#failures >= this.#options.attempts) this.#endAll(error);
      else await this.#pause();
    }
    this.#isConnecting = false;
  }

  /** Make a connection, and wait for its end. @returns {Promise<AIModelsError>} */
  async #connect() {
    const { address, ticket, WebSocket, heartbeat } = this.#options;
    const protocols = [SUBPROTOCOL];
    try {
      if (ticket) protocols.push(`ticket.${await ticket(AbortSignal.timeout(heartbeat))}`);
    } catch (error) {
      if (error instanceof AIModelsError) return error;
      return failure("connection_failed", "There is no ticket.", Object(error).retryable !== false, error);
    }
    if (!this.#runs.size) return aborted("No stream is left.");
    try {
      this.#connection = watch(new WebSocket(address, protocols), heartbeat, {
        onOpen: () => this.#runs.forEach((run) => this.#tell(run)),
        onFrame: (frame) => this.#take(frame),
        isNeeded: () => this.#runs.size > 0,
      });
    } catch (error) {
      return failure("connection_failed", "The address or the ticket is not valid.", false, error);
    }
    const { code, reason } = await this.#connection.closed;
    const refusal = REFUSALS[code];
    return failure(refusal ?? "connection_failed", reason || `The connection ended with code ${code}.`, !refusal);
  }

  async #pause() {
    const { firstDelay, longestDelay } = this.#options;
    const delay = Math.min(longestDelay, firstDelay * 2 ** (this.#failures - 1)) * (0.5 + Math.random() / 2);
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, delay);
      this.#endPause = () => (clearTimeout(timer), resolve(undefined));
    });
  }

  /** @param {any} frame */
  #take(frame) {
    const run = this.#runs.get(frame.streamId);
    if (frame.type === "pong") {
      this.#succeed();
    } else if (run?.isCancelled) {
      if (frame.for === "cancel" || frame.type === "error") this.#runs.delete(run.id);
    } else if (run && frame.type === "ack") {
      run.isKnown = true;
    } else if (run && !frame.seq) {
      this.#refused(run, new AIModelsError(frame.error));
    } else if (run && frame.seq > run.seq) {
      this.#append(run, frame);
    }
  }

  /** @param {Run} run @param {AIModelsError} error */
  #refused(run, error) {
    const isGone = run.isInterrupted && error.code === "stream_not_found";
    if (isGone && !run.isKnown) this.#connection?.send(run.frame);
    else run.end(isGone ? lost(error) : error);
  }

  /** @param {Run} run @param {any} event */
  #append(run, event) {
    this.#succeed();
    run.isKnown = true;
    run.seq += 1;
    if (event.seq !== run.seq) run.end(failure("internal", "An event of the stream is missing."));
    else if (event.type === "error") run.end(new AIModelsError(event.error));
    else if (event.type !== "abort") run.append(event);
    else run.end(run.isInterrupted && !run.finishes ? lost() : aborted("The stream was cancelled elsewhere."));
    if (event.type === "finish") run.end();
  }

  #succeed() {
    this.#failures = 0;
    this.#isRenewed = false;
  }

  /** @param {AIModelsError} error */
  #endAll(error) {
    this.#succeed();
    for (const run of this.#runs.values()) run.end(error);
    this.#runs.clear();
  }
}

/** A stream from its request to its end, and those who read it. */
class Run {
  seq = 0; // of the last event that was seen
  isSent = false; // whether the server was asked for it
  isKnown = false; // whether the server said anything of it
  isInterrupted = false; // whether a connection was lost since
  isCancelled = false; // whether the server is still to end it
  isEnded = false;
  onEnd = () => {};
  /** @type {Public.StreamEvent[]} */
  #events = [];
  /** @type {AIModelsError | undefined} */
  #error;
  /** @type {(() => void)[]} */
  #waiting = [];
  /** @type {() => void} */
  #settle = () => {};
  /** @type {Promise<Public.Answer>} */
  #result = new Promise((resolve, reject) => {
    this.#settle = () => (this.#error ? reject(this.#error) : resolve(answer(this.#events)));
  });

  /** @param {string} id @param {string} frame begins it @param {boolean} finishes without a reader */
  constructor(id, frame, finishes) {
    this.id = id;
    this.frame = frame;
    this.finishes = finishes;
    // Nobody has to ask for the result, so its failure may stay unhandled.
    this.#result.catch(() => {});
  }

  /** @param {() => void} cancel @returns {Public.AIModelsStream} */
  stream(cancel) {
    const read = this.#read.bind(this);
    return {
      id: this.id,
      result: this.#result,
      cancel,
      get text() { return read((event) => (event.type === "text-delta" ? event.delta : undefined)); },
      get partialObjects() { return read((event) => (event.type === "data-object" ? event.data : undefined)); },
      get events() { return read((event) => event); },
    };
  }

  /** @param {Public.StreamEvent} event */
  append(event) {
    this.#events.push(event);
    this.#wake();
  }

  /** @param {AIModelsError} [error] */
  end(error) {
    if (this.isEnded) return;
    this.isEnded = true;
    this.#error = error;
    this.#settle();
    this.onEnd();
    this.#wake();
  }

  /** @template T @param {(event: Public.StreamEvent) => T | undefined} pick @returns {AsyncGenerator<T, void, void>} */
  async *#read(pick) {
    for (let next = 0; next < this.#events.length || !this.isEnded; ) {
      if (next === this.#events.length) {
        await new Promise((resolve) => this.#waiting.push(() => resolve(undefined)));
      } else {
        const picked = pick(this.#events[next++]);
        if (picked !== undefined) yield picked;
      }
    }
    if (this.#error && this.#error.code !== "aborted") throw this.#error;
  }

  #wake() {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

/**
 * A socket, until it is closed, or silent for two heartbeats: a browser does not tell that nobody is there any more.
 *
 * @param {WebSocket} socket @param {number} heartbeat
 * @param {{onOpen: () => void, onFrame: (frame: object) => void, isNeeded: () => boolean}} handlers
 */
function watch(socket, heartbeat, { onOpen, onFrame, isNeeded }) {
  let isSilent = true;
  /** @type {(end: {code: number, reason: string}) => void} */
  let settle;
  const closed = new Promise((resolve) => (settle = resolve));
  // Nobody waits for the closing: it takes long when the other side is gone.
  const end = (code = 1000, reason = "") => {
    clearInterval(timer);
    socket.onopen = socket.onmessage = socket.onclose = null;
    connection.isOpen = false;
    socket.close();
    settle({ code, reason });
  };
  // A connection without streams is left to the server, which closes it in the end.
  const timer = setInterval(() => {
    const isIdle = connection.isOpen && !isNeeded();
    if (isSilent && !isIdle) return end(1006, "The connection was silent for too long.");
    isSilent = !isIdle;
    if (isSilent) socket.send('{"type":"ping"}');
  }, heartbeat);
  socket.onopen = () => {
    connection.isOpen = true;
    isSilent = false;
    onOpen();
  };
  socket.onmessage = ({ data }) => {
    isSilent = false;
    onFrame(JSON.parse(data));
  };
  socket.onclose = ({ code, reason }) => end(code, reason);
  socket.onerror = () => {}; // onclose tells more; the class of the package ws throws without it
  const connection = { isOpen: false, closed, close: () => end(), send: (/** @type {string} */ frame) => socket.send(frame) };
  return connection;
}

/** Bytes of a random name; `crypto.randomUUID` exists on secure pages alone. */
function unguessable() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {any[]} events @returns {Public.Answer} */
function answer(events) {
  const told = (/** @type {string} */ type) => events.filter((event) => event.type === type);
  const { finishReason, messageMetadata } = events[events.length - 1];
  return {
    text: told("text-delta").map(({ delta }) => delta).join(""),
    reasoningText: told("reasoning-delta").map(({ delta }) => delta).join(""),
    toolCalls: told("tool-input-available").map(({ toolCallId, toolName, input }) => ({ toolCallId, toolName, input })),
    object: told("data-object").pop()?.data,
    finishReason,
    ...messageMetadata,
  };
}

/** @param {string} code @param {string} message @param {boolean} [retryable] @param {unknown} [cause] */
function failure(code, message, retryable = true, cause) {
  return new AIModelsError({ code, message, retryable }, { cause });
}

/** @param {string} message @param {unknown} [cause] */
function aborted(message, cause) {
  return failure("aborted", message, false, cause);
}

/** @param {unknown} [cause] */
function lost(cause) {
  return failure("connection_lost", "The connection was lost, and with it the stream.", true, cause);
}
