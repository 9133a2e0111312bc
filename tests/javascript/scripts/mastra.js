// An agent of Mastra's on a model of the AI SDK.
import { Agent } from "@mastra/core/agent";
import { createTool } from "@mastra/core/tools";
import { z } from "zod";

import { collect, connect } from "./ai_sdk.js";

const prompt = "Hello";

export async function agent(given) {
  const asked = [];
  const weather = createTool({
    id: "weather",
    description: "The weather in a city",
    inputSchema: z.object({ city: z.string() }),
    execute: async (input) => (asked.push(input.city), { degrees: 21 }),
  });
  const instructions = "Tell of the weather.";
  const agent = new Agent({ id: "guide", name: "Guide", instructions, model: connect(given)("scripted/any"), tools: { weather } });
  const { text } = await agent.generate(prompt);
  const pieces = await collect((await agent.stream(prompt)).textStream);
  const { object } = await agent.generate(prompt, { structuredOutput: { schema: z.object({ name: z.string(), age: z.number() }) } });
  return { text, asked, pieces, object };
}
