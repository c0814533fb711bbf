/** Which of the sockets that an init system has opened serves which listen URL: by the socket's name, in the order of both. */
import type { EtcdUrl } from '@etcd/base';
import type { HandedSocket } from '@etcd/host/process';
import { type Config, MemberStartError } from '../config/index.ts';

type ListenConfig = Pick<
  Config,
  'listenClientUrls' | 'listenClientHttpUrls' | 'listenPeerUrls' | 'listenMetricsUrls'
>;

/** `FileDescriptorName=` of a socket, and the flag whose URLs it stands for. */
const NAMES: Readonly<Record<string, { readonly flag: string; readonly key: keyof ListenConfig }>> = {
  client: { flag: '--listen-client-urls', key: 'listenClientUrls' },
  'client-http': { flag: '--listen-client-http-urls', key: 'listenClientHttpUrls' },
  peer: { flag: '--listen-peer-urls', key: 'listenPeerUrls' },
  metrics: { flag: '--listen-metrics-urls', key: 'listenMetricsUrls' },
};

/**
 * URLs without a socket are listened on as usual. Throws {@link MemberStartError} for a socket that serves nothing: whoever connects there
 * would wait for ever.
 */
export function assignSockets(
  sockets: readonly HandedSocket[],
  config: ListenConfig,
): ReadonlyMap<EtcdUrl, HandedSocket> {
  const assigned = new Map<EtcdUrl, HandedSocket>();
  const used = new Map<string, number>();
  for (const socket of sockets) {
    const kind = NAMES[socket.name];
    if (kind === undefined) {
      const names = Object.keys(NAMES).join(', ');
      const socketName = JSON.stringify(socket.name);
      throw new MemberStartError(
        `socket ${socket.descriptor} has the name ${socketName}: FileDescriptorName= has to be one of ${names}`,
      );
    }
    const place = used.get(socket.name) ?? 0;
    used.set(socket.name, place + 1);
    const url = config[kind.key][place];
    if (url === undefined) {
      throw new MemberStartError(
        `socket ${socket.descriptor} (${socket.name}) has no URL in ${kind.flag}, which has ${place}`,
      );
    }
    assigned.set(url, socket);
  }
  return assigned;
}
