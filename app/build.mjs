// Builds the page into the package, and writes beside it of which sources it was made.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync, copyFileSync } from "node:fs";
import { build } from "esbuild";

const out = new URL("../src/goalscope/app/static/", import.meta.url);
await build({
  entryPoints: ["src/page.ts"], outfile: new URL("page.js", out).pathname, bundle: true, minify: true,
  format: "iife", target: "es2022", charset: "utf8", legalComments: "none",
});
const copied = ["index.html", "page.css", "icon.svg"];
for (const name of copied) copyFileSync(`src/${name}`, new URL(name, out));

const digest = (path) => createHash("sha256").update(readFileSync(path)).digest("hex");
const sources = ["build.mjs", "package.json", "package-lock.json", "tsconfig.json", ...readdirSync("src").map((name) => `src/${name}`)].sort();
const record = {
  sources: Object.fromEntries(sources.map((name) => [name, digest(name)])),
  built: Object.fromEntries(["page.js", ...copied].map((name) => [name, digest(new URL(name, out))])),
};
writeFileSync(new URL("built.json", out), JSON.stringify(record, null, 1) + "\n");
