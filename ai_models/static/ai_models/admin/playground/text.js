/** Text and structured output, which stream over the websocket. */

import { element, number, seconds } from "./dom.js";

/** @import { Attempt } from "../playground.js" */
/** @import { AIModelsStream } from "../../client.d.ts" */

/** @param {object} request @param {Attempt} attempt */
export function generateText(request, attempt) {
  const text = element("div", { class: "ai-answer" });
  attempt.answer.show(text);
  return follow(attempt.client.streamText(request, { signal: attempt.signal }), attempt, {
    onText: (piece) => text.append(piece),
    onReasoning: reasoningBefore(text, attempt),
  });
}

/** @param {object} request @param {Attempt} attempt */
export function generateObject(request, attempt) {
  const { words } = attempt.answer;
  const shown = element("pre", { class: "ai-code", tabindex: "0", "aria-label": words.object });
  const raw = element("pre", { class: "ai-code", tabindex: "0", "aria-label": words.rawText });
  const more = element("details", {}, element("summary", {}, words.rawText), raw);
  attempt.answer.show(shown, more);
  return follow(attempt.client.streamObject(request, { signal: attempt.signal }), attempt, {
    onText: (piece) => raw.append(piece),
    onReasoning: reasoningBefore(shown, attempt),
    onObject: (object) => (shown.textContent = JSON.stringify(object, null, 2)),
  });
}

/**
 * Read a stream to its end and tell about it, also when it ends early.
 *
 * @param {AIModelsStream} stream @param {Attempt} attempt
 * @param {{onText: (piece: string) => void, onReasoning: (piece: string) => void, onObject?: (object: unknown) => void}} handlers
 */
async function follow(stream, { answer, elapsed }, { onText, onReasoning, onObject }) {
  const { words } = answer;
  let first = 0;
  const come = () => {
    if (first) return;
    first = elapsed();
    answer.say(words.receiving);
    answer.tell([[words.firstToken, seconds(first)]]);
  };
  for await (const event of stream.events) {
    if (event.type === "text-delta") come(), onText(event.delta);
    else if (event.type === "reasoning-delta") come(), onReasoning(event.delta);
    else if (event.type === "data-object") onObject?.(event.data);
  }
  const result = await stream.result;
  const time = elapsed();
  answer.tell([
    [words.speed, speed(result.usage.outputTokens, time - first)],
    [words.finishReason, result.finishReason],
  ]);
  answer.tellCall(result, time);
}

/** Tokens a second, the first one aside, which took its own time. @param {number | null} tokens @param {number} milliseconds */
function speed(tokens, milliseconds) {
  return tokens != null && tokens > 1 ? number(((tokens - 1) * 1000) / milliseconds, 1) : null;
}

/** What the model thinks, folded up before its answer. @param {Node} answer @param {Attempt} attempt */
function reasoningBefore(answer, attempt) {
  /** @type {HTMLElement | undefined} */
  let thoughts;
  return (/** @type {string} */ piece) => {
    if (!thoughts) {
      thoughts = element("div", { class: "ai-answer ai-quiet" });
      answer.parentNode?.insertBefore(
        element("details", { class: "ai-reasoning" }, element("summary", {}, attempt.answer.words.reasoning), thoughts),
        answer,
      );
    }
    thoughts.append(piece);
  };
}
