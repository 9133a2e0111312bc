// Runs checks, and shows each rung when it is climbed. The server does all of the work, and answers with one JSON object a line.

const AT_ONCE = 3;

const plan = JSON.parse(document.querySelector("#ai-check-plan").textContent);
const blank = document.querySelector("#ai-rung").content.firstElementChild;
const progress = document.querySelector("#ai-progress");
const free = document.querySelector("#ai-checks");
const paid = document.querySelector("#ai-paid");
const all = document.querySelector("#ai-check-all");
const cards = document.querySelector("#ai-cards");
const buttons = [...cards.querySelectorAll("button[name=instance]")];

/** @param {Element} where @param {string} name @returns {HTMLElement} */
const part = (where, name) => where.querySelector(`[data-part=${name}]`);

/** @param {HTMLElement} chip @param {{word: string, tone: string}} shown @param {boolean} running */
function mark(chip, { word, tone }, running = false) {
  chip.className = `ai-chip ai-${tone}`;
  chip.textContent = word;
  chip.toggleAttribute("data-running", running);
}

/** @param {Element} item @param {{word: string, tone: string, time: string, message: string}} line */
function fill(item, line) {
  mark(part(item, "word"), line, line.state === "running");
  for (const name of ["title", "time", "message"]) part(item, name).textContent = line[name];
  item.dataset.state = line.state;
}

function rung(line) {
  const item = blank.cloneNode(true);
  item.dataset.key = line.key;
  fill(item, line);
  return item;
}

/** Mark the first rung that waits as the one that is being climbed. */
function climbing(ladder) {
  const next = ladder.querySelector("[data-state=waiting]");
  if (!next) return;
  mark(part(next, "word"), plan.states.running, true);
  next.dataset.state = "running";
}

/** Show a climbed rung. */
function climbed(ladder, line) {
  const item = [...ladder.children].find((one) => one.dataset.key === line.key);
  if (item) fill(item, line);
  else ladder.append(rung(line));
  climbing(ladder);
}

/** Show how the check ended. */
function finish(card, ladder, end) {
  for (const item of ladder.querySelectorAll("[data-state=waiting], [data-state=running]")) item.remove();
  if (end.done) mark(part(card, "state"), end.stateChip);
  mark(part(card, "check"), end.done ? end.checkChip : plan.states.failed);
  part(card, "when").textContent = end.done ? end.time : "";
  const message = end.done ? end.message : end.error.message;
  const said = [...ladder.querySelectorAll("[data-part=message]")].some((one) => one.textContent === message);
  part(card, "told").textContent = said ? "" : message;
  if (!end.done || end.check !== "healthy") card.open = true;
}

/** Make the request; gives its lines. */
async function* lines(body) {
  const answer = await fetch(location.pathname, { method: "POST", body });
  if (answer.headers.get("Content-Type") !== "application/x-ndjson") {
    yield { error: { message: answer.status === 403 ? plan.texts.forbidden : plan.texts.refused } };
    return;
  }
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    const found = (rest + read.value).split("\n");
    rest = found.pop();
    for (const line of found) yield JSON.parse(line);
  }
}

/**
 * Check one instance.
 * @param {Element} card
 * @param {FormData} body
 * @param {(text: string) => void} tell what is read out
 */
async function check(card, body, tell) {
  body.delete("plain");
  const ladder = card.querySelector(".ai-ladder");
  const calls = body.getAll("capability").map((name) => plan.calls[name]);
  ladder.replaceChildren(...[...plan.rungs, ...calls].map(rung));
  climbing(ladder);
  mark(part(card, "check"), plan.states.running, true);
  part(card, "when").textContent = part(card, "told").textContent = "";
  let end = { error: { message: plan.texts.lost } };
  try {
    for await (const line of lines(body)) {
      if (!line.rung) {
        end = line;
        continue;
      }
      climbed(ladder, line);
      tell([line.title, line.word, line.time].filter(Boolean).join(", "));
    }
  } catch (error) {
    console.warn(error);
  }
  finish(card, ladder, end);
  tell(end.done ? `${end.stateChip.word}. ${end.message}` : end.error.message);
}

const busy = (is) => [...buttons, all, paid?.querySelector("button")].forEach((button) => button && (button.disabled = is));

/** Check the instances of these buttons, a few at once. */
async function run(chosen) {
  let done = 0;
  // What is disabled is not in a form's data.
  const waiting = chosen.map((button) => [button, new FormData(free, button)]);
  const alone = chosen.length === 1;
  const tell = (text) => alone && (progress.textContent = text);
  const count = () => {
    progress.textContent = plan.texts.progress.replace("%(done)s", done).replace("%(all)s", chosen.length);
  };
  const worker = async () => {
    while (waiting.length) {
      const [button, body] = waiting.shift();
      await check(button.closest("details"), body, tell);
      done += 1;
      if (!alone) count();
    }
  };
  busy(true);
  if (!alone) count();
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  busy(false);
}

free.addEventListener("submit", (event) => {
  event.preventDefault();
  run([event.submitter]);
});

paid?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = new FormData(paid);
  busy(true);
  await check(cards.querySelector("details"), body, (text) => (progress.textContent = text));
  busy(false);
  paid.reset();
});

if (all) {
  all.hidden = false;
  all.addEventListener("click", () => run(buttons));
}

// The page was opened by a button that checks. A link from elsewhere must not start anything.
if ("run" in cards.dataset) {
  const address = new URL(location.href);
  address.searchParams.delete("run");
  history.replaceState(null, "", address);
  if (document.referrer.startsWith(`${location.origin}/`)) run(buttons);
}
