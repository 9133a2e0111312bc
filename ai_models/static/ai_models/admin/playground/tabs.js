/** Tabs, of which one panel is shown, and a button that copies it. */

import { byId } from "./dom.js";

/** Wire the tabs of a list; arrow keys go from one to the next. @param {HTMLElement} list */
export function wireTabs(list) {
  /** @type {HTMLElement[]} */
  const tabs = [...list.querySelectorAll("[role=tab]")].map((tab) => /** @type {HTMLElement} */ (tab));
  const select = (/** @type {HTMLElement} */ chosen) => {
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", `${tab === chosen}`);
      tab.tabIndex = tab === chosen ? 0 : -1;
      byId(tab.getAttribute("aria-controls") ?? "").hidden = tab !== chosen;
    }
  };
  list.addEventListener("click", ({ target }) => {
    const tab = tabs.find((one) => one === target);
    if (tab) select(tab);
  });
  list.addEventListener("keydown", ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!step) return;
    const chosen = tabs[(tabs.findIndex((tab) => tab.tabIndex === 0) + step + tabs.length) % tabs.length];
    select(chosen);
    chosen.focus();
  });
}

/** @param {HTMLElement} source @returns {Promise<boolean>} whether its text is in the clipboard */
export async function copy(source) {
  try {
    await navigator.clipboard.writeText(source.textContent ?? "");
    return true;
  } catch {
    // The clipboard is there on secure pages alone.
    getSelection()?.selectAllChildren(source);
    return document.execCommand("copy");
  }
}
