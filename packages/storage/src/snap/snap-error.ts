/** What can be wrong with snapshot files. */

/**
 * - `no-snapshot`: there is none that may be used
 * - `no-db`: the database that belongs to a snapshot is not here
 * - `empty`, `crc`, `malformed`: a `.snap` file that can't be read
 * - `too-large`: a received database is larger than was allowed
 * - `no-database`: what was received is no database, or not all of one
 */
export type SnapErrorCode =
  | 'no-snapshot'
  | 'no-db'
  | 'empty'
  | 'crc'
  | 'malformed'
  | 'too-large'
  | 'no-database';

export class SnapError extends Error {
  override readonly name = 'SnapError';
  readonly code: SnapErrorCode;
  readonly path: string;

  constructor(code: SnapErrorCode, path: string, problem: string) {
    super(`snap: ${problem} (${path})`);
    this.code = code;
    this.path = path;
  }
}
