/**
 * The one error class of this package. What a caller may meet with a healthy program is a {@link BoltError} with a
 * `code`; a broken promise of the caller (a closed transaction used, two writers) is an `InvariantError`.
 */

/**
 * - `not-a-database`: neither meta page carries the magic number;
 * - `version-mismatch`, `checksum`, `page-size`: why both meta pages were refused when they do carry it;
 * - `truncated`: the file is shorter than its meta page says;
 * - `too-large`: page ids beyond 2^31 − 2 or transaction ids beyond 2^53 − 1;
 * - `locked`: another process (or another open file) holds the lock that this one needs;
 * - `corrupt`: a page contradicts itself or its neighbours; see {@link BoltError.pgid};
 * - `io`: the disk failed; `cause` is its error. After a failed write or sync no further transaction commits;
 * - `read-only`: a write transaction on a database opened for reading;
 * - `bucket-not-found`, `bucket-exists`, `incompatible-value` (a bucket where a value was expected, or the reverse),
 *   `key-required`, `key-too-large`, `value-too-large`: arguments that the tree can't take.
 */
export type BoltErrorCode =
  | 'not-a-database'
  | 'version-mismatch'
  | 'checksum'
  | 'page-size'
  | 'truncated'
  | 'too-large'
  | 'locked'
  | 'corrupt'
  | 'io'
  | 'read-only'
  | 'bucket-not-found'
  | 'bucket-exists'
  | 'incompatible-value'
  | 'key-required'
  | 'key-too-large'
  | 'value-too-large';

export interface BoltErrorDetails extends ErrorOptions {
  readonly path?: string | undefined;
  readonly pgid?: number | undefined;
  readonly offset?: number | undefined;
}

export class BoltError extends Error {
  override readonly name = 'BoltError';
  readonly code: BoltErrorCode;
  /** The database file, where one is concerned. */
  readonly path: string | undefined;
  /** The page at fault. */
  readonly pgid: number | undefined;
  /** Where that page begins in the file, bytes. */
  readonly offset: number | undefined;

  constructor(code: BoltErrorCode, message: string, details: BoltErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.path = details.path;
    this.pgid = details.pgid;
    this.offset = details.offset;
  }
}
