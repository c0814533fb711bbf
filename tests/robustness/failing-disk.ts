/**
 * Makes the disk of a running process fail, or slow: strace is attached to it and answers system calls in the kernel's place. So no code of
 * ours lies between a program and its disk, and Go's programs can be treated like this one.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { eventually, Running } from '../support/run.ts';

export interface DiskFault {
  readonly name: string;
  /** System calls that fail; with positions, so that no socket is meant. */
  readonly calls: string;
  /** As strace has it. */
  readonly injection: string;
  /** Whether the process has to end of it. */
  readonly isFatal: boolean;
}

export const DISK_FAULTS: readonly DiskFault[] = [
  { name: 'a sync fails', calls: 'fdatasync,fsync', injection: 'error=EIO', isFatal: true },
  { name: 'the disk is full', calls: 'pwrite64,pwritev', injection: 'error=ENOSPC', isFatal: true },
  { name: 'a write fails', calls: 'pwrite64,pwritev', injection: 'error=EIO', isFatal: true },
  { name: 'syncs are slow', calls: 'fdatasync,fsync', injection: 'delay_enter=150000', isFatal: false },
];

/** Why no disk can be made to fail here; null: it can. */
export function whyNoDiskFaults(): string | null {
  const args = ['-qq', '-o', '/dev/null', '-e', 'trace=fsync', '-e', 'inject=fsync:error=EIO', 'true'];
  const { error, status, stderr } = spawnSync('strace', args, { encoding: 'utf8' });
  if (error !== undefined) return 'strace is missing';
  return status === 0 ? null : `strace may not look into processes: ${stderr.trim()}`;
}

export class FailingDisk {
  readonly #strace: Running;
  readonly #pid: number;

  constructor(pid: number, { calls, injection }: DiskFault) {
    this.#pid = pid;
    const args = ['-f', '-qq', '-o', '/dev/null', '-p', `${pid}`];
    this.#strace = new Running(
      'strace',
      [...args, '-e', `trace=${calls}`, '-e', `inject=${calls}:${injection}`],
      {
        timeoutMs: MAX_LIFE_MS,
      },
    );
  }

  /** From now on the disk fails. */
  attached(): Promise<unknown> {
    return eventually(
      'strace is attached',
      () =>
        // A process that ended at once was attached to.
        !/^TracerPid:\t0$/m.test(readStatus(this.#pid)),
    );
  }

  /** Lets the process go on with its own disk. */
  async mend(): Promise<void> {
    this.#strace.kill('SIGTERM');
    await this.#strace.ended;
  }
}

const MAX_LIFE_MS = 120_000;

function readStatus(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return '';
  }
}
