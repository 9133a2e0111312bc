/** What `client.js` offers. Times are in milliseconds. */

export interface ClientOptions {
  /** Of the websocket; relative to the page, and `/ws/ai/v1/` by default. */
  url?: string | URL;
  /**
   * Gets a ticket for one connection, see `fetchTicket`; the signal tells when it took too long. Pages with a session cookie
   * need none. When it fails it is called again later, unless the error's `retryable` is false.
   */
  ticket?: (signal: AbortSignal) => Promise<string>;
  /** The class, where the runtime has none of its own. */
  WebSocket?: any;
  /** A connection that is silent for so long is asked for an answer, and given up after as long again. 10,000 by default. */
  heartbeat?: number;
  /** How many connections in a row may bring nothing before the streams fail. 10 by default. */
  attempts?: number;
  /** The pause after the first of these; each further one is twice as long, and all vary at random. 250 by default. */
  firstDelay?: number;
  /** The longest pause. 20,000 by default. */
  longestDelay?: number;
  /** Bytes that the server takes in one message, its setting `WS_MAX_MESSAGE_BYTES`. 1 MiB by default. */
  largestMessage?: number;
}

export interface StreamOptions {
  /**
   * What the server does with the stream when the connection is lost. `cancel`, the default, ends it: it fails with
   * `connection_lost`. `finish` goes on, and nothing of the stream is missed.
   */
  onDisconnect?: "cancel" | "finish";
  /** Cancels the stream when it is aborted. */
  signal?: AbortSignal;
}

/** Streams of one user. Their one connection is made with the first stream, and stays until `close` or the server ends it. */
export class AIModelsClient {
  /** @throws {TypeError} The runtime has no `WebSocket` and none was given, or the address is not valid. */
  constructor(options?: ClientOptions);
  /** Begin a stream of text. The request is the body of the REST operation `stream-text`. */
  streamText(request: object, options?: StreamOptions): AIModelsStream;
  /** Begin a stream of structured output. The request is the body of the REST operation `stream-object`. */
  streamObject(request: object, options?: StreamOptions): AIModelsStream;
  /** Come back, from its first event on, to a stream that was begun with `onDisconnect: "finish"`, on another page maybe. */
  resume(id: string, options?: { signal?: AbortSignal }): AIModelsStream;
  /** Cancel every stream and end the connection; streams that are to finish do so on the server. */
  close(): void;
}

/**
 * A stream. Each use of `text`, `partialObjects` and `events` reads it from its beginning, at its own pace; to stop reading
 * does not cancel it. Reading ends with the stream. It throws an `AIModelsError` when the stream failed, not when it was
 * cancelled.
 */
export interface AIModelsStream {
  /** The name by which `AIModelsClient.resume` comes back to it. Nobody can guess it. */
  readonly id: string;
  /** The text, piece by piece. */
  readonly text: AsyncGenerator<string, void, void>;
  /** The object of structured output as far as it is known. Each replaces the one before; the last one is complete. */
  readonly partialObjects: AsyncGenerator<any, void, void>;
  /** Every event; `finish` is the last. */
  readonly events: AsyncGenerator<StreamEvent, void, void>;
  /** The complete answer. Rejected with an `AIModelsError` when the stream failed or was cancelled. */
  readonly result: Promise<Answer>;
  /** End the stream, here at once and on the server. */
  cancel(): void;
}

export interface Answer extends Metadata {
  text: string;
  reasoningText: string;
  toolCalls: { toolCallId: string; toolName: string; input: unknown }[];
  /** Of structured output. */
  object: any;
  finishReason: string;
}

export interface Metadata {
  usage: Record<string, any>;
  provider: string;
  model: string;
  warnings: Record<string, any>[];
}

/** An event as the server tells it; `seq` counts from 1. */
export type StreamEvent = { streamId: string; seq: number } & (
  | { type: "start"; messageId: string }
  | { type: "start-step" | "finish-step" }
  | { type: "text-start" | "text-end" | "reasoning-start"; id: string }
  | { type: "text-delta" | "reasoning-delta"; id: string; delta: string }
  | { type: "reasoning-end"; id: string; providerMetadata?: Record<string, unknown> }
  | { type: "tool-input-start"; toolCallId: string; toolName: string }
  | { type: "tool-input-delta"; toolCallId: string; inputTextDelta: string }
  | { type: "tool-input-available"; toolCallId: string; toolName: string; input: unknown }
  | { type: "data-object"; id: string; data: any }
  | { type: "finish"; finishReason: string; messageMetadata: Metadata }
);

export interface ErrorFields {
  /**
   * One of the service's codes, or of the client's own: `aborted`, `connection_lost` (the server ended the stream when the
   * connection was lost), `connection_failed` (no connection could be made).
   */
  code: string;
  message: string;
  /** Whether the same request may succeed later. */
  retryable: boolean;
  /** Who can do something about it. */
  remedy?: "caller" | "admin" | "provider" | "retry";
  /** The key of the configuration to set. */
  configPath?: string;
  /** Seconds to wait. */
  retryAfter?: number;
  /** Names the request in the server's log. */
  requestId?: string;
}

export interface AIModelsError extends ErrorFields {}

export class AIModelsError extends Error {
  constructor(error: ErrorFields, options?: { cause?: unknown });
}

/**
 * Get a ticket: `new AIModelsClient({ ticket: (signal) => fetchTicket("/api/ai/v1/ws-ticket", { headers, signal }) })`.
 *
 * @param init Its headers authenticate the user.
 * @throws {AIModelsError} The server refused.
 */
export function fetchTicket(url: string | URL, init?: RequestInit): Promise<string>;
