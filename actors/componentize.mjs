// Makes a component: of a core module in C, whose imports and exports are named as the world says, or of JavaScript.
//
//     node componentize.mjs SOURCE WIT_FOLDER WORLD OUTPUT
import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

const [source, wit, world, output] = process.argv.slice(2);

// One text of a folder of packages, for what reads no folders: the packages that are used in braces.
async function oneText(folder) {
  const used = [];
  for (const name of (await readdir(join(folder, "deps"))).sort()) {
    for (const file of (await readdir(join(folder, "deps", name))).sort()) {
      const text = await readFile(join(folder, "deps", name, file), "utf8");
      used.push(text.replace(/^(package [^;]+);/m, "$1 {") + "\n}\n");
    }
  }
  return (await readFile(join(folder, "world.wit"), "utf8")) + used.join("");
}

async function ofModule() {
  const { componentEmbed, componentNew } = await import("@bytecodealliance/jco");
  const binary = await componentEmbed({ binary: await readFile(source), witSource: await oneText(wit), world });
  return componentNew(binary, []);
}

async function ofJavaScript() {
  const { componentize } = await import("@bytecodealliance/componentize-js");
  return (await componentize({ sourcePath: source, witPath: wit, worldName: world })).component;
}

await writeFile(output, await (source.endsWith(".js") ? ofJavaScript() : ofModule()));
