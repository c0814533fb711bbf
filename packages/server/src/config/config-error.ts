/**
 * A configuration that can't be used. The message is one line for whoever started the program, in etcd's words where
 * etcd has some.
 *
 *  - `usage`: the command line itself is malformed.
 *  - `file-url`: a URL in the configuration file is malformed. Told as plain text, like the first; there is no logger yet.
 *  - `invalid`: every flag is well-formed, but a value is impossible or not supported.
 *
 * The program ends with exit code 2 for the first kind, as Go's flag parser does, and with 1 for the others.
 */

export type ConfigErrorCode = 'usage' | 'file-url' | 'invalid';

export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code: ConfigErrorCode;
  /** The other mistakes of the same configuration, in the order in which they were found. */
  readonly others: readonly ConfigError[];

  constructor(code: ConfigErrorCode, message: string, others: readonly ConfigError[] = []) {
    super(message);
    this.code = code;
    this.others = others;
  }

  /** This and all others. */
  get all(): readonly ConfigError[] {
    return [this, ...this.others];
  }

  get exitCode(): 1 | 2 {
    return this.code === 'usage' ? 2 : 1;
  }
}
