/** What is wrong with a certificate, a key, a list of authorities or a setting about them: said once, at the start or at a reload. */
export type TlsErrorCode = 'unreadable' | 'malformed' | 'mismatch' | 'setting';

export class TlsError extends Error {
  override readonly name = 'TlsError';
  readonly code: TlsErrorCode;

  constructor(code: TlsErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
