/** Requests of the JSON gateway over HTTP/1.1, written by hand: a client that costs less than the server it measures. */
import type { Socket } from 'node:net';
import { openSocket } from './connect.ts';
import type { Tally } from './drivers.ts';
import type { Work } from './job.ts';
import { keyOf } from './template.ts';

const HEAD_END = Buffer.from('\r\n\r\n');
const LENGTH = 'content-length: ';
const STRIDE = 7919;

/** Path and body of one request after another. */
type GatewaySource = () => readonly [path: string, body: string];

function gatewaySource(work: Work): GatewaySource {
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  if (work.kind === 'get') {
    const { isSerializable: serializable } = work;
    const body = JSON.stringify({ key: base64(keyOf(work.space, 0)), serializable });
    return () => ['/v3/kv/range', body];
  }
  if (work.kind !== 'put') throw new Error(`the gateway is not asked for ${work.kind}`);
  const value = base64(Buffer.alloc(work.valueBytes, 'x'));
  let key = 0;
  return () => {
    key = (key + STRIDE) % work.space.count;
    return ['/v3/kv/put', `{"key":"${base64(keyOf(work.space, key))}","value":"${value}"}`];
  };
}

/** Keeps one request in flight on each of `connections` until `requests` are answered. */
export async function driveGateway(
  targets: readonly string[],
  connections: number,
  requests: number,
  work: Work,
  tally: Tally,
): Promise<void> {
  const next = gatewaySource(work);
  let unsent = requests;
  let unanswered = requests;
  await new Promise<void>((resolve, reject) => {
    const sockets: Socket[] = [];
    const onAnswered = (): void => {
      if (--unanswered > 0) return;
      for (const socket of sockets) socket.destroy();
      resolve();
    };
    const mayAsk = (): boolean => unsent-- > 0;
    for (let i = 0; i < connections; i++) {
      const socket = openSocket(targets[i % targets.length]!);
      sockets.push(socket);
      ask(socket, { next, mayAsk, onAnswered, onFailed: reject, tally });
    }
  });
}

interface Asking {
  readonly next: GatewaySource;
  readonly mayAsk: () => boolean;
  readonly onAnswered: () => void;
  readonly onFailed: (error: Error) => void;
  readonly tally: Tally;
}

/** One request after another on a connection. */
function ask(socket: Socket, { next, mayAsk, onAnswered, onFailed, tally }: Asking): void {
  let answer: Buffer = Buffer.alloc(0);
  let sentMs = 0;
  const send = (): void => {
    if (!mayAsk()) return;
    const [path, body] = next();
    sentMs = performance.now();
    socket.write(
      `POST ${path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
  };
  socket.setNoDelay(true);
  socket.on('connect', send);
  socket.on('error', onFailed);
  socket.on('data', (bytes) => {
    answer = answer.length === 0 ? bytes : Buffer.concat([answer, bytes]);
    const headEnd = answer.indexOf(HEAD_END);
    if (headEnd < 0) return;
    const head = answer.toString('latin1', 0, headEnd).toLowerCase();
    if (!head.startsWith('http/1.1 200')) return onFailed(new Error(answer.toString()));
    const at = head.indexOf(LENGTH);
    if (at < 0) return onFailed(new Error(`an answer of unknown length: ${head}`));
    const length = Number.parseInt(head.slice(at + LENGTH.length), 10);
    if (answer.length < headEnd + HEAD_END.length + length) return;
    answer = Buffer.alloc(0);
    tally.add(sentMs, length);
    onAnswered();
    send();
  });
}
