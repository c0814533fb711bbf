/** An address that can't be listened on, for a reason that the operator can set right. The message is one line. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
}
