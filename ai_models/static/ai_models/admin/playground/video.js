/** Videos, which are jobs: asked for, looked at again and again, and played from their own address. */

import { element, fill } from "./dom.js";

/** @import { Attempt } from "../playground.js" */

const PAUSE = 2000; // milliseconds between two looks

/** @param {object} request @param {Attempt} attempt */
export async function generateVideo(request, { service, answer, signal, elapsed }) {
  const { words } = answer;
  // Stopped or not, it has to be known which job it is: whoever stops has no use for the video.
  let job = await service.post("generate-video", request);
  const cancel = () => service.post(`videos/${job.id}/cancel`, {}).catch(() => {});
  if (signal.aborted) cancel();
  signal.addEventListener("abort", cancel);
  answer.tell([[words.job, job.id]]);
  const bar = element("progress", { max: "100", "aria-label": words.progress });
  answer.show(bar);
  while (job.status === "queued" || job.status === "in_progress") {
    answer.say(words[`job_${job.status}`]);
    if (job.progress != null) bar.value = job.progress;
    await pause(signal);
    job = await service.get(`videos/${job.id}`, signal).catch((error) => {
      if (error.retryable) return job;
      throw error;
    });
  }
  signal.removeEventListener("abort", cancel);
  bar.remove();
  if (job.error) throw job.error;
  for (const { index } of job.videos) answer.show(...player(service.address(`videos/${job.id}/content?index=${index}`), index, words));
  answer.tell([[words.status, words[`job_${job.status}`]]]);
  answer.tellCall(job, elapsed());
}

/** @param {string} address @param {number} index @param {Record<string, string>} words */
function player(address, index, words) {
  return [
    element("video", { src: address, controls: "", "aria-label": fill(words.video, { number: index + 1 }) }),
    element("p", {}, element("a", { href: address, download: `video-${index + 1}` }, words.download)),
  ];
}

/** @param {AbortSignal} signal ends the pause */
function pause(signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, PAUSE);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve(undefined)), { once: true });
  });
}
