/** Reads the body of a request, up to a limit of bytes and of time. */
import type { IncomingMessage } from 'node:http';
import type { Clock } from '@etcd/base';

export type BodyDone = (body: Buffer | null, problem: 'too-large' | 'timeout' | 'aborted' | null) => void;

/** `done` is called once, with the body or with why there is none. */
export function readBody(
  request: IncomingMessage,
  { clock, maxBytes, timeoutMs }: { clock: Clock; maxBytes: number; timeoutMs: number },
  done: BodyDone,
): void {
  let parts: Buffer[] = [];
  let length = 0;
  let isOver = false;
  const finish: BodyDone = (body, problem) => {
    if (isOver) return;
    isOver = true;
    timer.cancel();
    parts = [];
    done(body, problem);
  };
  const timer = clock.setTimer(timeoutMs, () => finish(null, 'timeout'));
  request.on('data', (part: Buffer) => {
    if (isOver) return;
    length += part.length;
    if (length > maxBytes) return finish(null, 'too-large');
    parts.push(part);
  });
  request.on('end', () => finish(Buffer.concat(parts, length), null));
  request.on('error', () => finish(null, 'aborted'));
  request.on('close', () => finish(null, 'aborted'));
}
