/** A place for lines that can't be had. The message is one line for whoever started the program. */
export class LogOutputError extends Error {
  override readonly name = 'LogOutputError';
}
