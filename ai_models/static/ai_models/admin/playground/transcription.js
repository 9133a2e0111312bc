/** Transcription of a file, or of what is said into the microphone. */

import { byId, element, seconds } from "./dom.js";

/** @import { Attempt } from "../playground.js" */

const RATE = 16_000; // samples a second, which is what models of speech listen to

/** @param {Record<string, string | Blob>} request @param {Attempt} attempt */
export async function transcribe(request, { service, answer, signal, elapsed }) {
  const form = new FormData();
  for (const [name, value] of Object.entries(request)) form.append(name, value);
  const result = await service.post("transcribe", form, signal);
  const time = elapsed();
  const { words } = answer;
  answer.show(element("div", { class: "ai-answer" }, result.text || words.nothingSaid));
  if (result.segments.length) answer.show(element("div", { class: "ai-scroll", tabindex: "0" }, table(result.segments, words)));
  answer.tell([
    [words.language, result.language],
    [words.duration, result.durationInSeconds == null ? null : seconds(result.durationInSeconds * 1000)],
  ]);
  answer.tellCall(result, time);
}

/** @param {{text: string, startSecond: number, endSecond: number}[]} segments @param {Record<string, string>} words */
function table(segments, words) {
  const heads = [words.from, words.to, words.text].map((word) => element("th", { scope: "col" }, word));
  const rows = segments.map(({ text, startSecond, endSecond }) =>
    element("tr", {},
      element("td", {}, seconds(startSecond * 1000)), element("td", {}, seconds(endSecond * 1000)), element("td", {}, text)));
  return element("table", { class: "ai-table" }, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows));
}

/** Let the button record into the file's field, where the browser can do that. @param {Record<string, string>} words */
export function offerRecording(words) {
  const button = byId("playground-record");
  const field = byId("transcription-audio");
  if (!button || !navigator.mediaDevices?.getUserMedia || !globalThis.MediaRecorder) return;
  /** @type {MediaRecorder | undefined} */
  let recorder;
  button.hidden = false;
  button.onclick = async () => {
    if (recorder?.state === "recording") return recorder.stop();
    try {
      const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
      recorder = new MediaRecorder(microphone);
      recorder.ondataavailable = async ({ data }) => {
        for (const track of microphone.getTracks()) track.stop();
        button.textContent = words.record;
        put(field, await plain(data).catch(() => new File([data], "recording.webm", { type: data.type })));
      };
      recorder.start();
      button.textContent = words.stopRecording;
    } catch {
      button.textContent = words.noMicrophone;
      button.disabled = true;
    }
  };
}

/** Choose the file, as if the user had. @param {HTMLInputElement} field @param {File} file */
function put(field, file) {
  const transfer = new DataTransfer();
  transfer.items.add(file);
  field.files = transfer.files;
  field.dispatchEvent(new Event("change", { bubbles: true }));
}

/** What was recorded, as the plainest WAV: browsers record in formats that not every model takes. @param {Blob} recording */
async function plain(recording) {
  const sound = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await recording.arrayBuffer());
  const samples = sound.getChannelData(0);
  const view = new DataView(new ArrayBuffer(44 + samples.length * 2));
  const write = (/** @type {number} */ at, /** @type {string} */ text) =>
    [...text].forEach((letter, index) => view.setUint8(at + index, letter.charCodeAt(0)));
  write(0, "RIFF");
  view.setUint32(4, view.byteLength - 8, true);
  write(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // plain samples
  view.setUint16(22, 1, true); // of one channel
  view.setUint32(24, RATE, true);
  view.setUint32(28, RATE * 2, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  write(36, "data");
  view.setUint32(40, samples.length * 2, true);
  samples.forEach((sample, index) => view.setInt16(44 + index * 2, Math.max(-1, Math.min(1, sample)) * 0x7fff, true));
  return new File([view], "recording.wav", { type: "audio/wav" });
}
