/** Backups of a cluster, and restores with their workers, as decisions see them. A worker succeeds, or fails, after a while. */
import type { SeededRandom } from '@etcd/base';
import type { BackupSummary } from '../backup/decide-schedule.ts';
import type { Action } from '../cluster/action.ts';
import type { Observed, SeenRestore, SeenRestoreWorker } from '../cluster/observed.ts';
import type { RestoreSource } from '../resources/restore-spec.ts';
import { Refused } from './refused.ts';

const SOURCE: RestoreSource = {
  store: { claimName: 'backups', address: '/backup', credentialsSecret: null },
  passphraseSecret: null,
  identitySecret: null,
  backupName: 'f',
  toTime: null,
};

export interface ModelRestore extends SeenRestore {
  /** null: it has not come to an end. */
  isOk: boolean | null;
}

interface Worker extends SeenRestoreWorker {
  readonly endsAtMs: number;
}

export class ModelRestores {
  restores: ModelRestore[] = [];
  backups: BackupSummary[] = [];
  hasSchedule = false;
  /** That a backup, or the worker of a restore, fails. */
  failures = 0;
  workers: Worker[] = [];
  readonly #random: SeededRandom;
  #uids = 0;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  request(replacesData: boolean, name = `r${this.#uids + 1}`): ModelRestore {
    const restore = { uid: `r${++this.#uids}`, name, source: SOURCE, problem: '', replacesData, isOk: null };
    this.restores.push(restore);
    return restore;
  }

  observe(
    wantsSchedule: boolean,
  ): Pick<Observed, 'backups' | 'schedule' | 'maxBackupAgeMs' | 'restore' | 'restoreWorkers'> {
    return {
      backups: [...this.backups],
      schedule: {
        uid: this.hasSchedule ? 'schedule' : null,
        isForeign: false,
        isAsDeclared: this.hasSchedule && wantsSchedule,
      },
      maxBackupAgeMs: wantsSchedule ? 600_000 : null,
      restore: this.restores.find(({ isOk }) => isOk === null) ?? null,
      restoreWorkers: [...this.workers],
    };
  }

  /** @param onRestored a worker has put a backup's data in its place; false: there is no place. */
  step(nowMs: number, onRestored: (uid: string, volumeUid: string) => boolean): void {
    this.backups = this.backups.map((backup) =>
      backup.phase === 'Running' && nowMs - backup.createdMs > 5_000 ? this.#finished(backup, nowMs) : backup,
    );
    this.workers = this.workers.map((worker) => {
      if (worker.phase !== 'Running' || worker.endsAtMs > nowMs) return worker;
      const isOk = !this.#random.chance(this.failures) && onRestored(worker.restoreUid, worker.volumeUid);
      const message = isOk ? JSON.stringify({ backupName: 'f' }) : 'no such backup';
      return { ...worker, phase: isOk ? 'Succeeded' : 'Failed', finishedMs: nowMs, message };
    });
  }

  #finished(backup: BackupSummary, nowMs: number): BackupSummary {
    const isOk = !this.#random.chance(this.failures);
    const done = { finishedMs: nowMs, isVerified: isOk, message: isOk ? 'done' : 'no room' };
    return { ...backup, ...done, phase: isOk ? 'Succeeded' : 'Failed' };
  }

  /** Throws {@link Refused}; false: it is not about backups. */
  perform(action: Action, nowMs: number): boolean {
    switch (action.kind) {
      case 'apply-schedule':
      case 'delete-schedule':
        this.hasSchedule = action.kind === 'apply-schedule';
        return true;
      case 'create-backup':
        if (this.backups.some(({ name }) => name === action.name)) throw new Refused('it exists');
        this.backups.push(this.#backup(action.name, action.purpose, nowMs));
        return true;
      case 'request-restore':
        if (this.restores.some(({ name }) => name === action.name)) throw new Refused('it exists');
        this.request(true, action.name);
        return true;
      case 'settle-restore':
        for (const restore of this.restores) if (restore.uid === action.uid) restore.isOk = action.isOk;
        return true;
      case 'create-restore-worker': {
        const { attempt, restore, volumeUid } = action;
        const name = `${restore.uid}-${volumeUid}-${attempt}`;
        if (this.workers.some((worker) => worker.name === name)) throw new Refused('it exists');
        this.workers.push({
          name,
          uid: `w${++this.#uids}`,
          attempt,
          phase: 'Running',
          isTerminating: false,
          createdMs: nowMs,
          finishedMs: 0,
          message: '',
          restoreUid: restore.uid,
          volumeUid,
          endsAtMs: nowMs + 1000 * (1 + this.#random.below(10)),
        });
        return true;
      }
      default:
        return false;
    }
  }

  #backup(name: string, purpose: string, nowMs: number): BackupSummary {
    return {
      name,
      uid: `b${++this.#uids}`,
      clusterName: 'c',
      phase: 'Running',
      isDeleted: false,
      createdMs: nowMs,
      finishedMs: null,
      isVerified: false,
      wantsVerified: true,
      dueMs: null,
      ownerUid: '',
      purpose,
      message: '',
    };
  }
}
