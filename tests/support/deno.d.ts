// What the functions' modules name of Deno, for those that a test imports into Node.
declare const Deno: { env: { toObject(): Record<string, string> } };
declare function addEventListener(type: "beforeunload", listener: () => void): void;
