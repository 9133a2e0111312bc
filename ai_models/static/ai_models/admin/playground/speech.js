/** Speech, played through the Web Audio API: a page under a strict policy may not load it from memory. */

import { bytes, download, element, fill, seconds } from "./dom.js";

/** @import { Attempt } from "../playground.js" */

const [WIDTH, HEIGHT, STRIDE] = [640, 80, 4]; // of the waveform, in pixels

/** @type {AudioContext | undefined} */
let device;

/** @param {object} request @param {Attempt} attempt */
export async function generateSpeech(request, { service, answer, signal, elapsed }) {
  const result = await service.post("generate-speech", request, signal);
  const time = elapsed();
  const { words } = answer;
  const file = new Blob([bytes(result.audio.base64)], { type: result.audio.mediaType });
  device ??= new AudioContext();
  const sound = await device.decodeAudioData(await file.arrayBuffer()).catch(() => undefined);
  if (sound) answer.show(waveform(sound, words), player(sound, device, signal, words));
  else answer.note(words.notPlayed);
  answer.show(element("p", {}, download(file, "speech", words.download)));
  answer.tell([
    [words.duration, sound && seconds(sound.duration * 1000)],
    [words.format, file.type],
  ]);
  answer.tellCall(result, time);
}

/**
 * Two buttons. What plays is stopped when another attempt begins.
 *
 * @param {AudioBuffer} sound @param {AudioContext} context @param {AbortSignal} signal @param {Record<string, string>} words
 */
function player(sound, context, signal, words) {
  /** @type {AudioBufferSourceNode | undefined} */
  let source;
  const play = element("button", { type: "button" }, words.play);
  const stop = element("button", { type: "button", class: "ai-plain" }, words.stop);
  const end = () => {
    source?.stop();
    source = undefined;
    play.disabled = false;
    stop.disabled = true;
  };
  stop.disabled = true;
  stop.onclick = end;
  play.onclick = async () => {
    await context.resume();
    source = new AudioBufferSourceNode(context, { buffer: sound });
    source.connect(context.destination);
    source.onended = end;
    source.start();
    play.disabled = true;
    stop.disabled = false;
  };
  signal.addEventListener("abort", end);
  return element("div", { class: "ai-buttons" }, play, stop);
}

/** @param {AudioBuffer} sound @param {Record<string, string>} words */
function waveform(sound, words) {
  const label = fill(words.waveform, { duration: seconds(sound.duration * 1000) });
  const canvas = element("canvas", { role: "img", "aria-label": label, width: `${WIDTH}`, height: `${HEIGHT}`, class: "ai-wave" });
  const context = canvas.getContext("2d");
  if (!context) return canvas;
  context.fillStyle = getComputedStyle(document.body).getPropertyValue("--link-fg");
  const samples = sound.getChannelData(0);
  const share = samples.length / (WIDTH / STRIDE);
  for (let bar = 0; bar < WIDTH / STRIDE; bar++) {
    const part = samples.subarray(Math.floor(bar * share), Math.ceil((bar + 1) * share));
    const height = Math.max(1, part.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0) * HEIGHT);
    context.fillRect(bar * STRIDE, (HEIGHT - height) / 2, STRIDE - 1, height);
  }
  return canvas;
}
