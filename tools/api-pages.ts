/**
 * `npm run api-pages`: pages about what the published packages export, from their docstrings, into `dist/api-pages`. Typedoc needs a compiler that
 * can be called as a library, which TypeScript 7 can't: both are installed by the first run, in `tools/api-pages`, so that
 * nobody has them who does not want the pages. A type that a signature names and that nobody could import, and a link that leads
 * nowhere, make the run fail.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';

const directory = new URL('api-pages', import.meta.url).pathname;
const typedoc = `${directory}/node_modules/typedoc/bin/typedoc`;

/** Ends the process when a program has failed. */
function run(command: string, ...args: readonly string[]): void {
  const { status, error } = spawnSync(command, args, { cwd: directory, stdio: 'inherit' });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

/** Whether what the lock file names is there. */
function isInstalled(): boolean {
  const installed = `${directory}/node_modules/.package-lock.json`;
  if (!existsSync(installed)) return false;
  return statSync(installed).mtimeMs >= statSync(`${directory}/package-lock.json`).mtimeMs;
}

if (!isInstalled()) run('npm', 'ci', '--no-audit', '--no-fund', '--loglevel=error');
run(process.execPath, typedoc, '--options', 'typedoc.json');
