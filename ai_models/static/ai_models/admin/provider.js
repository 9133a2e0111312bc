/** The page of one provider: who types a new credential means to replace the old one. */
for (const field of document.querySelectorAll(".ai-credential")) {
  /** @type {HTMLInputElement | null} */
  const replace = field.querySelector("input[value=replace]");
  /** @type {HTMLInputElement | HTMLTextAreaElement | null} */
  const value = field.querySelector(".ai-new-value input, .ai-new-value textarea");
  if (!replace || !value) continue;
  value.addEventListener("input", () => {
    if (value.value) replace.checked = true;
  });
  for (const choice of field.querySelectorAll("input[type=radio]")) {
    choice.addEventListener("change", () => {
      if (choice === replace) value.focus();
      else value.value = "";
    });
  }
}
