/** What the operating system says about a failure, without Node's prefix and suffix: `no such file or directory`. */
import { constants } from 'node:os';
import { getSystemErrorMessage } from 'node:util';

export function systemErrorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error ? String(error.code) : '';
  const words = SYSTEM_WORDS.get(code);
  if (words !== undefined) return words;
  const errno = ERRNO_BY_CODE.get(code);
  return errno === undefined ? error.message : (getSystemErrorMessage(-errno) ?? error.message);
}

/** Where Node words it differently from the system, whose words people look for. */
const SYSTEM_WORDS: ReadonlyMap<string, string> = new Map([
  ['EEXIST', 'file exists'],
  ['EISDIR', 'is a directory'],
]);

const ERRNO_BY_CODE: ReadonlyMap<string, number> = new Map(Object.entries(constants.errno));
