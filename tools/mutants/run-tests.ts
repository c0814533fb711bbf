/** Runs test files in one process until a test fails, or all have passed, or the time is up. */
import { spawn } from 'node:child_process';
import { MUTANT_VARIABLE, type PlantedMutant } from './plant.ts';

export type TestOutcome = 'passed' | 'failed' | 'timeout';

export interface TestLimits {
  /** Of a processor: what never ends. */
  readonly cpuMs: number;
  /** What waits for ever. */
  readonly elapsedMs: number;
}

const PLANT = new URL('./plant.ts', import.meta.url).href;
const FAILURE = /^not ok|^\s+not ok/m;

/** @param mutant null: the sources as they are. */
export function runTests(
  files: readonly string[],
  mutant: PlantedMutant | null,
  { cpuMs, elapsedMs }: TestLimits,
  root: string,
): Promise<TestOutcome> {
  const env = {
    ...process.env,
    NODE_OPTIONS: `--import=${PLANT}`,
    NODE_COMPILE_CACHE: `${root}.cache/compile`,
    ETCD_VERIFY: 'all',
  };
  delete (env as NodeJS.ProcessEnv)['NODE_TEST_CONTEXT'];
  if (mutant !== null) Object.assign(env, { [MUTANT_VARIABLE]: JSON.stringify(mutant) });
  const options = ['--test', '--test-isolation=none', '--test-reporter=tap', '--max-old-space-size=1024'];
  const limited = ['-c', `ulimit -t ${Math.ceil(cpuMs / 1000)} && exec "$@"`, 'sh', process.execPath];
  const child = spawn('sh', [...limited, ...options, ...files], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return new Promise((resolve) => {
    let output = '';
    const end = (outcome: TestOutcome): void => {
      clearTimeout(timer);
      child.kill('SIGKILL');
      resolve(outcome);
    };
    const timer = setTimeout(() => end('timeout'), elapsedMs);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      // A line may come in pieces.
      output = output.slice(output.lastIndexOf('\n') + 1) + text;
      if (FAILURE.test(output)) end('failed');
    });
    child.once('close', (code, signal) =>
      end(code === 0 ? 'passed' : signal === null ? 'failed' : 'timeout'),
    );
  });
}
