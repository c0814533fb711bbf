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
  ['EADDRNOTAVAIL', 'cannot assign requested address'],
  ['EAFNOSUPPORT', 'address family not supported by protocol'],
  ['EBUSY', 'device or resource busy'],
  ['EEXIST', 'file exists'],
  ['EHOSTUNREACH', 'no route to host'],
  ['EIO', 'input/output error'],
  ['EISDIR', 'is a directory'],
  ['ELOOP', 'too many levels of symbolic links'],
  ['ENAMETOOLONG', 'file name too long'],
  ['ENFILE', 'too many open files in system'],
  ['ENOMEM', 'cannot allocate memory'],
  ['ENOTSUP', 'operation not supported'],
  ['EOPNOTSUPP', 'operation not supported'],
  ['ETXTBSY', 'text file busy'],
  ['EXDEV', 'invalid cross-device link'],
]);

const ERRNO_BY_CODE: ReadonlyMap<string, number> = new Map(Object.entries(constants.errno));
