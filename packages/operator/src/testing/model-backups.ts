/**
 * A schedule, its backups, their workers and a store, as far as decisions see and change them. Workers really work, with a tool that keeps
 * files in memory; they are killed, files turn out to be damaged, and calls are lost or come late.
 */
import type { SeededRandom } from '@etcd/base';
import {
  type BackupAction,
  type BackupStatus,
  decideBackup,
  type SeenBackup,
} from '../backup/decide-backup.ts';
import {
  type BackupSummary,
  decideSchedule,
  type ScheduleAction,
  type SeenSchedule,
} from '../backup/decide-schedule.ts';
import type { SeenWorker } from '../backup/worker.ts';
import { parseBackupSpec, parseScheduleSpec } from '../resources/backup-spec.ts';
import { doWork } from '../work/do-work.ts';
import type { BackupWork } from '../work/work.ts';

export const STEP_MS = 10_000;
const STORE = { persistentVolumeClaim: { claimName: 'backups' } };

export interface ModelFile {
  readonly name: string;
  readonly isGood: boolean;
  isVerified: boolean;
}

interface ModelWorker extends SeenWorker {
  readonly endsAtMs: number;
}

interface ModelBackup {
  readonly name: string;
  readonly uid: string;
  readonly createdMs: number;
  readonly dueMs: number;
  status: BackupStatus | null;
  workers: readonly ModelWorker[];
}

export interface BackupFaults {
  /** That a call does nothing, and nobody hears of it. */
  readonly isLost: number;
  /** That what was decided is not done: the operator has ended. */
  readonly ends: number;
  /** That a worker is killed on its way. */
  readonly kills: number;
  /** That what was written can't be read again. */
  readonly damages: number;
}

export const NO_BACKUP_FAULTS: BackupFaults = { isLost: 0, ends: 0, kills: 0, damages: 0 };

export class ModelBackups {
  nowMs = 0;
  faults: BackupFaults;
  files: ModelFile[] = [];
  backups: ModelBackup[] = [];
  lastDueMs: number | null = null;
  rawSpec: Record<string, unknown> = {
    clusterName: 'c',
    schedule: '5m',
    store: STORE,
    encryption: { none: true },
    retention: { last: 1 },
    historyLimit: 3,
  };
  readonly violations: string[] = [];
  readonly #random: SeededRandom;
  #uids = 0;

  constructor(random: SeededRandom, faults: BackupFaults) {
    this.#random = random;
    this.faults = faults;
  }

  async step(): Promise<void> {
    this.nowMs += STEP_MS;
    for (const backup of this.backups) await this.#runWorkers(backup);
    for (const backup of [...this.backups]) this.#attendBackup(backup);
    this.#attendSchedule();
    const works = this.backups.filter(({ workers }) => workers.some(({ phase }) => phase === 'Running'));
    if (works.length > 1) this.violations.push('two backups are made at once');
  }

  /** As others see them. */
  summaries(): BackupSummary[] {
    return this.backups.map(({ name, uid, createdMs, dueMs, status }) => ({
      name,
      uid,
      clusterName: 'c',
      phase: status?.phase ?? 'Pending',
      isDeleted: false,
      createdMs,
      finishedMs: status?.finishedMs ?? null,
      isVerified: status?.result?.isVerified ?? false,
      wantsVerified: true,
      dueMs,
      ownerUid: 'schedule',
      purpose: '',
      message: '',
    }));
  }

