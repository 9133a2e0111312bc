/** The same call in Python, for curl and in JavaScript. No credential is ever in it. */

/**
 * @typedef {object} Setup
 * @property {string} capability
 * @property {Record<string, any>} fields by the names of Python
 * @property {string} api the address that those of the API begin with
 * @property {string} socket the websocket's address
 * @property {string} client the address of the JavaScript client
 */

const [PYTHON_SAVES, PATH] = [`"." + file.media_type.partition("/")[2]`, "from pathlib import Path\n\n"];

/** How each capability is called: the method of Python, the operation of REST, and what is done with the result. */
const CALLS = {
  "text-generation": {
    method: "stream_text",
    operation: "stream-text",
    python: (/** @type {string} */ call) =>
      `stream = ${call}\nfor piece in stream.text_stream:\n    print(piece, end="", flush=True)\nprint(f"\\n{stream.response.usage}")`,
    javascript: "for await (const piece of stream.text) document.body.append(piece);\nconsole.log((await stream.result).usage);",
  },
  "structured-output": {
    method: "stream_object",
    operation: "stream-object",
    python: (/** @type {string} */ call) =>
      `stream = ${call}\nfor partial in stream.partial_object_stream:\n    print(partial)\nprint(stream.response.object)`,
    javascript: "for await (const partial of stream.partialObjects) console.log(partial);\nconsole.log((await stream.result).object);",
  },
  embeddings: {
    method: "embed",
    operation: "embed",
    python: (/** @type {string} */ call) => `result = ${call}\nfor vector in result.embeddings:\n    print(len(vector), vector[:3])`,
    javascript: "console.log(result.embeddings);",
  },
  "image-generation": {
    method: "generate_image",
    operation: "generate-image",
    imports: PATH,
    python: (/** @type {string} */ call) =>
      `result = ${call}\nfor number, file in enumerate(result.images, 1):\n    Path(f"image-{number}").with_suffix(${PYTHON_SAVES}).write_bytes(file.bytes)`,
    javascript: "for (const { mediaType, base64 } of result.images) console.log(mediaType, base64);",
    accept: "image/*",
  },
  "speech-generation": {
    method: "generate_speech",
    operation: "generate-speech",
    imports: PATH,
    python: (/** @type {string} */ call) => `file = ${call}.audio\nPath("speech").with_suffix(${PYTHON_SAVES}).write_bytes(file.bytes)`,
    javascript: "console.log(result.audio.mediaType, result.audio.base64);",
    accept: "audio/*",
  },
  transcription: {
    method: "transcribe",
    operation: "transcribe",
    imports: PATH,
    python: (/** @type {string} */ call) => `result = ${call}\nprint(result.text)`,
    javascript: "console.log(result.text);",
  },
  "video-generation": {
    method: "generate_video",
    operation: "generate-video",
    imports: PATH,
    python: (/** @type {string} */ call) =>
      `job = ai_models.wait_for_video(${call}.id)\nprint(job.status, job.error)\n` +
      `if job.status == "completed":\n    Path("video.mp4").write_bytes(b"".join(ai_models.read_video(job.id)))`,
    javascript: "console.log(result.status, result.id);",
  },
};

/** @param {Setup} setup */
function callOf({ capability }) {
  return CALLS[/** @type {keyof typeof CALLS} */ (capability)];
}

/** The body of the REST operation: the fields by their names in JSON. @param {Record<string, any>} fields */
export function body(fields) {
  const camel = (/** @type {string} */ name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [camel(name), value]));
}

// --- Python ----------------------------------------------------------------------------------------------------------

/** @param {Setup} setup */
export function python(setup) {
  const call = callOf(setup);
  const { prompt, text, audio, ...named } = setup.fields;
  const first = setup.capability === "transcription" ? `Path(${literal(name(audio))})` : (prompt ?? text) && literal(prompt ?? text);
  const parts = Object.entries(named).map(([key, value]) => `${key}=${literal(value, "    ")}`);
  const lines = [...(first ? [first] : []), ...parts].map((part) => `    ${part},\n`);
  const imports = "imports" in call ? call.imports : "";
  return `${imports}import ai_models\n\n${call.python(`ai_models.${call.method}(\n${lines.join("")})`)}\n`;
}

