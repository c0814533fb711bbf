/** What is wrong with the content of a backend file. */

/**
 * - `corrupt`: a value that its codec can't read
 * - `unsupported-version`: written by an etcd that this program can neither upgrade from nor downgrade to
 */
export type SchemaErrorCode = 'corrupt' | 'unsupported-version';

export class SchemaError extends Error {
  override readonly name = 'SchemaError';
  readonly code: SchemaErrorCode;

  constructor(code: SchemaErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** An error that says where the value lies. */
export function corrupt(bucket: string, key: string, problem: string, cause?: unknown): SchemaError {
  return new SchemaError('corrupt', `bucket ${bucket}, key ${key}: ${problem}`, { cause });
}
