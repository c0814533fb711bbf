/**
 * Work that is done by a pod of its own: a backup, or a restore. It has the store and the keys, which the operator has not, and its memory; what
 * came of it stands in its message of termination, as JSON.
 */

/** As a pod says it. */
export type WorkerPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed';

export interface SeenWorker {
  readonly name: string;
  readonly uid: string;
  /** The first is 1. */
  readonly attempt: number;
  readonly phase: WorkerPhase;
  readonly isTerminating: boolean;
  readonly createdMs: number;
  readonly finishedMs: number;
  /** What it left, or why it could not begin. */
  readonly message: string;
}

export const MAX_ATTEMPTS = 4;
const FIRST_RETRY_MS = 30_000;

/** When the attempt after this one may begin. */
export function retryAtMs({ attempt, finishedMs }: SeenWorker): number {
  return finishedMs + FIRST_RETRY_MS * 4 ** (attempt - 1);
}

export interface BackupResult {
  readonly backupName: string;
  readonly clusterId: string;
  readonly memberVersion: string;
  readonly revision: number;
  readonly sizeBytes: number;
  readonly storedBytes: number;
  readonly isVerified: boolean;
  /** How many older ones were removed. */
  readonly removed: number;
}

export interface RestoreResult {
  /** What was restored: a backup's name, or `newest`. */
  readonly backupName: string;
}

/** null: it is none. */
export function parseBackupResult(message: string): BackupResult | null {
  const value = parsedRecord(message);
  if (value === null) return null;
  const { backupName, clusterId, memberVersion, revision, sizeBytes, storedBytes, isVerified, removed } =
    value;
  const isWhole =
    typeof backupName === 'string' &&
    typeof clusterId === 'string' &&
    typeof memberVersion === 'string' &&
    typeof revision === 'number' &&
    typeof sizeBytes === 'number' &&
    typeof storedBytes === 'number' &&
    typeof isVerified === 'boolean' &&
    typeof removed === 'number';
  if (!isWhole) return null;
  return { backupName, clusterId, memberVersion, revision, sizeBytes, storedBytes, isVerified, removed };
}

/** null: it is none. */
export function parseRestoreResult(message: string): RestoreResult | null {
  const backupName = parsedRecord(message)?.['backupName'];
  return typeof backupName === 'string' ? { backupName } : null;
}

function parsedRecord(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
