/**
 * TLS handshakes with certificates of both sides: what a new connection costs the server, in full and resumed, until it has said its first word of
 * HTTP/2. Before that a server in TLS 1.3 may not have seen the end of the handshake, and would be measured at failing.
 */
import type { TLSSocket } from 'node:tls';
import type { BenchCase } from '../case.ts';
import { openSocket } from '../load/connect.ts';
import { benchCertificates } from '../subject/certificates.ts';
import { EtcdProcess } from '../subject/etcd-process.ts';
import { cpuTimeUs } from '../subject/process-usage.ts';

const HANDSHAKES = 1_000;
const QUICK_HANDSHAKES = 20;
const AT_A_TIME = 8;
/** What a client of HTTP/2 says first: the preface, and settings that set nothing. */
const GREETING = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1'),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
]);

export const tlsHandshakes: BenchCase = {
  name: 'tls-handshakes',
  about:
    'new connections over TLS with certificates of both sides until the server has spoken, 8 at a time, in full and with resumed sessions',
  rows: [
    { figure: 'full', label: 'CPU per full handshake', unit: 'us', goal: { ratioAtMost: 1 } },
    { figure: 'resumed', label: 'CPU per resumed handshake', unit: 'us', goal: { ratioAtMost: 1 / 2 } },
  ],
  open: async ({ program, isQuick }) => {
    const server = await EtcdProcess.start(program, await benchCertificates());
    const count = isQuick ? QUICK_HANDSHAKES : HANDSHAKES;
    return {
      round: async () => ({
        full: await cpuPerHandshake(server, count, undefined),
        resumed: await cpuPerHandshake(server, count, await sessionOf(server)),
      }),
      close: () => server.dispose(),
    };
  },
};

async function cpuPerHandshake(
  server: EtcdProcess,
  count: number,
  session: Buffer | undefined,
): Promise<number> {
  const beforeUs = cpuTimeUs(server.pid);
  let left = count;
  const shakeHands = async (): Promise<void> => {
    for (; left > 0; ) {
      left--;
      const socket = openSocket(server.target, session) as TLSSocket;
      await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
      const isAsWanted = socket.isSessionReused() === (session !== undefined);
      if (!isAsWanted) throw new Error('the handshake was not of the kind that is measured');
      socket.write(GREETING);
      await new Promise((resolve, reject) => socket.once('data', resolve).once('error', reject));
      socket.destroy();
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, shakeHands));
  return (cpuTimeUs(server.pid) - beforeUs) / count;
}

/** A session that can be resumed: in TLS 1.3 it comes after the handshake. */
function sessionOf(server: EtcdProcess): Promise<Buffer> {
  const socket = openSocket(server.target) as TLSSocket;
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('session', (session: Buffer) => {
      socket.destroy();
      resolve(session);
    });
  });
}
