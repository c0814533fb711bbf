/** Asks for what nobody should see. */
import { openSync, readSync, writeSync } from 'node:fs';

const ENTER = new Set([0x0a, 0x0d]);
const BACKSPACE = new Set([0x08, 0x7f]);
const INTERRUPT = 0x03;
const END_OF_INPUT = 0x04;
const MAX_SECRET_BYTES = 4096;

/**
 * Prints `prompt` on the terminal and reads a line that is not shown; null when it ends before a line does; `SIGINT` ends the
 * program. What comes by a pipe or from a file is read from there, also where there is a terminal, and the prompt is on
 * standard output then, as etcd's tools have it.
 */
export function askSecret(prompt: string): Promise<string | null> {
  // Few commands ask anything, and all should start quickly.
  const { isatty, ReadStream } = process.getBuiltinModule('node:tty');
  if (!isatty(0)) {
    writeSync(1, prompt);
    const line = readLine(0);
    writeSync(1, '\n');
    return Promise.resolve(line ?? '');
  }
  let terminal: number;
  try {
    terminal = openSync('/dev/tty', 'r+');
  } catch {
    terminal = 0;
  }
  writeSync(terminal, prompt);
  return new Promise((resolve) => {
    const input = new ReadStream(terminal);
    input.setRawMode(true);
    const bytes: number[] = [];
    const done = (secret: string | null): void => {
      input.setRawMode(false);
      writeSync(terminal, '\n');
      input.destroy();
      resolve(secret);
    };
    input.on('data', (chunk: Buffer) => {
      for (const byte of chunk) {
        if (ENTER.has(byte)) {
          done(Buffer.from(bytes).toString());
          return;
        }
        if (byte === INTERRUPT) {
          done(null);
          process.kill(process.pid, 'SIGINT');
          return;
        }
        if (byte === END_OF_INPUT && bytes.length === 0) {
          done(null);
          return;
        }
        if (BACKSPACE.has(byte)) bytes.pop();
        else if (bytes.length < MAX_SECRET_BYTES) bytes.push(byte);
      }
    });
  });
}

/** A line of `descriptor`, byte by byte so that nothing behind it is taken. */
function readLine(descriptor: number): string | null {
  const byte = Buffer.alloc(1);
  const bytes: number[] = [];
  for (;;) {
    const count = readSync(descriptor, byte);
    if (count === 0) return bytes.length === 0 ? null : Buffer.from(bytes).toString();
    if (byte[0] === 0x0a) return Buffer.from(bytes).toString().replace(/\r$/, '');
    if (bytes.length < MAX_SECRET_BYTES) bytes.push(byte[0] ?? 0);
  }
}
