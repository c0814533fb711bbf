/** What a socket tells about its other side. */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { ConnectionInfo } from '../grpc/server-call.ts';

/** Names that were looked up before: reading one out of a connection costs as much as a third of its handshake. */
const names = new WeakMap<Socket, string>();

/** Tells the common name of the client's verified certificate, for {@link socketInfo}; '' without one. */
export function nameClient(socket: Socket, name: string): void {
  names.set(socket, name);
}

export function socketInfo(socket: Socket): ConnectionInfo {
  const isSecure = 'encrypted' in socket && socket.encrypted === true;
  return {
    remoteAddress: address(socket.remoteAddress, socket.remotePort),
    localAddress: address(socket.localAddress, socket.localPort),
    isSecure,
    commonName: isSecure ? (names.get(socket) ?? commonName(socket as TLSSocket)) : '',
  };
}

function address(host: string | undefined, port: number | undefined): string {
  if (host === undefined || port === undefined) return '';
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Only of a certificate that was verified; of several names the last one stands, as in Go. */
function commonName(socket: TLSSocket): string {
  if (!socket.authorized) return '';
  const name: string | string[] = socket.getPeerCertificate()?.subject?.CN ?? '';
  return typeof name === 'string' ? name : (name.at(-1) ?? '');
}
