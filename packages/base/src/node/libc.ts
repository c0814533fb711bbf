/**
 * The few C library calls that Node lacks, through koffi. Loaded on first use: a process that opens no data
 * directory never pays for it.
 */
import { createRequire } from 'node:module';
import { DiskError, type FileLockMode } from '../disk.ts';

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const F_OFD_SETLK = 37;
const F_RDLCK = 0;
const F_WRLCK = 1;
const SEEK_SET = 0;

interface Libc {
  flock(descriptor: number, operation: number): number;
  fcntl(descriptor: number, command: number, argument: Uint8Array): number;
  fallocate(descriptor: number, mode: number, offset: number, length: number): number;
  exit(code: number): void;
  errno(): number;
  readonly names: Readonly<Record<string, number>>;
}

/** Takes a flock(2) without waiting; false when one against it is held elsewhere. */
export function lockByFlock(descriptor: number, path: string, mode: FileLockMode): boolean {
  const libc = load();
  if (libc.flock(descriptor, (mode === 'shared' ? LOCK_SH : LOCK_EX) | LOCK_NB) === 0) return true;
  return refused(libc, path, 'flock');
}

/** Takes a lock of the open file description on the whole file without waiting; false when one against it is held elsewhere. */
export function lockByOpenFileDescription(descriptor: number, path: string, mode: FileLockMode): boolean {
  const libc = load();
  // struct flock on 64-bit Linux: i16 type, i16 whence, (4 bytes of padding), i64 start, i64 length, i32 pid.
  const request = new Uint8Array(32);
  const view = new DataView(request.buffer);
  view.setInt16(0, mode === 'shared' ? F_RDLCK : F_WRLCK, true);
  view.setInt16(2, SEEK_SET, true);
  if (libc.fcntl(descriptor, F_OFD_SETLK, request) === 0) return true;
  return refused(libc, path, 'fcntl(F_OFD_SETLK)');
}

/** Reserves the file's first `sizeBytes`; false where the file system can't. Throws ENOSPC and the like. */
export function allocateSpace(descriptor: number, sizeBytes: number, path: string): boolean {
  const libc = load();
  if (libc.fallocate(descriptor, 0, 0, sizeBytes) === 0) return true;
  const errno = libc.errno();
  if (errno === libc.names['EOPNOTSUPP'] || errno === libc.names['ENOSYS']) return false;
  throw systemError(libc, errno, path, 'fallocate');
}

/**
 * Ends the process as `process.exit` does, but for the C library's own handlers: koffi's syncs stdout and stderr, and where they are files of a
 * disk that fails, it waits for itself, and the process never ends.
 */
export function exitAtOnce(code: number): never {
  // Behind all other listeners.
  if (isKoffiLoaded()) process.on('exit', () => load().exit(code));
  process.exit(code);
}

/** By whomever: a process without it has none of its handlers. */
function isKoffiLoaded(): boolean {
  return Object.keys(createRequire(import.meta.url).cache).some((path) => path.includes('/koffi/'));
}

function refused(libc: Libc, path: string, call: string): false {
  const errno = libc.errno();
  if (errno === libc.names['EAGAIN'] || errno === libc.names['EACCES']) return false;
  throw systemError(libc, errno, path, call);
}

function systemError(libc: Libc, errno: number, path: string, call: string): DiskError {
  const code = Object.keys(libc.names).find((name) => libc.names[name] === errno) ?? `errno ${errno}`;
  return new DiskError(code, path, `${code}: ${call} '${path}'`);
}

let loaded: Libc | null = null;

function load(): Libc {
  if (loaded !== null) return loaded;
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  const library = koffi.load(null);
  loaded = {
    flock: library.func('int flock(int descriptor, int operation)') as Libc['flock'],
    fcntl: library.func('int fcntl(int descriptor, int command, uint8_t *argument)') as Libc['fcntl'],
    fallocate: library.func(
      'int fallocate(int descriptor, int mode, int64_t offset, int64_t length)',
    ) as Libc['fallocate'],
    exit: library.func('void _exit(int code)') as Libc['exit'],
    errno: () => koffi.errno(),
    names: koffi.os.errno,
  };
  return loaded;
}
