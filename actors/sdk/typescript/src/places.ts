/** Places in the actor's own files, from a stack that names lines of the bundle. */

/** Put behind the bundle by the build: the files, and for each line of the bundle a pair (file, line), -1 for none. */
interface Lines {
  readonly files: readonly string[];
  readonly lines: readonly number[];
}

declare global {
  // eslint-disable-next-line no-var -- a global is declared by var only
  var nanolatticeLines: Lines | undefined;
}

const BUNDLE = /\bactor\.js:(\d+)/;
/** "at name (file:1:2)" and "name@file:1:2". */
const NAME = /^\s*at ([\w$.<>]+) \(|^([\w$.<>/]+)@/;

export function placed(stack: string): string[] {
  const places = [];
  for (const frame of stack.split("\n")) {
    const found = BUNDLE.exec(frame);
    const place = found && at(Number(found[1]));
    if (place) {
      const [, one, other] = NAME.exec(frame) ?? [];
      const name = one ?? other;
      places.push(name ? `${place} in ${name}` : place);
    }
  }
  return places;
}

function at(line: number): string | undefined {
  const known = globalThis.nanolatticeLines;
  const file = known?.lines[2 * (line - 1)];
  if (!known || file === undefined || file < 0) return undefined;
  return `${known.files[file]}:${known.lines[2 * line - 1]}`;
}
