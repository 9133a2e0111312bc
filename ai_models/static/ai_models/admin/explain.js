// The models that are suggested follow the chosen provider and capability.

const form = document.querySelector("#ai-explain");
let latest = 0;

form.addEventListener("change", async ({ target }) => {
  if (!(target instanceof HTMLSelectElement)) return;
  const mine = ++latest;
  const answer = await fetch(`?${new URLSearchParams(new FormData(form))}`);
  if (!answer.ok || mine !== latest) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const options = page.querySelector("#ai-models")?.children ?? [];
  form.querySelector("#ai-models").replaceChildren(...options);
});
