/**
 * The things that Node can't do and a service needs: to ask whether a descriptor takes bytes without waiting, to
 * send a datagram to a unix socket (systemd's readiness, the journal), and to give memory back. Through koffi, loaded on first use. Where it
 * can't be loaded, every descriptor counts as writable, no datagram is sent and memory stays; {@link libcProblem} says why.
 */
import { createRequire } from 'node:module';
import type { LibraryHandle } from 'koffi';

/** Whether a datagram went out; the error text says why not. */
export type SendResult = { readonly error?: undefined } | { readonly error: string };

interface Libc {
  poll(descriptors: Uint8Array, count: number, timeoutMs: number): number;
  socket(domain: number, type: number, protocol: number): number;
  sendto(
    descriptor: number,
    bytes: Uint8Array,
    length: number,
    flags: number,
    address: Uint8Array,
    addressLength: number,
  ): number;
  close(descriptor: number): number;
  madvise(start: number, length: number, advice: number): number;
  /** Null where the C library has no such thing: it is GNU's. */
  readonly malloc_trim: ((padBytes: number) => number) | null;
  strerror(errno: number): string;
  errno(): number;
}

const POLLOUT = 4;
const MADV_DONTNEED = 4;
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** Size of `sun_path` in `struct sockaddr_un`. */
const MAX_PATH_BYTES = 108;

/** True when `descriptor` takes a page, or is in a state in which a write fails at once. Waits up to `timeoutMs`. */
export function pollWritable(descriptor: number, timeoutMs: number): boolean {
  const libc = load();
  if (libc === null) return true;
  // struct pollfd: i32 fd, i16 events, i16 revents.
  pollRequest.setInt32(0, descriptor, true);
  pollRequest.setInt16(4, POLLOUT, true);
  pollRequest.setInt16(6, 0, true);
  const ready = libc.poll(pollBytes, 1, timeoutMs);
  // An interrupted or refused call says nothing about the descriptor: the write will.
  return ready !== 0;
}

const pollBytes = new Uint8Array(8);
const pollRequest = new DataView(pollBytes.buffer);

/** Sends one datagram without waiting. A leading `@` names a socket in Linux's abstract namespace. */
export function sendUnixDatagram(path: string, bytes: Uint8Array): SendResult {
  const libc = load();
  if (libc === null) return { error: libcProblem() ?? 'the C library is out of reach' };
  const address = unixAddress(path);
  if (address === null) return { error: `socket path is longer than ${MAX_PATH_BYTES - 1} bytes` };
  const descriptor = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return { error: libc.strerror(libc.errno()) };
  const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  const sent = libc.sendto(descriptor, bytes, bytes.length, flags, address, address.length);
  const result: SendResult = sent < 0 ? { error: libc.strerror(libc.errno()) } : {};
  libc.close(descriptor);
  return result;
}

/** Has the C library give back what it keeps for later. */
export function trimAllocator(): void {
  load()?.malloc_trim?.(0);
}

/** The process can do without these pages: what is in them is lost, unless they are a file's, which is mapped again where it is touched. */
export function unmapPages(start: number, length: number): void {
  // What is locked in memory stays, and that is right.
  load()?.madvise(start, length, MADV_DONTNEED);
}

/** A `struct sockaddr_un` cut to its path; null when the path does not fit. */
export function unixAddress(path: string): Uint8Array | null {
  const name = Buffer.from(path);
  const isAbstract = path.startsWith('@');
  if (name.length >= MAX_PATH_BYTES) return null;
  // An abstract name is exactly its bytes; a path ends with a zero.
  const address = new Uint8Array(2 + name.length + (isAbstract ? 0 : 1));
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(name, 2);
  if (isAbstract) address[2] = 0;
  return address;
}

/** Why the C library can't be called; null when it can. */
export function libcProblem(): string | null {
  load();
  return problem;
}

let loaded: Libc | null | undefined;
let problem: string | null = null;

function load(): Libc | null {
  if (loaded !== undefined) return loaded;
  try {
    loaded = bind();
  } catch (error) {
    problem = error instanceof Error ? error.message : String(error);
    loaded = null;
  }
  return loaded;
}

function bind(): Libc {
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  const library = koffi.load(null);
  return {
    poll: library.func('int poll(uint8_t *descriptors, unsigned long count, int timeout)') as Libc['poll'],
    socket: library.func('int socket(int domain, int type, int protocol)') as Libc['socket'],
    sendto: library.func(
      'int64_t sendto(int descriptor, uint8_t *bytes, size_t length, int flags, uint8_t *address, uint32_t addressLength)',
    ) as Libc['sendto'],
    close: library.func('int close(int descriptor)') as Libc['close'],
    madvise: library.func('int madvise(uintptr_t start, size_t length, int advice)') as Libc['madvise'],
    malloc_trim: trimOf(library),
    strerror: library.func('const char *strerror(int errno)') as Libc['strerror'],
    errno: () => koffi.errno(),
  };
}

function trimOf(library: LibraryHandle): Libc['malloc_trim'] {
  try {
    return library.func('int malloc_trim(size_t pad)') as Libc['malloc_trim'];
  } catch {
    return null;
  }
}
