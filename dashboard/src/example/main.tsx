// An app of one's own: useChat, and the meter above it. Whoever is signed in to the dashboard chats here.
import { useChat } from "@ai-sdk/react";
import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import { DefaultChatTransport } from "ai";
import { type FormEvent, useState } from "react";
import { createRoot } from "react-dom/client";
import { type Config, readConfig } from "../data/config.ts";
import { SpendMeter } from "../meter/index.ts";
import "../style.css";

function Chat({ supabase, config }: { supabase: SupabaseClient; config: Config }) {
  const tenantId = new URLSearchParams(location.search).get("tenant") ?? undefined;
  const [transport] = useState(
    () =>
      new DefaultChatTransport({
        api: `${config.url}/functions/v1/chat`,
        headers: async () => {
          const { data } = await supabase.auth.getSession();
          return {
            apikey: config.publishableKey,
            Authorization: `Bearer ${data.session?.access_token}`,
          };
        },
        body: { model: "openai/gpt-4o-mini", maxOutputTokens: 500, tenantId },
      }),
  );
  const { messages, sendMessage, status, error } = useChat({ transport });

  function send(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    sendMessage({ text: String(new FormData(form).get("text")) });
    form.reset();
  }

  return (
    <main className="mx-auto flex h-dvh max-w-xl flex-col gap-4 p-4">
      <h1 className="text-lg font-semibold">A chat with a spend meter</h1>
      <SpendMeter
        supabase={supabase}
        tenantId={tenantId}
        messages={messages}
        error={error}
        className="rounded-lg border border-line bg-panel p-3 text-sm [--spend-muted:var(--muted)] [--spend-track:var(--line)]"
      />
      <ol className="flex-1 space-y-3 overflow-y-auto" aria-live="polite" aria-label="Messages">
        {messages.map(({ id, role, parts }) => (
          <li key={id} className={role === "user" ? "text-right" : undefined}>
            <span className="inline-block rounded-lg border border-line bg-panel px-3 py-2 text-left text-sm">
              {parts.map((part) => (part.type === "text" ? part.text : "")).join("")}
            </span>
          </li>
        ))}
      </ol>
      <form onSubmit={send} className="flex gap-2">
        <input
          name="text"
          aria-label="Message"
          required
          className="min-w-0 flex-1 rounded-md border border-edge bg-panel px-3 py-1.5"
        />
        <button
          type="submit"
          disabled={status === "submitted" || status === "streaming"}
          className="rounded-md bg-accent px-4 py-1.5 font-medium text-on-accent disabled:opacity-50"
        >
          Send
        </button>
      </form>
    </main>
  );
}

const root = createRoot(document.getElementById("root") as HTMLElement);
const config = await readConfig();
const supabase = createClient(config.url, config.publishableKey);
const { data } = await supabase.auth.getSession();
root.render(
  data.session ? (
    <Chat supabase={supabase} config={config} />
  ) : (
    <main className="p-8">
      <h1 className="text-lg font-semibold">A chat with a spend meter</h1>
      <p>
        <a href="./" className="text-accent underline">
          Sign in
        </a>{" "}
        first, then open this page again.
      </p>
    </main>
  ),
);
