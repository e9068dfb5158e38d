// Users' tokens as hosted projects have them: signed with ES256, by a key that a JWKS publishes. The local Auth signs HS256
// and publishes nothing, so what goes in and out of it is translated: it sees its own tokens, everybody else these.
import type { IncomingMessage } from "node:http";
import {
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
  type JWTPayload,
  jwtVerify,
  SignJWT,
} from "jose";

export interface UserTokens {
  /** Puts the local Auth's token in the place of the request's; one that is not ours is left to be refused. */
  translate(request: IncomingMessage): Promise<void>;
  /** Answers the JWKS, and puts tokens of ours into what the local Auth answers. */
  around(request: Request, answer: () => Promise<Response>): Promise<Response>;
}

const JWKS = "/auth/v1/.well-known/jwks.json";
const ISSUES = /^\/auth\/v1\/(token|signup|verify)$/;

/** A private key, as a JWK with an id. */
export async function generateSigningKey(): Promise<JWK> {
  const { privateKey } = await generateKeyPair("ES256", { extractable: true });
  return { ...(await exportJWK(privateKey)), alg: "ES256", use: "sig", kid: crypto.randomUUID() };
}

/** The JWKS: the key without its private part. */
export function publicKeys({ d: _, ...key }: JWK): { keys: JWK[] } {
  return { keys: [{ ...key, key_ops: ["verify"], ext: true }] };
}

export async function userTokens(signingKey: JWK, jwtSecret: string): Promise<UserTokens> {
  const keys = publicKeys(signingKey);
  const ours = {
    sign: await importJWK(signingKey),
    verify: await importJWK(keys.keys[0] as JWK, "ES256"),
  };
  const local = new TextEncoder().encode(jwtSecret);
  const toOurs = async (token: string) => {
    const { payload } = await jwtVerify(token, local);
    return sign(payload, { alg: "ES256", kid: signingKey.kid }, ours.sign);
  };
  const toLocal = async (token: string) => {
    const { payload } = await jwtVerify(token, ours.verify, { algorithms: ["ES256"] });
    return sign(payload, { alg: "HS256" }, local);
  };
  return {
    async translate({ headers, rawHeaders }) {
      const [, token] = /^Bearer ([^.]+\.[^.]+\.[^.]+)$/i.exec(headers.authorization ?? "") ?? [];
      const translated = token && (await toLocal(token).catch(() => undefined));
      if (!translated) return;
      headers.authorization = `Bearer ${translated}`;
      const at = rawHeaders.findIndex((name) => name.toLowerCase() === "authorization");
      rawHeaders[at + 1] = headers.authorization;
    },
    async around({ method, url }, answer) {
      const { pathname } = new URL(url);
      if (method === "GET" && pathname === JWKS) return Response.json(keys);
      const response = await answer();
      if (!ISSUES.test(pathname) || !response.ok) return response;
      const body = (await response.json()) as { access_token?: string };
      if (body.access_token) body.access_token = await toOurs(body.access_token);
      const headers = new Headers(response.headers);
      headers.delete("content-length");
      return Response.json(body, { status: response.status, headers });
    },
  };
}

type Key = Parameters<SignJWT["sign"]>[0];

function sign(claims: JWTPayload, header: { alg: string; kid?: string }, key: Key) {
  return new SignJWT(claims).setProtectedHeader({ ...header, typ: "JWT" }).sign(key);
}
