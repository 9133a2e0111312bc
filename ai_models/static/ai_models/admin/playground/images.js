/** Images, drawn on a canvas: a page under a strict policy may not load them from memory. */

import { bytes, download, element, fill } from "./dom.js";

/** @import { Attempt } from "../playground.js" */

/** @param {{prompt: string}} request @param {Attempt} attempt */
export async function generateImage(request, { service, answer, signal, elapsed }) {
  const result = await service.post("generate-image", request, signal);
  const time = elapsed();
  for (const [index, image] of result.images.entries()) {
    const file = new Blob([bytes(image.base64)], { type: image.mediaType });
    const label = fill(answer.words.image, { number: index + 1, prompt: request.prompt });
    answer.show(
      element("figure", { class: "ai-image" },
        await drawn(file, label).catch(() => element("p", {}, answer.words.notDrawn)),
        element("figcaption", {}, download(file, `image-${index + 1}`, answer.words.download))),
    );
  }
  answer.tellCall(result, time);
}

/** @param {Blob} file @param {string} label */
async function drawn(file, label) {
  const bitmap = await createImageBitmap(file);
  const canvas = element("canvas", { role: "img", "aria-label": label, width: `${bitmap.width}`, height: `${bitmap.height}` });
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas;
}
