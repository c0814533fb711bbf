/** Membership data that no etcd writes: a member that meets it in its files can't go on. */

/**
 * - `malformed`: text that can't be parsed, or lacks what it must have
 * - `id-mismatch`: a change of one member whose context names another
 * - `duplicate-id`, `zero-id`: an initial cluster that hashes to an impossible identity
 * - `member-count`, `no-match`: the initial cluster is not the one that exists
 */
export type MembershipErrorCode =
  | 'malformed'
  | 'id-mismatch'
  | 'duplicate-id'
  | 'zero-id'
  | 'member-count'
  | 'no-match';

export class MembershipError extends Error {
  override readonly name = 'MembershipError';
  readonly code: MembershipErrorCode;

  constructor(code: MembershipErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
