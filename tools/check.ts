/**
 * `npm run check`: everything that can be said about the sources without running them. Types (all in one program; each pure
 * package once more alone, so that it can't reach Node), lint and format, and the house rules of `tidy.ts`. The steps run side
 * by side, as many as there are processors; what they say is printed in one order.
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { tidy } from './tidy.ts';

const root = new URL('..', import.meta.url).pathname;

interface Outcome {
  readonly ok: boolean;
  readonly output: string;
}

interface Step {
  readonly name: string;
  readonly run: () => Promise<Outcome> | Outcome;
}

function program(name: string, command: string, ...args: string[]): Step {
  const run = (): Promise<Outcome> =>
    new Promise((resolve) => {
      const child = spawn(`${root}node_modules/.bin/${command}`, args, { cwd: root });
      let output = '';
      child.stdout.on('data', (text) => (output += text));
      child.stderr.on('data', (text) => (output += text));
      child.on('error', (error) => resolve({ ok: false, output: `${error.message}\n` }));
      child.on('close', (code) => resolve({ ok: code === 0, output }));
    });
  return { name, run };
}

function checkTidy(): Outcome {
  const complaints = tidy(root);
  return { ok: complaints.length === 0, output: `${complaints.join('\n')}\n` };
}

/**
 * A package that has no ambient types, not even Node's. What the others may use is what the program of everything uses, so that
 * this program says all there is to say about them.
 */
function isPure(name: string): boolean {
  const config = `${root}packages/${name}/tsconfig.json`;
  return existsSync(config) && /"types": \[\]/.test(readFileSync(config, 'utf8'));
}

const purePackages = readdirSync(`${root}packages`).filter(isPure);
const steps: readonly Step[] = [
  program('types', 'tsc', '-p', '.'),
  program('lint', 'biome', 'ci', '--colors=off', '--max-diagnostics=20', '--error-on-warnings', '.'),
  ...purePackages.map((name) => program(`types of ${name} alone`, 'tsc', '-p', `packages/${name}`)),
  { name: 'tidy', run: checkTidy },
];

const outcomes = new Map<Step, Outcome>();
// The longest begin first.
const waiting = [...steps].reverse();

async function work(): Promise<void> {
  for (let step = waiting.pop(); step !== undefined; step = waiting.pop())
    outcomes.set(step, await step.run());
}

await Promise.all(Array.from({ length: availableParallelism() }, work));
for (const step of steps) {
  const { ok, output } = outcomes.get(step)!;
  process.stdout.write(ok ? `ok    ${step.name}\n` : `FAIL  ${step.name}\n${output}`);
}
process.exitCode = [...outcomes.values()].every(({ ok }) => ok) ? 0 : 1;
