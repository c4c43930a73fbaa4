// Makes a component of a core module: node component.mjs CORE WORLD.WIT OUT, run where node_modules has jco.
// The interfaces of WASI are those that jco carries.
import { readFile, readdir, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

const WASI = "0.2.12";
const [core, world, out] = process.argv.slice(2);
const entry = createRequire(join(process.cwd(), "node_modules", "-")).resolve("@bytecodealliance/jco");
const { componentEmbed, componentNew } = await import(pathToFileURL(entry).href);

let root = dirname(entry);
while (!(await readdir(root)).includes("package.json")) root = dirname(root);
const folder = join(root, "lib", "wit", "builtin", WASI);
let witSource = await readFile(world, "utf8");
for (const name of (await readdir(folder)).sort()) {
  const text = await readFile(join(folder, name, "package.wit"), "utf8");
  witSource += `${text.replace(/package ([\w:@.]+);/, "package $1 {")}}\n`;
}
const embedded = await componentEmbed({ binary: await readFile(core), witSource, worldName: /world ([\w-]+)/.exec(witSource)[1] });
await writeFile(out, await componentNew(embedded, []));
