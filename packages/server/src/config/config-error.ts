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

  constructor(code: ConfigErrorCode, message: string) {
    super(message);
    this.code = code;
  }

  get exitCode(): 1 | 2 {
    return this.code === 'usage' ? 2 : 1;
  }
}
