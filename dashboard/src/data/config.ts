/** What a build is told when it is served: config.json beside index.html. */
export interface Config {
  /** Origin of the project: https://<ref>.supabase.co */
  url: string;
  publishableKey: string;
  /** Auth of the project sends mail: who signs in may ask for a one-time code. */
  emailCodes?: boolean;
}

/** @throws Error that says what to put where. */
export async function readConfig(): Promise<Config> {
  const response = await fetch("./config.json", { cache: "no-store" });
  const config: Partial<Config> = await response.json().catch(() => ({}));
  if (!config.url || !config.publishableKey) {
    throw new Error(
      'config.json is missing or incomplete. Put it beside index.html: {"url": "https://<ref>.supabase.co", "publishableKey": "sb_publishable_…"}',
    );
  }
  if (config.publishableKey.startsWith("sb_secret_")) {
    throw new Error(
      "config.json has a secret key. Put the publishable key there, and revoke the secret one.",
    );
  }
  return {
    url: config.url,
    publishableKey: config.publishableKey,
    emailCodes: config.emailCodes === true,
  };
}
