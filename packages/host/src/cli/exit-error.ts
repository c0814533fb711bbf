/** How a command says that it failed: the exit code, and the line for stderr. */
export class ExitError extends Error {
  override readonly name = 'ExitError';
  readonly exitCode: number;

  /** An empty message prints nothing: everything has been said. */
  constructor(exitCode: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}