/** A value as Python writes it. @param {any} value @param {string} [indent] of the line that it begins in @returns {string} */
function literal(value, indent = "") {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  // The escapes of JSON mean the same in Python.
  if (typeof value !== "object") return JSON.stringify(value);
  const deeper = `${indent}    `;
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const items = Array.isArray(value)
    ? value.map((item) => literal(item, deeper))
    : Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${literal(item, deeper)}`);
  const line = open + items.join(", ") + close;
  return line.length + indent.length <= 100 ? line : `${open}\n${items.map((item) => `${deeper}${item},\n`).join("")}${indent}${close}`;
}

// --- curl ------------------------------------------------------------------------------------------------------------

/** @param {Setup} setup */
export function curl(setup) {
  const { fields, api } = setup;
  const call = callOf(setup);
  const isStream = call.method.startsWith("stream");
  // The bytes of one file can be the answer.
  const saves = "accept" in call && (fields.n ?? 1) === 1 ? call.accept : "";
  const parts = [
    `curl -s${isStream ? "N" : ""}${saves ? "OJ" : ""} ${api}${call.operation}`,
    `-H "Authorization: Bearer $AI_TOKEN"`,
    ...(saves ? [`-H ${quoted(`Accept: ${saves}`)}`] : []),
    ...(setup.capability === "transcription" ? formParts(fields) : jsonParts(fields)),
  ];
  const command = `${parts.join(" \\\n  ")}\n`;
  return setup.capability === "video-generation" ? command + followingVideo(api) : command;
}

/** @param {Record<string, any>} fields */
function jsonParts(fields) {
  return ["-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(body(fields)))}`];
}

/** @param {Record<string, any>} fields */
function formParts({ audio, ...named }) {
  const file = name(audio).replace(/["\\]/g, "\\$&");
  return [`-F ${quoted(`audio=@"${file}"`)}`, ...Object.entries(body(named)).map(([key, value]) => `--form-string ${quoted(`${key}=${value}`)}`)];
}

/** @param {string} api */
function followingVideo(api) {
  return [
    "# Ask with the answer's id until its status is completed, and fetch the video then:",
    `# curl -s ${api}videos/ID -H "Authorization: Bearer $AI_TOKEN"`,
    `# curl -sOJ ${api}videos/ID/content -H "Authorization: Bearer $AI_TOKEN"\n`,
  ].join("\n");
}

/** For a shell. @param {string} text */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

// --- JavaScript ------------------------------------------------------------------------------------------------------

/** @param {Setup} setup */
export function javascript(setup) {
  const { fields, api } = setup;
  const call = callOf(setup);
  const intro = "// A module of a page of this site, for the user who is signed in.";
  if (call.method.startsWith("stream")) {
    const method = call.method.replace(/_(\w)/, (_, letter) => letter.toUpperCase());
    return (
      `${intro}\nimport { AIModelsClient } from ${JSON.stringify(setup.client)};\n\n` +
      `const client = new AIModelsClient({ url: ${JSON.stringify(setup.socket)} });\n` +
      `const stream = client.${method}(${JSON.stringify(body(fields), null, 2)});\n${call.javascript}\n`
    );
  }
  const [headers, content] = setup.capability === "transcription" ? formBody(fields) : jsonBody(fields);
  return (
    `${intro} The page has {% csrf_token %}.\n` +
    `const csrfToken = document.querySelector("[name=csrfmiddlewaretoken]").value;\n${content}` +
    `const response = await fetch(${JSON.stringify(api + call.operation)}, {\n  method: "POST",\n  headers: ${headers},\n  body,\n});\n` +
    `const result = await response.json();\n${call.javascript}\n`
  );
}

/** @param {Record<string, any>} fields */
function jsonBody(fields) {
  return [
    `{ "Content-Type": "application/json", "X-CSRFToken": csrfToken }`,
    `const body = JSON.stringify(${JSON.stringify(body(fields), null, 2)});\n`,
  ];
}

/** @param {Record<string, any>} fields */
function formBody({ audio, ...named }) {
  const lines = Object.entries(body(named)).map(([key, value]) => `body.append(${JSON.stringify(key)}, ${JSON.stringify(value)});\n`);
  return [
    `{ "X-CSRFToken": csrfToken }`,
    `const body = new FormData();\nbody.append("audio", document.querySelector("[type=file]").files[0]);\n${lines.join("")}`,
  ];
}

/** A file's name. @param {File | undefined} file */
function name(file) {
  return file?.name ?? "speech.wav";
}
