/**
 * What can be wrong with a log. Every error names the place and what to do about it; none of them has changed a file.
 */

/**
 * - `torn`: the last write was cut off by a crash; `repairWal` drops it. Nothing that was acknowledged is in it
 * - `corrupt`: bytes that were durable have changed, or are gone
 * - `not-found`: no log here, or none that reaches back to the wanted index
 * - `exists`: a log is here already
 * - `locked`: another process uses the log
 * - `snapshot-not-found`, `snapshot-mismatch`: the log has no record of the snapshot to start from, or one of another term
 * - `slice-out-of-range`: entries are missing between the snapshot and the first that is there, or between two
 * - `metadata`: segments of different members or clusters, or none that says whose they are
 * - `unknown-record`: an intact record of a type that this version does not know
 */
export type WalErrorCode =
  | 'torn'
  | 'corrupt'
  | 'not-found'
  | 'exists'
  | 'locked'
  | 'snapshot-not-found'
  | 'snapshot-mismatch'
  | 'slice-out-of-range'
  | 'metadata'
  | 'unknown-record';

export class WalError extends Error {
  override readonly name = 'WalError';
  readonly code: WalErrorCode;
  /** The segment, or the directory where no single segment is to blame. */
  readonly path: string;
  /** Bytes from the segment's start to the record; -1 where that means nothing. */
  readonly offset: number;

  constructor(code: WalErrorCode, path: string, offset: number, problem: string) {
    const place = offset < 0 ? path : `${path} at offset ${offset}`;
    super(`wal: ${problem} (${place}). ${REMEDIES[code]}`);
    this.code = code;
    this.path = path;
    this.offset = offset;
  }
}

const RESTORE =
  'Nothing was changed. Restore this member from a backup, or remove it from the cluster and add it again with an empty directory';

const REMEDIES: Readonly<Record<WalErrorCode, string>> = {
  torn: 'An interrupted write is dropped by a repair at the next start',
  corrupt: RESTORE,
  'not-found': `Check --data-dir and --wal-dir. ${RESTORE}`,
  exists: 'Use another directory, or start the member that owns this one',
  locked: 'Stop the other process first',
  'snapshot-not-found': RESTORE,
  'snapshot-mismatch': RESTORE,
  'slice-out-of-range': RESTORE,
  metadata: 'Check that the directory holds the files of one member only',
  'unknown-record': 'Start the version that wrote it. If there is none, the record is corrupt',
};
