// Plays a published stream to the client, without a server.
import { AIModelsClient } from "../../../ai_models/static/ai_models/client.js";
import { watch } from "./client.js";

/** What the client makes of the frames, and the types of those that it sent. */
export async function play({ frames }) {
  const sent = [];
  const begun = frames[0].client;
  let stream;

  class Recorded {
    constructor() {
      setImmediate(() => this.onopen());
    }
    send(text) {
      sent.push(JSON.parse(text).type);
      frames.shift();
      setImmediate(() => this.play());
    }
    play() {
      while (frames[0]?.server) {
        const { server } = frames.shift();
        // The client has no ear for what comes after it was closed.
        this.onmessage?.({ data: JSON.stringify({ ...server, streamId: stream.id }) });
      }
      if (frames[0]?.client?.type === "cancel") stream.cancel();
      if (frames[0]?.connection) this.lose();
    }
    lose() {
      frames.shift();
      this.onclose({ code: 1006, reason: "" });
    }
    close() {}
  }

  const client = new AIModelsClient({ url: "ws://recorded", WebSocket: Recorded, firstDelay: 1 });
  const options = { onDisconnect: begun.onDisconnect ?? begun.request?.onDisconnect };
  if (begun.type === "stream-object") stream = client.streamObject(begun.request, options);
  else if (begun.type === "stream-text") stream = client.streamText(begun.request, options);
  else stream = client.resume(begun.streamId);
  const seen = await watch(stream);
  client.close();
  return { seen, sent };
}
