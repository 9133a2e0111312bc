// What the tests of the client let it do. Each function gives what is to be compared.
import { WebSocket as WebSocketOfNode20 } from "ws";

import { AIModelsClient, fetchTicket } from "../../../ai_models/static/ai_models/client.js";

const HASTY = { firstDelay: 1, longestDelay: 20 };

/** A client with tickets, of the server at `url`; its socket may go through the proxy at `through`. */
function connect({ url, through = url, path = "/ws/ai/v1/", headers, options }) {
  const ticket = (signal) => fetchTicket(`${url}/api/ai/v1/ws-ticket`, { headers, signal });
  return new AIModelsClient({ url: through + path, ticket, ...HASTY, ...options });
}

async function collect(iterable) {
  const collected = [];
  for await (const item of iterable) collected.push(item);
  return collected;
}

/** What is seen of a stream by who reads its text, and by who waits for its result. */
export async function watch(stream) {
  let text = "";
  let thrown = null;
  try {
    for await (const piece of stream.text) text += piece;
  } catch ({ code }) {
    thrown = code;
  }
  const { result, error } = await settled(stream.result);
  return { id: stream.id, text, thrown, result, error };
}

function settled(promise) {
  const told = ({ name, code, message, retryable, requestId, cause }) => ({
    error: { name, code, message, retryable, requestId, cause: cause?.message },
  });
  return promise.then((result) => ({ result }), told);
}

/** Streams that are begun at once. */
export async function streams({ requests, stream, ...given }) {
  const client = connect(given);
  const seen = await Promise.all(requests.map((request) => watch(client.streamText(request, stream))));
  client.close();
  return seen;
}

/** Streams some of whose connections do not even close. Node waits for them, so the process is ended. */
export async function silenced(given) {
  console.log(JSON.stringify(await streams(given)));
  process.exit();
}

/** One stream as its events, over the class that Node 20 needs. */
export async function events({ request, ...given }) {
  const client = connect({ ...given, options: { WebSocket: WebSocketOfNode20 } });
  const told = await collect(client.streamText(request).events);
  client.close();
  return told;
}

export async function object({ request, ...given }) {
  const client = connect(given);
  const stream = client.streamObject(request);
  const [partial, { object, finishReason }] = await Promise.all([collect(stream.partialObjects), stream.result]);
  client.close();
  return { partial, object, finishReason };
}

/** One stream read by one that leaves at once, one that reads on when all is over, and one that comes then. */
export async function readers({ request, ...given }) {
  const client = connect(given);
  const stream = client.streamText(request);
  for await (const piece of stream.text) if (piece) break;
  const slow = stream.text;
  const first = await slow.next();
  const { text } = await stream.result;
  client.close();
  return { text, slow: first.value + (await collect(slow)).join(""), late: (await collect(stream.text)).join("") };
}

/** Streams cancelled when they have told something: by their method, by a signal, and by one that was aborted before. */
export async function cancelled({ request, ...given }) {
  const client = connect(given);
  const controller = new AbortController();
  const streams = [client.streamText(request), client.streamText(request, { signal: controller.signal })];
  streams.push(client.streamText(request, { signal: AbortSignal.abort(new Error("Too late")) }));
  const seen = streams.map(watch);
  for (const { events } of streams.slice(0, 2)) for await (const event of events) if (event.seq === 5) break;
  streams[0].cancel();
  controller.abort(new Error("Stop"));
  const outcomes = await Promise.all(seen);
  // The connection is as good as before.
  const next = await watch(client.streamText({ prompt: "Hello" }));
  client.close();
  return { outcomes, next };
}

/** A stream that a client leaves and another one comes back to; the second of them finds it cancelled by the first. */
export async function resumed({ request, ...given }) {
  const [first, second] = [connect(given), connect(given)];
  const left = first.streamText(request, { onDisconnect: "finish" });
  await left.text.next();
  const [came, unknown] = [second.resume(left.id), second.resume("nobody")];
  const outcomes = Promise.all([left, came, unknown].map(watch));
  await came.text.next();
  left.cancel();
  const seen = await outcomes;
  first.close();
  second.close();
  return seen;
}

/** What is left of streams when their client is closed, and a stream of the closed client. */
export async function closed({ request, ...given }) {
  const client = connect(given);
  const running = client.streamText(request);
  await running.text.next();
  const waiting = client.streamText(request);
  client.close();
  const seen = await Promise.all([running, waiting].map(watch));
  const next = await watch(client.streamText({ prompt: "Hello" }));
  client.close();
  return { seen, next };
}

/** A client whose tickets fail; nobody looks at its second stream. */
export async function ticketless({ url, failures }) {
  const tried = [];
  const ticket = async () => {
    tried.push(1);
    throw Object.assign(new Error("No network"), failures[tried.length - 1]);
  };
  const client = new AIModelsClient({ url: `${url}/ws/ai/v1/`, ticket, ...HASTY, attempts: 3 });
  const stream = client.streamText({ prompt: "Hello" });
  client.streamText({ prompt: "Hello" });
  return { seen: await watch(stream), tried: tried.length };
}

/** The class of this runtime, and what becomes of its sockets. */
function noting(onSend, onClose) {
  return class extends WebSocket {
    constructor(...given) {
      super(...given);
      this.addEventListener("close", ({ code }) => onClose?.(code));
    }
    send(frame) {
      super.send(frame);
      onSend(JSON.parse(frame));
    }
  };
}

/** The frames around a stream that is cancelled when its connection is silent already; Node waits for that one. */
export async function cancelled_in_silence({ request, stream, options, ...given }) {
  const sent = [];
  await new Promise((resolve) => {
    const onSend = (frame) => {
      sent.push(frame);
      if (frame.type === "ping") running.cancel();
      if (sent.filter(({ type }) => type === "cancel").length === 2) resolve();
    };
    const client = connect({ ...given, options: { ...options, WebSocket: noting(onSend) } });
    const running = client.streamText(request, stream);
  });
  console.log(JSON.stringify(sent));
  process.exit();
}

/** What becomes of a connection without streams, and of a stream after it. */
export async function idle({ request, options, ...given }) {
  let pings = 0;
  let client;
  const code = await new Promise((resolve) => {
    const onSend = ({ type }) => (pings += type === "ping");
    client = connect({ ...given, options: { ...options, WebSocket: noting(onSend, resolve) } });
    client.streamText(request).result.then(() => (pings = 0));
  });
  const { text } = await client.streamText(request).result;
  client.close();
  return { code, pings, text };
}

/** A client that authenticates in a way of its own. */
export async function authenticated({ url, headers, request }) {
  class Authenticated extends WebSocketOfNode20 {
    constructor(address, protocols) {
      super(address, protocols, { headers });
    }
  }
  const client = new AIModelsClient({ url: `${url}/ws/ai/v1/`, WebSocket: Authenticated });
  const seen = await watch(client.streamText(request));
  client.close();
  return seen;
}
