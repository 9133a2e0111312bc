// Shows one stream, which its address describes: ?model=...&provider=...&onDisconnect=...&token=...&url=...
// A stream that is to finish is found again when the page is loaded again.
import { AIModelsClient, fetchTicket } from "/static/ai_models/client.js";

const { url, token, onDisconnect, ...request } = Object.fromEntries(new URLSearchParams(location.search));
const headers = { Authorization: `Bearer ${token}` };
const ticket = token && ((signal) => fetchTicket("/api/ai/v1/ws-ticket", { headers, signal }));
const client = new AIModelsClient({ url, ticket, firstDelay: 50, attempts: 3 });
const [start, stop, state, text] = ["start", "stop", "state", "text"].map((id) => document.getElementById(id));

async function show(stream) {
  state.textContent = "running";
  text.textContent = "";
  stop.onclick = stream.cancel;
  try {
    for await (const piece of stream.text) text.append(piece);
    state.textContent = (await stream.result).finishReason;
  } catch (error) {
    state.textContent = error.code;
  }
}

start.onclick = () => {
  const stream = client.streamText({ prompt: "Hello", ...request }, { onDisconnect });
  if (onDisconnect === "finish") sessionStorage.setItem("stream", stream.id);
  show(stream);
};

const left = sessionStorage.getItem("stream");
if (left) show(client.resume(left));
