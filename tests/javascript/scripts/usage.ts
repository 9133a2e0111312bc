// What a TypeScript program does with the client, held against its types.
import { AIModelsClient, AIModelsError, fetchTicket, type StreamEvent } from "../../../ai_models/static/ai_models/client.js";

const ticket = (signal: AbortSignal): Promise<string> => fetchTicket("/api/ai/v1/ws-ticket", { signal });
const client = new AIModelsClient({ url: "/ws/ai/v1/", ticket, attempts: 3 });
const stream = client.streamText({ prompt: "Hello" }, { onDisconnect: "finish", signal: AbortSignal.timeout(1000) });

export async function show(write: (text: string) => void): Promise<number> {
  for await (const piece of stream.text) write(piece);
  for await (const event of stream.events) write(told(event));
  for await (const partial of client.streamObject({ prompt: "Ada", schema: {} }).partialObjects) write(partial.name);
  try {
    const { text, toolCalls, usage } = await client.resume(stream.id).result;
    return text.length + toolCalls.length + usage.outputTokens;
  } catch (error) {
    if (error instanceof AIModelsError && error.retryable) write(error.code + error.requestId?.toUpperCase());
    // @ts-expect-error: a stream has no such member.
    return stream.length;
  }
}

function told(event: StreamEvent): string {
  switch (event.type) {
    case "text-delta":
      return event.delta;
    case "finish":
      return event.messageMetadata.provider;
    default:
      // @ts-expect-error: not every event has text.
      return event.delta;
  }
}
