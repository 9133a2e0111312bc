// A page with the AI SDK's hooks, as its docs write it: only `api` is this service's, and Django's token against forgery.
import { useChat, useCompletion } from "@ai-sdk/react";
import { DefaultChatTransport, lastAssistantMessageIsCompleteWithToolCalls } from "ai";
import { createRoot } from "react-dom/client";

const api = "/api/ai/v1/stream-text";
const headers = () => ({ "X-CSRFToken": document.cookie.match(/csrftoken=(\w+)/)[1] });
const { hook, id, resume, ...settings } = Object.fromEntries(new URLSearchParams(location.search));
const tools = [{ name: "weather", inputSchema: { type: "object", properties: { city: { type: "string" } } } }];

function Completion() {
  const { completion, complete, stop, isLoading, error } = useCompletion({ api, headers: headers(), body: settings });
  return (
    <Shown state={error ? "error" : isLoading ? "streaming" : "ready"} error={error} stop={stop}>
      <button id="send" onClick={() => complete("Hello")}>Send</button>
      <pre id="text">{completion}</pre>
    </Shown>
  );
}

function Chat() {
  const transport = new DefaultChatTransport({ api, headers, body: { ...settings, ...(settings.tools && { tools }) } });
  const chat = useChat({
    id,
    resume: Boolean(resume),
    transport,
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
    onToolCall: ({ toolCall }) => {
      chat.addToolOutput({ tool: toolCall.toolName, toolCallId: toolCall.toolCallId, output: { degrees: 21 } });
    },
  });
  return (
    <Shown state={chat.status} error={chat.error} stop={chat.stop}>
      <button id="send" onClick={() => chat.sendMessage({ text: "Hello" })}>Send</button>
      <ol id="messages">
        {chat.messages.map(({ id, role, parts }) => (
          <li key={id} className={role}>{parts.map(written).join("")}</li>
        ))}
      </ol>
    </Shown>
  );
}

const written = (part) =>
  part.type === "tool-weather" ? `[weather in ${part.input?.city}: ${part.output?.degrees ?? "?"}] ` : (part.text ?? "");

const Shown = ({ state, error, stop, children }) => (
  <main>
    {children}
    <button id="stop" onClick={stop}>Stop</button>
    <p>State: <output id="state">{state}</output> <output id="error">{error?.message}</output></p>
  </main>
);

createRoot(document.getElementById("root")).render(hook === "completion" ? <Completion /> : <Chat />);
