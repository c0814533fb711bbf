/** What the operator of a proxy can set right. The message is one line. */
export class StartError extends Error {
  override readonly name = 'StartError';
}
