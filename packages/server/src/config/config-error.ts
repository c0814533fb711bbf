/**
 * A configuration that can't be used. The message is one line for whoever started the program, in etcd's words where
 * etcd has some.
 *
 *  - `usage`: the command line itself is malformed.
 *  - `invalid`: every flag is well-formed, but a value is impossible or not supported.
 *
 * The program ends with exit code 1 either way. (etcd ends with 2 for the first kind, where its flag parser ends it.)
 */

export type ConfigErrorCode = 'usage' | 'invalid';

export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code: ConfigErrorCode;

  constructor(code: ConfigErrorCode, message: string) {
    super(message);
    this.code = code;
  }

  get exitCode(): 1 {
    return 1;
  }
}