  #attendBackup(backup: ModelBackup): void {
    const seen: SeenBackup = {
      nowMs: this.nowMs,
      name: backup.name,
      isDeleted: false,
      spec: parseBackupSpec({ ...this.rawSpec, schedule: undefined, historyLimit: undefined }),
      status: backup.status,
      workers: backup.workers,
      hasMembers: true,
    };
    const { action, status } = decideBackup(seen);
    if (this.#random.chance(this.faults.ends)) return;
    if (!this.#random.chance(this.faults.isLost)) backup.status = status;
    else return;
    if (action === null || this.#random.chance(this.faults.ends)) return;
    if (!this.#random.chance(this.faults.isLost)) this.#performBackup(backup, action);
  }

  #performBackup(backup: ModelBackup, action: BackupAction): void {
    if (action.kind === 'delete-worker') {
      backup.workers = backup.workers.filter(({ uid }) => uid !== action.uid);
      return;
    }
    const name = `${backup.name}-${action.attempt}`;
    if (backup.workers.some((worker) => worker.name === name)) return;
    const worker: ModelWorker = {
      name,
      uid: `w${++this.#uids}`,
      attempt: action.attempt,
      phase: 'Running',
      isTerminating: false,
      createdMs: this.nowMs,
      finishedMs: 0,
      message: '',
      endsAtMs: this.nowMs + STEP_MS * (1 + this.#random.below(4)),
    };
    backup.workers = [...backup.workers, worker];
  }

  #attendSchedule(): void {
    const seen: SeenSchedule = {
      nowMs: this.nowMs,
      name: 's',
      uid: 'schedule',
      createdMs: 1,
      isDeleted: false,
      spec: parseScheduleSpec(this.rawSpec),
      lastDueMs: this.lastDueMs,
      backups: this.summaries(),
    };
    const { action, status } = decideSchedule(seen);
    if (this.#random.chance(this.faults.ends)) return;
    if (this.#random.chance(this.faults.isLost)) return;
    this.lastDueMs = status.lastDueMs;
    if (action === null || this.#random.chance(this.faults.ends)) return;
    if (!this.#random.chance(this.faults.isLost)) this.#performSchedule(action);
  }

  #performSchedule(action: ScheduleAction): void {
    if (action.kind === 'delete-backup') {
      this.backups = this.backups.filter(({ uid }) => uid !== action.uid);
      return;
    }
    const { name, dueMs } = action;
    if (this.backups.some((backup) => backup.name === name)) return;
    const uid = `b${++this.#uids}`;
    this.backups.push({ name, uid, createdMs: this.nowMs, dueMs, status: null, workers: [] });
  }

  async #runWorkers(backup: ModelBackup): Promise<void> {
    for (const worker of backup.workers) {
      if (worker.phase !== 'Running' || worker.endsAtMs > this.nowMs) continue;
      const ended = await this.#work();
      const done = { ...worker, ...ended, finishedMs: this.nowMs };
      backup.workers = backup.workers.map((each) => (each === worker ? done : each));
    }
  }

  async #work(): Promise<Pick<SeenWorker, 'phase' | 'message'>> {
    const work: BackupWork = {
      kind: 'backup',
      resultFile: '',
      store: '/backup',
      endpoints: [],
      tlsDirectory: null,
      passphraseFile: null,
      identityFile: null,
      recipients: [],
      compression: 'zstd',
      verify: true,
      scratch: '',
      retention: { last: 1, withinMs: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0 },
    };
    try {
      const result = await doWork(work, (args) => this.#tool(args));
      return { phase: 'Succeeded', message: JSON.stringify(result) };
    } catch (error) {
      return { phase: 'Failed', message: (error as Error).message };
    }
  }

  /** As `etcdadm` with a store that keeps its last file. */
  async #tool(args: readonly string[]): Promise<string> {
    if (this.#random.chance(this.faults.kills)) throw new Error('killed');
    if (args[1] === 'verify') {
      const file = this.files.find(({ name }) => name === args[2])!;
      if (!file.isGood) throw new Error('damaged');
      file.isVerified = true;
      return '';
    }
    if (args[1] === 'prune') {
      const hadGood = this.files.some(({ isVerified }) => isVerified);
      this.files = this.files.slice(-1);
      if (hadGood && !this.files.some(({ isVerified }) => isVerified))
        this.violations.push('the newest good backup was removed');
      return 'Removed some\n';
    }
    const name = `f${++this.#uids}`;
    this.files.push({ name, isGood: !this.#random.chance(this.faults.damages), isVerified: false });
    const made = { name, clusterId: 'a', memberVersion: '3.6.4', revision: 1, sizeBytes: 1, storedBytes: 1 };
    return JSON.stringify(made);
  }
}
