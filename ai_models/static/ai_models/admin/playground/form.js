/** The form: which capability, provider and model, and the fields that the capability has. */

import { element } from "./dom.js";

/** @typedef {{provider: string, isDefault: boolean, defaultModel: string | null, models: string[]}} Offer */

export class Form {
  #form;
  #offers;
  #words;

  /** @param {HTMLFormElement} form @param {Record<string, Offer[]>} offers by capability @param {Record<string, string>} words */
  constructor(form, offers, words) {
    this.#form = form;
    this.#offers = offers;
    this.#words = words;
    form.addEventListener("change", ({ target }) => {
      const { name } = /** @type {HTMLInputElement} */ (target);
      if (name === "capability") this.#showCapability();
      if (name === "provider") this.#showModels();
    });
    form.addEventListener("input", ({ target }) => this.#check(/** @type {HTMLTextAreaElement} */ (target)));
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      form.requestSubmit();
    });
  }

  /** Choose what an address asks for, as far as it is offered. @param {Record<string, string>} wanted */
  choose({ capability, provider, model }) {
    const radios = [...this.#all("[name=capability]")];
    const offers = (/** @type {HTMLInputElement} */ radio) => this.#offers[radio.value].some((offer) => offer.provider === provider);
    const radio = radios.find(({ value }) => value === capability) ?? radios.find(offers) ?? radios[0];
    radio.checked = true;
    this.#showCapability(provider);
    this.#one("[name=model]").value = model ?? "";
  }

  get capability() {
    return this.#one("[name=capability]:checked").value;
  }

  get provider() {
    return this.#one("[name=provider]").value;
  }

  /**
   * What is filled in, by the names of the methods' arguments.
   *
   * @returns {Record<string, any>}
   * @throws {SyntaxError} A field has to be JSON and is not.
   */
  fields() {
    const names = this.#all(`[data-capability=${this.capability}] [name], [name=provider], [name=model]`);
    const filled = [...names].map((field) => [field.name, read(field)]);
    return Object.fromEntries(filled.filter(([, value]) => value !== "" && value !== undefined));
  }

  #showCapability(provider = this.provider) {
    for (const panel of this.#form.querySelectorAll("fieldset[data-capability]")) {
      const fieldset = /** @type {HTMLFieldSetElement} */ (panel);
      // What is disabled is neither checked nor required.
      fieldset.hidden = fieldset.disabled = fieldset.dataset.capability !== this.capability;
    }
    const offers = this.#offers[this.capability];
    this.#one("[name=provider]").replaceChildren(...offers.map(({ provider: name, isDefault }) =>
      element("option", { value: name }, isDefault ? `${name} (${this.#words.default})` : name)));
    if (offers.some((offer) => offer.provider === provider)) this.#one("[name=provider]").value = provider;
    this.#showModels();
  }

  #showModels() {
    const offer = this.#offers[this.capability].find(({ provider }) => provider === this.provider);
    const field = this.#one("[name=model]");
    const models = offer?.models ?? [];
    if (!models.includes(field.value)) field.value = "";
    field.placeholder = offer?.defaultModel ?? "";
    field.required = !offer?.defaultModel;
    field.list?.replaceChildren(...models.map((value) => element("option", { value })));
  }

  /** @param {HTMLTextAreaElement} field */
  #check(field) {
    if (field.dataset.kind !== "json") return;
    try {
      JSON.parse(field.value);
      field.setCustomValidity("");
    } catch (error) {
      field.setCustomValidity(`${this.#words.notJSON} ${/** @type {Error} */ (error).message}`);
    }
  }

  /** @param {string} selector @returns {NodeListOf<HTMLInputElement>} */
  #all(selector) {
    return this.#form.querySelectorAll(selector);
  }

  /** @param {string} selector @returns {HTMLInputElement} */
  #one(selector) {
    return this.#all(selector)[0];
  }
}

/** @param {HTMLInputElement} field @returns {any} */
function read(field) {
  if (field.value === "") return undefined;
  if (field.type === "file") return field.files?.[0];
  if (field.type === "number") return field.valueAsNumber;
  if (field.dataset.kind === "json") return JSON.parse(field.value);
  if (field.dataset.kind === "lines") return field.value.split("\n").filter((line) => line.trim());
  return field.value;
}
