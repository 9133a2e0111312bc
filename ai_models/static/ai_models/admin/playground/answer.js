/** The part of the page that shows an answer: what came, facts about it, warnings, or what went wrong. */

import { byId, element, fill, number, seconds } from "./dom.js";

/** @import { AIModelsError } from "../../client.d.ts" */

export class Answer {
  #state = byId("playground-state");
  #output = byId("playground-output");
  #facts = byId("playground-facts");
  #notes = byId("playground-notes");

  /** @param {Record<string, string>} words */
  constructor(words) {
    this.words = words;
  }

  clear() {
    for (const link of this.#output.querySelectorAll("a[download]")) URL.revokeObjectURL(link.href);
    for (const part of [this.#output, this.#facts, this.#notes]) part.replaceChildren();
  }

  /** Announce how far it is, in a few words. @param {string} text @param {"" | "good" | "bad"} [tone] */
  say(text, tone = "") {
    this.#state.textContent = text;
    this.#state.dataset.tone = tone;
  }

  /** @param {Node[]} nodes */
  show(...nodes) {
    this.#output.append(...nodes);
  }

  /** What is known of the call; what is not known is left out. @param {[string, string | null | undefined][]} facts */
  tell(facts) {
    for (const [name, value] of facts) {
      if (value != null) this.#facts.append(element("dt", {}, name), element("dd", {}, value));
    }
  }

  /** What every result tells. @param {any} result @param {number} time in milliseconds */
  tellCall(result, time) {
    const { words } = this;
    this.tell([
      [words.totalTime, seconds(time)],
      ...this.#tokens(result.usage ?? {}),
      [words.provider, result.provider],
      [words.model, result.model],
    ]);
    for (const warning of result.warnings ?? []) {
      const mark = element("span", { class: "ai-chip ai-warn" }, warning.setting ?? words.warning);
      this.#notes.append(element("p", {}, mark, ` ${warning.message}`));
    }
  }

  /** @param {any} usage @returns {[string, string | null][]} */
  #tokens(usage) {
    const { words } = this;
    const counts = [
      [words.inputTokens, usage.inputTokens],
      [words.cachedTokens, usage.inputTokenDetails?.cacheRead],
      [words.outputTokens, usage.outputTokens],
      [words.reasoningTokens, usage.outputTokenDetails?.reasoning],
      [words.tokens, usage.tokens ?? (usage.outputTokens == null ? usage.totalTokens : null)],
    ];
    return counts.map(([name, count]) => [name, count == null ? null : number(count)]);
  }

  /** @param {AIModelsError} error */
  fail(error) {
    const { words } = this;
    this.say(words.failed, "bad");
    const remedy = error.retryAfter ? fill(words.retryAfter, { seconds: number(Math.ceil(error.retryAfter)) }) : words[`remedy_${error.remedy}`];
    this.#notes.append(
      element("p", {}, element("span", { class: "ai-chip ai-bad" }, error.code), ` ${error.message}`),
      ...(remedy ? [element("p", {}, remedy)] : []),
    );
    this.tell([
      [words.configPath, error.configPath],
      [words.requestId, error.requestId],
    ]);
  }

  /** @param {string} text */
  note(text) {
    this.#notes.append(element("p", {}, text));
  }
}
