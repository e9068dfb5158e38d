import { type FormEvent, type ReactNode, useState } from "react";
import { auth, projectConfig } from "../data/client.ts";
import { Button, Field, Input } from "../ui/parts.tsx";
import { ThemeButton } from "./theme.tsx";

type Way = "password" | "sign up" | "code";

const SAYS: Record<Way, string> = {
  password: "Sign in to see what is spent, held and left.",
  "sign up": "Create an account in this project.",
  code: "Sign in with a one-time code that is sent to you.",
};

export function SignIn() {
  const [way, setWay] = useState<Way>("password");
  return (
    <main className="mx-auto flex min-h-dvh max-w-sm flex-col justify-center px-4 py-8">
      <div className="rounded-lg border border-line bg-panel p-6">
        <div className="flex items-start justify-between">
          <h1 className="text-xl font-semibold tracking-tight">Spendgate</h1>
          <ThemeButton />
        </div>
        <p className="mb-5 mt-1 text-sm text-muted">{SAYS[way]}</p>
        {way === "code" ? <ByCode /> : <ByPassword isNew={way === "sign up"} />}
        {projectConfig().emailCodes && way !== "sign up" && (
          <Button
            kind="plain"
            className="mt-3 w-full"
            onClick={() => setWay(way === "code" ? "password" : "code")}
          >
            {way === "code" ? "Use the password" : "Use a one-time code"}
          </Button>
        )}
        <p className="mt-4 text-center text-sm text-muted">
          {way === "sign up" ? "You have an account?" : "No account yet?"}{" "}
          <button
            type="button"
            className="font-medium text-accent underline underline-offset-2"
            onClick={() => setWay(way === "sign up" ? "password" : "sign up")}
          >
            {way === "sign up" ? "Sign in" : "Sign up"}
          </button>
        </p>
      </div>
    </main>
  );
}

interface Note {
  text: string;
  isError: boolean;
}

/** A form that waits for an answer, and tells what came of it. */
function Form({
  action,
  send,
  children,
}: {
  action: string;
  /** What to tell; nothing where the person is signed in, or the form becomes another. */
  send: (form: FormData) => Promise<Note | undefined>;
  children: ReactNode;
}) {
  const [isWaiting, setWaiting] = useState(false);
  const [note, setNote] = useState<Note>();

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    setWaiting(true);
    setNote(undefined);
    setNote(await send(new FormData(event.currentTarget)));
    setWaiting(false);
  }

  return (
    <form onSubmit={submit} className="space-y-4">
      {children}
      {note && (
        <p role="alert" className={note.isError ? "text-sm text-bad" : "text-sm"}>
          {note.text}
        </p>
      )}
      <Button type="submit" kind="primary" className="w-full" disabled={isWaiting}>
        {action}
      </Button>
    </form>
  );
}

function Email({ value }: { value?: string }) {
  return (
    <Field label="Email">
      {(field) => (
        <Input
          {...field}
          name="email"
          type="email"
          autoComplete="email"
          defaultValue={value}
          readOnly={value !== undefined}
          required
        />
      )}
    </Field>
  );
}

function ByPassword({ isNew }: { isNew: boolean }) {
  return (
    <Form
      action={isNew ? "Sign up" : "Sign in"}
      send={async (form) => {
        const credentials = {
          email: String(form.get("email")),
          password: String(form.get("password")),
        };
        const { data, error } = isNew
          ? await auth().signUp(credentials)
          : await auth().signInWithPassword(credentials);
        if (error) return { text: error.message, isError: true };
        if (data.session) return undefined;
        return {
          text: "Open the link in the message that was sent to you, then sign in.",
          isError: false,
        };
      }}
    >
      <Email />
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
    </Form>
  );
}

/** Asks for a code, then for what stood in the message. Nobody is signed up by it, and nobody learns who has an account. */
function ByCode() {
  const [email, setEmail] = useState<string>();
  if (email === undefined) {
    return (
      <Form
        action="Send a code"
        send={async (form) => {
          const address = String(form.get("email"));
          const { error } = await auth().signInWithOtp({
            email: address,
            options: { shouldCreateUser: false },
          });
          // "otp_disabled" is said of addresses without an account.
          if (error && error.code !== "otp_disabled") return { text: error.message, isError: true };
          setEmail(address);
          return undefined;
        }}
      >
        <Email />
      </Form>
    );
  }
  return (
    <Form
      action="Sign in"
      send={async (form) => {
        const { error } = await auth().verifyOtp({
          email,
          token: String(form.get("code")).replace(/\s/g, ""),
          type: "email",
        });
        return error ? { text: error.message, isError: true } : undefined;
      }}
    >
      <Email value={email} />
      <Field
        label="Code"
        hint="If the address has an account, a message with a code is on its way to it."
      >
        {(field) => (
          <Input
            {...field}
            name="code"
            inputMode="numeric"
            autoComplete="one-time-code"
            autoFocus
            required
          />
        )}
      </Field>
      <p className="text-right text-sm">
        <button
          type="button"
          className="font-medium text-accent underline underline-offset-2"
          onClick={() => setEmail(undefined)}
        >
          Another code or address
        </button>
      </p>
    </Form>
  );
}
