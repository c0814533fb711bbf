/**
 * `npm run check`: everything that can be said about the sources without running them. Types (each package alone, so
 * that a pure one can't reach Node; then tests and tools), lint and format, and the house rules of `tidy.ts`.
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { tidy } from './tidy.ts';

const root = new URL('..', import.meta.url).pathname;

interface Outcome {
  readonly name: string;
  readonly ok: boolean;
  readonly output: string;
}

function run(name: string, command: string, ...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(`${root}node_modules/.bin/${command}`, args, { cwd: root });
    let output = '';
    child.stdout.on('data', (text) => (output += text));
    child.stderr.on('data', (text) => (output += text));
    child.on('close', (code) => resolve({ name, ok: code === 0, output }));
  });
}

function checkTidy(): Outcome {
  const complaints = tidy(root);
  return { name: 'tidy', ok: complaints.length === 0, output: `${complaints.join('\n')}\n` };
}

const packages = readdirSync(`${root}packages`).filter((name) =>
  existsSync(`${root}packages/${name}/tsconfig.json`),
);
const outcomes: Outcome[] = [
  checkTidy(),
  await run('lint', 'biome', 'ci', '--colors=off', '--max-diagnostics=20', '--error-on-warnings', '.'),
];
for (const name of packages) outcomes.push(await run(`types of ${name}`, 'tsc', '-p', `packages/${name}`));
outcomes.push(await run('types of tests and tools', 'tsc', '-p', '.'));

for (const { name, ok, output } of outcomes) {
  process.stdout.write(ok ? `ok    ${name}\n` : `FAIL  ${name}\n${output}`);
}
process.exitCode = outcomes.every((outcome) => outcome.ok) ? 0 : 1;
