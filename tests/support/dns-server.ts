/**
 * A name server of a test's own, which programs take for that of their machine: each is started in a mount namespace with an
 * `/etc/resolv.conf` that names it. So Go's resolver, the C library's and Node's are asked alike, and nothing leaves the
 * machine. It listens on an address of its own in 127.0.0.0/8, on the one port that resolvers ask; both need root.
 */
import { spawnSync } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDirectory } from './temporary.ts';

export interface SrvRecord {
  readonly target: string;
  readonly port: number;
  readonly priority?: number | undefined;
  readonly weight?: number | undefined;
}

/** Everything that the server knows; other names do not exist. Names are without the final dot. */
export interface Zone {
  /** IPv4 addresses by host name. */
  readonly a?: Readonly<Record<string, readonly string[]>>;
  /** By the whole name of the service, as `_etcd-server._tcp.example.test`. */
  readonly srv?: Readonly<Record<string, readonly SrvRecord[]>>;
  /** Names to which the server has no answer but its own failure. */
  readonly broken?: readonly string[];
}

export interface Question {
  readonly name: string;
  readonly type: number;
}

const PORT = 53;
const TYPE_A = 1;
const TYPE_SRV = 33;
const CLASS_INTERNET = 1;
const TTL_SECONDS = 1;
const RCODE_OK = 0;
const RCODE_SERVER_FAILURE = 2;
const RCODE_NO_SUCH_NAME = 3;
const HEADER_BYTES = 12;
/** Response, authoritative, recursion desired and available. */
const FLAGS = 0x8580;
/** More than an answer may be by default: no test asks for as much. */
const MAX_ANSWER_BYTES = 512;
const MAX_ADDRESS_TRIES = 20;

/** Test options: skipped, with the reason, where the user's rights don't allow a name server and mount namespaces. */
export function needsNameServer(): { skip?: string } {
  if (process.getuid?.() !== 0) return { skip: 'a name server on port 53 needs root' };
  const tried = spawnSync('unshare', ['--mount', '--propagation', 'private', 'true'], { encoding: 'utf8' });
  return tried.status === 0 ? {} : { skip: `no mount namespaces: ${tried.error?.message ?? tried.stderr}` };
}

export class DnsServer {
  /** What it answers from; may be replaced at any time. */
  zone: Zone;
  /** What it was asked. */
  readonly questions: Question[] = [];
  readonly address: string;
  readonly #socket: Socket;
  readonly #resolvConf: string;

  private constructor(zone: Zone, address: string, socket: Socket) {
    this.zone = zone;
    this.address = address;
    this.#socket = socket;
    this.#resolvConf = join(temporaryDirectory(), 'resolv.conf');
    writeFileSync(this.#resolvConf, `nameserver ${address}\noptions timeout:5 attempts:3\n`);
    socket.on('message', (message, peer) => {
      const answer = this.#answer(message);
      if (answer !== null) socket.send(answer, peer.port, peer.address);
    });
  }

  static async start(zone: Zone): Promise<DnsServer> {
    for (let tries = 1; ; tries++) {
      const [third, fourth] = [1, 1].map(() => 1 + Math.floor(Math.random() * 253));
      const address = `127.53.${third}.${fourth}`;
      try {
        return new DnsServer(zone, address, await bind(address));
      } catch (error) {
        if (tries === MAX_ADDRESS_TRIES || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE')
          throw error;
      }
    }
  }

  /** What a program is started with so that it asks this server; the last of these becomes the program. */
  get launcher(): readonly string[] {
    const script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"';
    return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, this.#resolvConf];
  }

  stop(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(resolve));
  }

  #answer(query: Buffer): Buffer | null {
    const question = readQuestion(query);
    if (question === null) return null;
    const { name, type, end } = question;
    this.questions.push({ name, type });
    const { a = {}, srv = {}, broken = [] } = this.zone;
    const asked = query.subarray(HEADER_BYTES, end);
    if (broken.includes(name)) return response(query, asked, RCODE_SERVER_FAILURE, []);
    const addresses = a[name] ?? [];
    const services = srv[name] ?? [];
    if (a[name] === undefined && srv[name] === undefined) {
      return response(query, asked, RCODE_NO_SUCH_NAME, []);
    }
    const records =
      type === TYPE_A ? addresses.map(aRecord) : type === TYPE_SRV ? services.map(srvRecord) : [];
    return response(query, asked, RCODE_OK, records);
  }
}

async function bind(address: string): Promise<Socket> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(PORT, address, () => {
      socket.off('error', reject);
      resolve();
    });
  });
  return socket;
}

/** The first question of a query, and where it ends; null where it has none. */
function readQuestion(query: Buffer): (Question & { end: number }) | null {
  if (query.length < HEADER_BYTES || query.readUInt16BE(4) !== 1) return null;
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = query[at++] ?? 0; length > 0; length = query[at++] ?? 0) {
    labels.push(query.toString('latin1', at, at + length).toLowerCase());
    at += length;
  }
  if (at + 4 > query.length) return null;
  return { name: labels.join('.'), type: query.readUInt16BE(at), end: at + 4 };
}

function response(query: Buffer, asked: Buffer, code: number, records: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(query.readUInt16BE(0), 0);
  header.writeUInt16BE(FLAGS | code, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(records.length, 6);
  const answer = Buffer.concat([header, asked, ...records]);
  if (answer.length > MAX_ANSWER_BYTES) throw new Error(`an answer of ${answer.length} bytes needs TCP`);
  return answer;
}

function record(type: number, data: Buffer): Buffer {
  const head = Buffer.alloc(12);
  // The name is that of the question.
  head.writeUInt16BE(0xc000 | HEADER_BYTES, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(CLASS_INTERNET, 4);
  head.writeUInt32BE(TTL_SECONDS, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function aRecord(address: string): Buffer {
  return record(TYPE_A, Buffer.from(address.split('.').map(Number)));
}

function srvRecord({ target, port, priority = 0, weight = 0 }: SrvRecord): Buffer {
  const numbers = Buffer.alloc(6);
  numbers.writeUInt16BE(priority, 0);
  numbers.writeUInt16BE(weight, 2);
  numbers.writeUInt16BE(port, 4);
  const labels = target === '' ? [] : target.split('.');
  const name = labels.flatMap((label) => [Buffer.from([label.length]), Buffer.from(label, 'latin1')]);
  return record(TYPE_SRV, Buffer.concat([numbers, ...name, Buffer.from([0])]));
}
