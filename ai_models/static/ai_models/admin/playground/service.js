/** The REST API, as the user of the page. */

import { AIModelsError } from "../../client.js";

export class Service {
  #base;
  #token;
  #words;

  /** @param {string} base the address that those of the API begin with @param {string} token against forged requests @param {Record<string, string>} words */
  constructor(base, token, words) {
    this.#base = base;
    this.#token = token;
    this.#words = words;
  }

  /** @param {string} path */
  address(path) {
    return this.#base + path;
  }

  /**
   * @param {string} path @param {object | FormData} body an object is sent as JSON @param {AbortSignal} [signal]
   * @returns {Promise<any>}
   */
  post(path, body, signal) {
    const isForm = body instanceof FormData;
    return this.#fetch(path, {
      method: "POST",
      headers: { "X-CSRFToken": this.#token, ...(isForm ? {} : { "Content-Type": "application/json" }) },
      body: isForm ? body : JSON.stringify(body),
      signal,
    });
  }

  /** @param {string} path @param {AbortSignal} [signal] @returns {Promise<any>} */
  get(path, signal) {
    return this.#fetch(path, { signal });
  }

  /** @param {string} path @param {RequestInit} init @throws {AIModelsError} whatever goes wrong, an `abort` too */
  async #fetch(path, init) {
    let response;
    try {
      response = await fetch(this.#base + path, init);
      const answer = await response.json();
      if (response.ok) return answer;
      if (answer.error?.code) throw new AIModelsError(answer.error);
    } catch (error) {
      if (error instanceof AIModelsError) throw error;
      if (init.signal?.aborted) throw new AIModelsError({ code: "aborted", message: "", retryable: false });
    }
    const message = response ? `${this.#words.noAnswer} (HTTP ${response.status})` : this.#words.noConnection;
    throw new AIModelsError({ code: "connection_failed", message, retryable: true });
  }
}
