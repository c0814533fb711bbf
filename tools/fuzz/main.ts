/**
 * `npm run fuzz`: feeds decoders and endpoints with changed inputs, guided by which code they make run. Exits with 1 where one was taken badly; the
 * input is among the regressions of `tools/fuzz/corpus` then, and the tests fail until it is taken well.
 *
 *   --target A,B    only these; all unless told
 *   --minutes M     for each; 1 unless told
 *   --seed N        of the changes; drawn from the time unless told
 *   --keep          keeps the inputs that made new code run, and adds the figures to `tools/fuzz/results.json`, which makes docs/fuzzing.md
 */
import { execFileSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { startCounting } from './coverage.ts';
import { type FuzzResult, fuzz } from './fuzz.ts';
import { addResult } from './record.ts';
import { loadTargets, readKept, targetFiles, writeKept } from './targets.ts';

/** More than any input has to need. */
const HEAP_MB = 1024;

const { values } = parseArgs({
  options: {
    target: { type: 'string' },
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string' },
    keep: { type: 'boolean', default: false },
    /** Of the process that fuzzes one target: where it is. */
    file: { type: 'string' },
  },
});

const minutes = Number(values.minutes);
if (!(minutes > 0)) throw new Error('--minutes takes a number above 0');

/** Each target has a process of its own, with no code but its own: what V8 counts is of a process, and so is memory. */
async function fuzzMany(): Promise<boolean> {
  const files = new Map<string, string>();
  for (const file of targetFiles()) for (const { name } of await loadTargets(file)) files.set(name, file);
  let isFine = true;
  for (const name of values.target?.split(',') ?? files.keys()) {
    const file = files.get(name);
    if (file === undefined)
      throw new Error(`no target is named ${name}; there are ${[...files.keys()].join(', ')}`);
    const seed = values.seed ?? String(Date.now() % 1_000_000);
    const args = ['--file', file, '--target', name, '--minutes', values.minutes, '--seed', seed];
    if (values.keep) args.push('--keep');
    try {
      execFileSync(process.execPath, [`--max-old-space-size=${HEAP_MB}`, import.meta.filename, ...args], {
        stdio: 'inherit',
      });
    } catch {
      isFine = false;
    }
  }
  return isFine;
}

function describe({ runs, seconds, cpuSeconds, corpus, covered, findings }: FuzzResult): string {
  const facts = `${runs} inputs in ${seconds} s (${cpuSeconds} s of the processor), ${corpus.length} kept, ${covered} characters of source ran`;
  const found = findings.map(
    ({ kind, details, input }) => `\n  ${kind}: ${Buffer.from(input).toString('base64')}\n${details}`,
  );
  return facts + found.join('');
}

async function fuzzOne(file: string): Promise<boolean> {
  startCounting();
  const target = (await loadTargets(file)).find(({ name }) => name === values.target)!;
  const kept = readKept(target.name);
  const seed = Number(values.seed);
  const inputs = [...kept.regressions, ...kept.corpus];
  const result = await fuzz({ target, corpus: inputs, seed, durationMs: minutes * 60_000 });
  process.stdout.write(`${target.name} (${target.what}), seed ${seed}: ${describe(result)}\n`);
  const isFine = result.findings.length === 0;
  if (values.keep || !isFine) {
    const regressions = [...kept.regressions, ...result.findings.map(({ input }) => input)];
    writeKept(target.name, {
      regressions,
      corpus: values.keep ? result.corpus.slice(kept.regressions.length) : kept.corpus,
    });
  }
  if (values.keep) addResult(target, seed, result);
  return isFine;
}

process.exitCode = (await (values.file === undefined ? fuzzMany() : fuzzOne(values.file))) ? 0 : 1;
