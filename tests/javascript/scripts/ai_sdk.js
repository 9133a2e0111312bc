// The AI SDK with its OpenAI-compatible provider. Each function gives what it got.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embed, embedMany, generateImage, generateText, isStepCount, Output, streamText, tool } from "ai";
import { z } from "zod";

const name = "scripted/any";
const prompt = "Hello";
const person = z.object({ name: z.string(), age: z.number() });
const city = z.object({ city: z.string() });

export function connect({ url, token }) {
  return createOpenAICompatible({
    name: "ai-models",
    baseURL: `${url}/api/ai/openai/v1`,
    apiKey: token,
    includeUsage: true,
    supportsStructuredOutputs: true,
  });
}

export async function collect(iterable) {
  const collected = [];
  for await (const item of iterable) collected.push(item);
  return collected;
}

export async function text(given) {
  const model = connect(given)(name);
  const { text, finishReason, usage } = await generateText({ model, prompt, system: "Be brief." });
  const streamed = streamText({ model, prompt });
  const pieces = await collect(streamed.textStream);
  return { text, finishReason, tokens: usage.totalTokens, pieces, streamed: (await streamed.usage).totalTokens };
}

/** Both ways of asking run the tool and ask again. */
export async function tools({ streamed, ...given }) {
  const asked = [];
  const weather = tool({ inputSchema: city, execute: async ({ city }) => (asked.push(city), { degrees: 21 }) });
  const request = { model: connect(given)(name), prompt, tools: { weather }, stopWhen: isStepCount(3) };
  const answer = streamed ? streamText(request) : await generateText(request);
  return { text: await answer.text, asked, steps: (await answer.steps).length };
}

export async function object(given) {
  const request = { model: connect(given)(name), prompt, output: Output.object({ schema: person }) };
  const streamed = streamText(request);
  const partial = await collect(streamed.partialOutputStream);
  return { whole: (await generateText(request)).output, last: partial.at(-1) };
}

export async function embeddings(given) {
  const model = connect(given).embeddingModel(name);
  const { embedding } = await embed({ model, value: "a cat" });
  const { embeddings } = await embedMany({ model, values: ["a cat", "a kitten"] });
  return { embedding, embeddings };
}

export async function image(given) {
  const { image } = await generateImage({ model: connect(given).imageModel(name), prompt: "A fox" });
  return image.base64;
}

/** What a request is refused with. */
export async function error({ model, ...given }) {
  return generateText({ model: connect(given)(model), prompt, maxRetries: 0 }).then(String, (error) => {
    const { name, statusCode, isRetryable, message } = error;
    return { name, statusCode, isRetryable, message };
  });
}
