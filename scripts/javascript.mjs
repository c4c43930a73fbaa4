// Makes a component of JavaScript: node javascript.mjs SOURCE WIT_FOLDER WORLD OUT. It is copied to where node_modules
// has componentize-js, because that package is found by its name only from there.
import { componentize } from "@bytecodealliance/componentize-js";
import { writeFile } from "node:fs/promises";

const [sourcePath, witPath, worldName, out] = process.argv.slice(2);
const { component } = await componentize({ sourcePath, witPath, worldName });
await writeFile(out, component);
