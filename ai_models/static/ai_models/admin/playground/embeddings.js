/** Embeddings, as a picture of how alike the texts are. */

import { element, fill, number } from "./dom.js";

/** @import { Attempt } from "../playground.js" */

const STEPS = 10;
const LARGEST = 30; // texts in the picture

/** @param {{values: string[]}} request @param {Attempt} attempt */
export async function embed(request, { service, answer, signal, elapsed }) {
  const result = await service.post("embed", request, signal);
  const time = elapsed();
  const { words } = answer;
  const vectors = result.embeddings.slice(0, LARGEST);
  answer.show(...picture(request.values, vectors, words));
  answer.tell([
    [words.dimensions, number(vectors[0].length)],
    [words.texts, number(result.embeddings.length)],
  ]);
  if (result.embeddings.length > LARGEST) answer.note(fill(words.firstTexts, { number: number(LARGEST) }));
  answer.tellCall(result, time);
}

/**
 * What is to be seen, and a table of cosines. Colours go from the least to the most alike of the pairs, because models use but a part of the scale.
 *
 * @param {string[]} texts @param {number[][]} vectors @param {Record<string, string>} words
 */
function picture(texts, vectors, words) {
  const cosines = vectors.map((one) => vectors.map((other) => cosine(one, other)));
  const pairs = cosines.flatMap((row, i) => row.slice(0, i).map((value, j) => ({ value, i, j }))).sort((a, b) => a.value - b.value);
  const [least, most] = [pairs[0]?.value ?? 0, pairs[pairs.length - 1]?.value ?? 1];
  const head = vectors.map((_, i) => element("th", { scope: "col", title: texts[i] }, `${i + 1}`));
  const rows = cosines.map((row, i) =>
    element("tr", {},
      element("th", { scope: "row", title: texts[i] }, `${i + 1}. ${texts[i]}`),
      ...row.map((value, j) => element("td", { class: i === j ? "ai-same" : `ai-step-${step(value, least, most)}` }, digits(value)))),
  );
  const table = element("table", { class: "ai-table ai-matrix", "aria-labelledby": "playground-picture" },
    element("thead", {}, element("tr", {}, element("td"), ...head)),
    element("tbody", {}, ...rows));
  return [
    element("p", { class: "ai-quiet", id: "playground-picture" }, caption(pairs, words)),
    element("div", { class: "ai-scroll", tabindex: "0", role: "group", "aria-labelledby": "playground-picture" }, table),
  ];
}

/** @param {{value: number, i: number, j: number}[]} pairs @param {Record<string, string>} words */
function caption(pairs, words) {
  const nearest = pairs[pairs.length - 1];
  if (!nearest) return words.cosine;
  return `${words.cosine} ${fill(words.nearest, { one: nearest.j + 1, other: nearest.i + 1, cosine: digits(nearest.value) })}`;
}

/** @param {number} value */
function digits(value) {
  return number(value, 2, 2);
}

/** @param {number} value @param {number} least @param {number} most */
function step(value, least, most) {
  return most > least ? Math.min(STEPS - 1, Math.floor((STEPS * (value - least)) / (most - least))) : STEPS - 1;
}

/** @param {number[]} one @param {number[]} other */
function cosine(one, other) {
  const dot = (/** @type {number[]} */ a, /** @type {number[]} */ b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  return dot(one, other) / Math.sqrt(dot(one, one) * dot(other, other) || 1);
}
