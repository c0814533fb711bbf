/** What a token is called where it must not be said. */
import { createHash } from 'node:crypto';

const FINGERPRINT_LETTERS = 12;

export function tokenFingerprint(token: string): string {
  return createHash('sha256').update(token).digest('hex').slice(0, FINGERPRINT_LETTERS);
}
