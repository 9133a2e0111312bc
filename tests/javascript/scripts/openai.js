// OpenAI's own client. Each function gives what it got.
import OpenAI, { toFile } from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const messages = [{ role: "user", content: "Hello" }];
const model = "scripted/any";

function connect({ url, token, maxRetries = 0 }) {
  return new OpenAI({ baseURL: `${url}/api/ai/openai/v1`, apiKey: token, maxRetries });
}

export async function chat(given) {
  const completion = await connect(given).chat.completions.create({ model, messages, max_tokens: 10, temperature: 0 });
  const { choices, usage, object } = completion;
  return { object, model: completion.model, ...choices[0], usage };
}

export async function stream(given) {
  const stream = await connect(given).chat.completions.create({
    model,
    messages,
    stream: true,
    stream_options: { include_usage: true },
  });
  const pieces = [];
  let usage;
  for await (const chunk of stream) {
    pieces.push(chunk.choices[0]?.delta.content ?? "");
    usage = chunk.usage ?? usage;
  }
  return { text: pieces.join(""), pieces: pieces.filter(Boolean).length, tokens: usage.total_tokens };
}

/** The client's helper asks, calls the tool and asks again. */
export async function tools({ streamed, ...given }) {
  const asked = [];
  const weather = {
    name: "weather",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    parse: JSON.parse,
    function: ({ city }) => (asked.push(city), { degrees: 21 }),
  };
  const request = { model, messages, tools: [{ type: "function", function: weather }], stream: streamed };
  const runner = connect(given).chat.completions.runTools(request);
  return { text: await runner.finalContent(), asked };
}

export async function object(given) {
  const schema = z.object({ name: z.string(), age: z.number() });
  const request = { model, messages, response_format: zodResponseFormat(schema, "person") };
  const client = connect(given);
  const whole = await client.chat.completions.parse(request);
  const streamed = await client.chat.completions.stream(request).finalChatCompletion();
  return [whole, streamed].map(({ choices }) => choices[0].message.parsed);
}

export async function embeddings(given) {
  const request = { model, input: ["a cat", "a kitten"] };
  const client = connect(given);
  const answers = [undefined, "float"].map((encoding_format) => client.embeddings.create({ ...request, encoding_format }));
  const [base64, float] = (await Promise.all(answers)).map(({ data }) => data.map(({ embedding }) => embedding));
  const raw = await client.embeddings.create({ ...request, encoding_format: "base64" });
  return { base64, float, raw: raw.data.map(({ embedding }) => embedding) };
}

export async function files(given) {
  const client = connect(given);
  const { data } = await client.images.generate({ model, prompt: "A fox", n: 2 });
  const speech = await client.audio.speech.create({ model, input: "Hello", voice: "alloy" });
  const sound = Buffer.from(await speech.arrayBuffer());
  const file = await toFile(sound, "hello.wav");
  const { text } = await client.audio.transcriptions.create({ model, file });
  const srt = await client.audio.transcriptions.create({ model, file, response_format: "text" });
  const images = data.map(({ b64_json }) => b64_json);
  return { images, type: speech.headers.get("content-type"), sound: sound.toString("base64"), text, plain: srt };
}

export async function models(given) {
  const client = connect(given);
  const listed = [];
  for await (const { id, object } of client.models.list()) listed.push({ id, object });
  const { id } = await client.models.retrieve(listed[0].id);
  return { listed, id };
}

/** What a request is refused with. */
export async function error({ request, ...given }) {
  try {
    const answer = await connect(given).chat.completions.create({ model, messages, ...request });
    if (request.stream) for await (const chunk of answer) void chunk;
  } catch (error) {
    const { status, code, type, param, message, requestID } = error;
    return { name: error.constructor.name, status, code, type, param, message, requestID };
  }
}

/** Ends a stream that would go on for ever. */
export async function aborted({ ask, ...given }) {
  const stream = await connect(given).chat.completions.create({ model: ask, messages, stream: true });
  let text = "";
  for await (const { choices } of stream) {
    text += choices[0].delta.content ?? "";
    if (text.endsWith("😀")) stream.controller.abort();
  }
  return text;
}
