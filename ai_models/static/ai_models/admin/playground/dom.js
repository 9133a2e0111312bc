/** Elements and numbers as the page shows them. Text is put in as text, never as markup. */

/**
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name @param {Record<string, string>} [attributes] @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** @param {string} id @returns {any} the element of this page */
export function byId(id) {
  return document.getElementById(id);
}

/** A sentence with its gaps, `%(name)s`, filled. @param {string} sentence @param {Record<string, unknown>} values */
export function fill(sentence, values) {
  return sentence.replace(/%\((\w+)\)s/g, (_, name) => String(values[name]));
}

const language = document.documentElement.lang || undefined;

/** @param {number} value @param {number} [digits] after the point, at most @param {number} [least] and at least */
export function number(value, digits = 0, least = 0) {
  return new Intl.NumberFormat(language, { maximumFractionDigits: digits, minimumFractionDigits: least }).format(value);
}

/** @param {number} milliseconds */
export function seconds(milliseconds) {
  const format = { style: "unit", unit: "second", maximumFractionDigits: 2 };
  return new Intl.NumberFormat(language, /** @type {Intl.NumberFormatOptions} */ (format)).format(milliseconds / 1000);
}

/** The bytes of base64. @param {string} text @returns {Uint8Array<ArrayBuffer>} */
export function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/**
 * A link that saves a file which the page has.
 *
 * @param {Blob} file @param {string} name without its extension @param {string} label
 */
export function download(file, name, label) {
  const extension = file.type.replace(/^.*\/(x-)?/, "").replace("mpeg", "mp3").replace("jpeg", "jpg");
  return element("a", { href: URL.createObjectURL(file), download: `${name}.${extension}`, class: "ai-save" }, label);
}
