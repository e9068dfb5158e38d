// Deno gives packages of npm what Node has globally; a bundle is no such package, and imports it.
export { Buffer } from "node:buffer";
export { default as process } from "node:process";
