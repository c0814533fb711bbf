/**
 * For tests: programs of others as judges. What is missing is a reason to skip, which the test runner
 * reports.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter } from 'node:path';

const PEERS = process.env['ETCD_PEERS'] ?? '/opt/etcd-peers';

/** The path of `program`, on the PATH or in the directory of the peers, or null. */
export function findProgram(program: string): string | null {
  const directories = [PEERS, ...(process.env['PATH'] ?? '').split(delimiter)];
  return directories.map((directory) => `${directory}/${program}`).find(isExecutable) ?? null;
}

/** For a test's options: skips it, saying why, unless `program` is there. */
export function needs(program: string): { skip: false | string } {
  return { skip: findProgram(program) === null ? `${program} was not found` : false };
}

/** Likewise, unless there is a Python that has gRPC. */
export function needsPythonGrpc(): { skip: false | string } {
  const { status } = spawnSync('/usr/bin/python3', ['-c', 'import grpc'], { stdio: 'ignore' });
  return { skip: status === 0 ? false : 'python3-grpcio was not found' };
}

export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, or until `enough` says so of its output. */
export function run(
  program: string,
  args: readonly string[],
  options: { input?: Uint8Array; enough?: (stdout: string) => boolean; env?: NodeJS.ProcessEnv } = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child: ChildProcess = spawn(findProgram(program) ?? program, args, {
      env: { ...process.env, ...options.env },
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), 60_000);
    let stdout = '';
    let stderr = '';
    child.stdout!.on('data', (chunk: Buffer) => {
      stdout += chunk.toString('latin1');
      if (options.enough?.(stdout)) child.kill('SIGKILL');
    });
    child.stderr!.on('data', (chunk: Buffer) => {
      stderr += chunk.toString('latin1');
    });
    child.on('error', reject);
    child.on('close', (status) => {
      clearTimeout(timer);
      resolve({ status, stdout, stderr });
    });
    child.stdin!.on('error', () => {});
    child.stdin!.end(options.input);
  });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
