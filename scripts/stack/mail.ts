// What Auth of the local stack sends: mail with one-time codes, by a server that is named, or not at all.
import { type EmailDriver, SmtpEmailDriver } from "@supabase/lite";

export type Mail = EmailDriver;

/** Sends by the SMTP server of this URL: smtp://user:password@host:port, or smtps://. */
export function mailBy(smtpUrl: string): Mail {
  const { protocol, hostname, port, username, password } = new URL(smtpUrl);
  const isSecure = protocol === "smtps:";
  return new SmtpEmailDriver({
    host: hostname,
    port: Number(port) || (isSecure ? 465 : 587),
    secure: isSecure,
    // A catcher of mail on this machine has no TLS, and takes any password.
    requireTls: username !== "" && !/^(localhost|127\.0\.0\.1)$/.test(hostname),
    ...(username && { user: decodeURIComponent(username), pass: decodeURIComponent(password) }),
    from: "Spendgate <spendgate@localhost.localdomain>",
  });
}
