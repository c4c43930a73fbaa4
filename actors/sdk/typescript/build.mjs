// Makes a component of an actor in TypeScript or JavaScript: node build.mjs WANTED, which is JSON. It is copied to where
// node_modules has the packages, because they are found by their names only from there.
//
//   project, source   the actor's folder and its module in it
//   sdk               the folder with index.ts and component.ts
//   wit               the folder of the world `script`
//   engine            "quickjs", "starlingmonkey", or "" for the bundle alone
//   scratch, out      where the bundle goes, and the component
//
// Prints, as JSON, the files of the SDK that the bundle has code of. Mistakes go to standard error, a line for each with
// its place.
import * as esbuild from "esbuild";
import { readFile, writeFile } from "node:fs/promises";
import { SourceMap } from "node:module";
import { join, relative, resolve } from "node:path";

const wanted = JSON.parse(process.argv[2]);
const bundle = join(wanted.scratch, "actor.js");

async function main() {
  const made = await esbuild.build({
    stdin: { contents: entry(), resolveDir: wanted.project, sourcefile: "entry", loader: "js" },
    alias: { nanolattice: join(wanted.sdk, "index.ts") },
    define: { ENGINE: JSON.stringify(wanted.engine || "quickjs") },
    external: ["nanolattice:*", "wasi:*"],
    bundle: true,
    format: "esm",
    target: "es2022",
    platform: "neutral",
    mainFields: ["module", "main"],
    conditions: ["import"],
    charset: "utf8",
    sourcemap: "external",
    metafile: true,
    write: false,
    outfile: bundle,
    absWorkingDir: wanted.project,
    logLevel: "silent",
  }).catch((error) => fail(error.errors?.map(message) ?? [String(error)]));
  const file = (end) => made.outputFiles.find((output) => output.path.endsWith(end)).text;
  const code = file("actor.js");
  const table = lines(code, JSON.parse(file(".map")));
  await writeFile(bundle, `${code}\nglobalThis.nanolatticeLines = ${JSON.stringify(table)};\n`);
  const used = Object.values(made.metafile.outputs).flatMap((each) => Object.entries(each.inputs));
  if (wanted.engine) {
    await writeFile(wanted.out, await component().catch((error) => fail([begun(String(error.message ?? error), table)])));
  }
  const inside = used.filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([path]) => resolve(wanted.project, path));
  console.log(JSON.stringify(inside.filter((path) => path.startsWith(wanted.sdk)).map((path) => relative(wanted.sdk, path))));
}

function entry() {
  const text = JSON.stringify;
  // The SDK first: it puts in what the engine has not.
  return `export { guest } from ${text(join(wanted.sdk, "component.ts"))};\nimport ${text(`./${wanted.source}`)};\n`;
}

/** For each line of the bundle the file and line that it comes from, if that is the actor's own. */
function lines(code, map) {
  const found = new SourceMap(map);
  const files = [];
  const table = [];
  code.split("\n").forEach((line, number) => {
    const column = line.search(/\S/);
    const place = column < 0 ? {} : found.findEntry(number, column);
    const path = place.originalSource && resolve(wanted.scratch, place.originalSource);
    const own = path && place.generatedLine === number && path.startsWith(wanted.project) && !path.startsWith(wanted.sdk);
    if (!own || path.endsWith("entry")) return table.push(-1, 0);
    const name = relative(wanted.project, path);
    if (!files.includes(name)) files.push(name);
    table.push(files.indexOf(name), place.originalLine + 1);
  });
  return { files, lines: table };
}

async function component() {
  if (wanted.engine === "quickjs") {
    const { componentize } = await import("componentize-qjs");
    const jsSource = await readFile(bundle, "utf8");
    // The file's name is what stacks show.
    const options = { jsPath: "actor.js", jsSource, witPath: wanted.wit, world: "script", sync: true };
    return (await componentize(options)).component;
  }
  const { componentize } = await import("@bytecodealliance/componentize-js");
  const options = { sourcePath: bundle, witPath: wanted.wit, worldName: "script", disableFeatures: ["http", "fetch-event"] };
  return (await componentize(options)).component;
}

/** What was thrown when the engine ran the actor's module, with places in its files instead of the bundle. */
function begun(text, { files, lines }) {
  const said = text
    .replace(/^.*(?:module evaluation: |top-level script\n)(?:actor\.js:\d+:\d+ )?/s, "")
    .replace(/\nAdditionally, some promises[^]*?\nStack:/, "");
  let first = "";
  const placed = said.split("\n").flatMap((frame) => {
    const line = /\bactor\.js:(\d+)/.exec(frame)?.[1];
    if (line === undefined) return [frame];
    const file = files[lines[2 * (line - 1)]];
    if (file === undefined) return [];
    const place = `${file}:${lines[2 * line - 1]}`;
    first ||= `${place}: `;
    return [`    at ${place}`];
  });
  return first + placed.join("\n").trim();
}

function message({ location, text, notes }) {
  const place = location ? `${location.file}:${location.line}:${location.column + 1}: ` : "";
  const line = location?.lineText ? `\n    ${location.lineText.trim()}` : "";
  return `${place}${text}${line}${notes.map((note) => `\n    ${note.text}`).join("")}`;
}

function fail(mistakes) {
  console.error(mistakes.join("\n"));
  process.exit(1);
}

await main();
