/**
 * The playground: tries what the user may use, through the public API, and shows the same call as code.
 *
 * @module
 */

import { AIModelsClient } from "../client.js";
import { Answer } from "./playground/answer.js";
import { byId, fill, seconds } from "./playground/dom.js";
import { embed } from "./playground/embeddings.js";
import { body, curl, javascript, python } from "./playground/equivalents.js";
import { Form } from "./playground/form.js";
import { generateImage } from "./playground/images.js";
import { Service } from "./playground/service.js";
import { generateSpeech } from "./playground/speech.js";
import { copy, wireTabs } from "./playground/tabs.js";
import { generateObject, generateText } from "./playground/text.js";
import { offerRecording, transcribe } from "./playground/transcription.js";
import { generateVideo } from "./playground/video.js";

/**
 * One call and what it needs. `elapsed` is the time since it was sent, in milliseconds; `signal` ends it, and what is left of
 * it when the next one begins.
 *
 * @typedef {{service: Service, client: AIModelsClient, answer: Answer, signal: AbortSignal, elapsed: () => number}} Attempt
 */

/** @type {Record<string, (request: any, attempt: Attempt) => Promise<void>>} */
const STREAMS = { "text-generation": generateText, "structured-output": generateObject };

/** @type {Record<string, (request: any, attempt: Attempt) => Promise<void>>} */
const CALLS = {
  ...STREAMS,
  embeddings: embed,
  "image-generation": generateImage,
  "speech-generation": generateSpeech,
  transcription: transcribe,
  "video-generation": generateVideo,
};

const data = JSON.parse(byId("playground-data").textContent);
const { words } = data;
const element = byId("playground");
const [send, stop, copied] = ["playground-send", "playground-stop", "playground-copied"].map(byId);
const form = new Form(element, data.offers, words);
const answer = new Answer(words);
const service = new Service(data.api, element.elements.csrfmiddlewaretoken.value, words);
const client = new AIModelsClient({ url: data.socket, attempts: 3 });
let controller = new AbortController();

async function attempt() {
  controller.abort();
  controller = new AbortController();
  const { signal } = controller;
  const { capability } = form;
  const begun = performance.now();
  const elapsed = () => performance.now() - begun;
  answer.clear();
  answer.say(words.waiting);
  showAnswer();
  showRunning(true);
  try {
    await CALLS[capability](body(form.fields()), { service, client, answer, signal, elapsed });
    answer.say(words.done, "good");
  } catch (error) {
    answer.tell([[words.totalTime, seconds(elapsed())]]);
    fail(/** @type {any} */ (error), capability in STREAMS);
  }
  showRunning(false);
}

/** @param {any} error @param {boolean} isStream */
function fail(error, isStream) {
  if (error.code === "aborted") return answer.say(words.stopped);
  answer.fail(error.code ? error : { code: error.name, message: error.message });
  if (isStream && error.code === "connection_failed") answer.note(fill(words.noSocket, { address: data.socket }));
}

/** Scroll to the answer, where it is below or above what is seen. */
function showAnswer() {
  const card = byId("playground-answer");
  const { top } = card.getBoundingClientRect();
  if (top < 0 || top > innerHeight / 2) card.scrollIntoView();
}

/** One of two buttons is there; the keyboard stays on it. @param {boolean} isRunning */
function showRunning(isRunning) {
  const [shown, hidden] = isRunning ? [stop, send] : [send, stop];
  const isFocused = document.activeElement === hidden;
  shown.hidden = false;
  hidden.hidden = true;
  if (isFocused) shown.focus();
}

function showEquivalents() {
  const here = (/** @type {string} */ path) => new URL(path, location.href).href;
  const setup = { capability: form.capability, api: data.api, socket: data.socket, client: data.client };
  const languages = Object.entries({ python, curl, javascript });
  let fields;
  try {
    fields = form.fields();
  } catch {
    for (const [name] of languages) byId(`playground-${name}`).textContent = words.notJSON;
    return;
  }
  for (const [name, write] of languages) {
    const api = name === "curl" ? here(data.api) : data.api;
    byId(`playground-${name}`).textContent = write({ ...setup, fields, api });
  }
  copied.textContent = "";
}

element.addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
  event.preventDefault();
  if (stop.hidden) attempt();
});
stop.onclick = () => controller.abort();
byId("playground-copy").onclick = async () => {
  const shown = document.querySelector("[role=tabpanel]:not([hidden])");
  copied.textContent = (await copy(/** @type {HTMLElement} */ (shown))) ? words.copied : words.notCopied;
};
for (const type of ["input", "change"]) element.addEventListener(type, showEquivalents);

const wanted = Object.fromEntries(new URLSearchParams(location.search));
form.choose(wanted);
if (wanted.provider && form.provider !== wanted.provider) answer.say(fill(words.notOffered, wanted));
wireTabs(byId("playground-tabs"));
offerRecording(words);
showEquivalents();
element.hidden = false;
