/**
 * `npm run endurance`: the whole suite again and again, beside loops that keep processors busy, since a test that fails now and then
 * fails there. Each run adds a row to `docs/endurance.md`; the output of a red one stays in `.cache/endurance/`.
 *
 *   npm run endurance -- --runs 10 --busy 2 --into docs/endurance.md [WORD…]
 *
 * Words choose files as those of `npm test` do, for a trial whose figures belong elsewhere (`--into`).
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { addRun, cellText, type EnduranceRun } from './endurance/record.ts';
import { chooseFiles, FAILED_PATH } from './test-files.ts';

const root = new URL('..', import.meta.url).pathname;
const logs = `${root}.cache/endurance`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '10' },
    busy: { type: 'string', default: '2' },
    into: { type: 'string' },
  },
});
const runs = Number(values.runs);
const busyLoops = Number(values.busy);
if (!(runs >= 1 && busyLoops >= 0)) throw new Error('--runs and --busy take numbers');
if (positionals.length > 0 && values.into === undefined) {
  throw new Error('figures of some of the tests need a page of their own: --into FILE');
}
const page = values.into ?? `${root}docs/endurance.md`;

const hogs: ChildProcess[] = [];
process.on('exit', () => {
  for (const hog of hogs) hog.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

function runSuite(log: number): Promise<number> {
  const child = spawn(process.execPath, [`${root}tools/test.ts`, ...positionals], {
    cwd: root,
    stdio: ['ignore', log, log],
  });
  process.once('exit', () => child.kill());
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
}

function failedTests(code: number): string[] {
  const failed = existsSync(FAILED_PATH) ? readFileSync(FAILED_PATH, 'utf8').split('\n') : [];
  const names = failed.map(cellText).filter((name) => name !== '');
  return code !== 0 && names.length === 0 ? [`the suite ended with code ${code}`] : names;
}

async function run(number: number): Promise<EnduranceRun> {
  const beginMs = Date.now();
  const logPath = `${logs}/${new Date(beginMs).toISOString().replaceAll(':', '-')}.log`;
  rmSync(FAILED_PATH, { force: true });
  const log = openSync(logPath, 'w');
  const code = await runSuite(log);
  closeSync(log);
  const failed = failedTests(code);
  if (failed.length === 0) rmSync(logPath);
  const minutes = Math.round((Date.now() - beginMs) / 60_000);
  const verdict = failed.length === 0 ? 'green' : `red, see ${logPath}\n  ${failed.join('\n  ')}`;
  process.stdout.write(`run ${number} of ${runs}, ${minutes} minutes: ${verdict}\n`);
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
    cwd: root,
    encoding: 'utf8',
  }).trim();
  const date = new Date(beginMs).toISOString().slice(0, 10);
  return { date, commit, files: chooseFiles(positionals).length, busyLoops, minutes, failed };
}

mkdirSync(logs, { recursive: true });
for (let i = 0; i < busyLoops; i++) {
  hogs.push(spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }));
}
let isGreen = true;
for (let number = 1; number <= runs; number++) {
  const result = await run(number);
  isGreen &&= result.failed.length === 0;
  writeFileSync(page, addRun(existsSync(page) ? readFileSync(page, 'utf8') : '', result));
}
process.exit(isGreen ? 0 : 1);
