/** The process of a worker: its programs, its result, and what is left when it fails. */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { doWork, type RunTool } from './do-work.ts';
import { parseWork, WORK_VARIABLE } from './work.ts';

/** What Kubernetes keeps of a message. */
const MAX_MESSAGE_LENGTH = 4000;

/** Does what the environment says. Rejects when that failed; why stands in the result, too. */
export async function runWork(environment: NodeJS.ProcessEnv, log: (line: string) => void): Promise<void> {
  const work = parseWork(environment[WORK_VARIABLE] ?? 'null');
  try {
    const result = await doWork(work, toolRunner(log));
    writeFileSync(work.resultFile, JSON.stringify(result));
    log(JSON.stringify(result));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    writeFileSync(work.resultFile, message.slice(-MAX_MESSAGE_LENGTH));
    throw error;
  }
}

function toolRunner(log: (line: string) => void): RunTool {
  const root = import.meta.url.endsWith('.ts') ? '../../../../' : '../';
  const etcdadm = fileURLToPath(new URL(`${root}bin/etcdadm`, import.meta.url));
  return async (args) => {
    const child = spawn(etcdadm, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const forward = (signal: NodeJS.Signals): boolean => child.kill(signal);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, forward);
    const ended = new Promise<number | string>((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', (code, signal) => resolve(code ?? signal ?? ''));
    });
    const [code, out, problems] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, forward);
    if (code === 0) return out;
    log(problems);
    throw new Error(`etcdadm ${args[0]}: ${problems.trim() || `ended with ${code}`}`);
  };
}
