/** A member that could not be started, for a reason that its operator can set right. The message is one line. */
export class MemberStartError extends Error {
  override readonly name = 'MemberStartError';
}
