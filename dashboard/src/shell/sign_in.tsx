import { type FormEvent, useState } from "react";
import { auth } from "../data/client.ts";
import { Button, Field, Input } from "../ui/parts.tsx";
import { ThemeButton } from "./theme.tsx";

export function SignIn() {
  const [isNew, setNew] = useState(false);
  const [isWaiting, setWaiting] = useState(false);
  const [note, setNote] = useState<{ text: string; isError: boolean }>();

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const credentials = {
      email: String(form.get("email")),
      password: String(form.get("password")),
    };
    setWaiting(true);
    setNote(undefined);
    const { data, error } = isNew
      ? await auth().signUp(credentials)
      : await auth().signInWithPassword(credentials);
    setWaiting(false);
    if (error) setNote({ text: error.message, isError: true });
    else if (!data.session) {
      setNote({
        text: "Open the link in the message that was sent to you, then sign in.",
        isError: false,
      });
    }
  }

  return (
    <main className="mx-auto flex min-h-dvh max-w-sm flex-col justify-center px-4 py-8">
      <div className="rounded-lg border border-line bg-panel p-6">
        <div className="flex items-start justify-between">
          <h1 className="text-xl font-semibold tracking-tight">Spendgate</h1>
          <ThemeButton />
        </div>
        <p className="mb-5 mt-1 text-sm text-muted">
          {isNew
            ? "Create an account in this project."
            : "Sign in to see what is spent, held and left."}
        </p>
        <form onSubmit={submit} className="space-y-4">
          <Field label="Email">
            {(field) => (
              <Input {...field} name="email" type="email" autoComplete="email" required />
            )}
          </Field>
          <Field label="Password">
            {(field) => (
              <Input
                {...field}
                name="password"
                type="password"
                autoComplete={isNew ? "new-password" : "current-password"}
                minLength={isNew ? 8 : undefined}
                required
              />
            )}
          </Field>
          {note && (
            <p role="alert" className={note.isError ? "text-sm text-bad" : "text-sm"}>
              {note.text}
            </p>
          )}
          <Button type="submit" kind="primary" className="w-full" disabled={isWaiting}>
            {isNew ? "Sign up" : "Sign in"}
          </Button>
        </form>
        <p className="mt-4 text-center text-sm text-muted">
          {isNew ? "You have an account?" : "No account yet?"}{" "}
          <button
            type="button"
            className="font-medium text-accent underline underline-offset-2"
            onClick={() => setNew(!isNew)}
          >
            {isNew ? "Sign in" : "Sign up"}
          </button>
        </p>
      </div>
    </main>
  );
}
