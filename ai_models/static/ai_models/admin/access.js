/** The button that copies a new token. Without this script there is no button, and the field can be selected. */

const button = /** @type {HTMLButtonElement} */ (document.querySelector("[data-copies]"));
const field = /** @type {HTMLInputElement} */ (document.getElementById(button.dataset.copies));

button.hidden = false;
button.addEventListener("click", async () => {
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    // Browsers give the clipboard to pages that came over TLS only; this old way works on the others.
    document.execCommand("copy");
  }
  document.getElementById("copied").textContent = button.dataset.copied;
});
