/** What protects a proxy: its own certificate for clients, and what it shows and asks of members. */
import { lookup, reverse } from 'node:dns/promises';
import { join } from 'node:path';
import type { Clock, Logger } from '@etcd/base';
import type { FlagValues } from '@etcd/host/cli';
import type { HostLookup } from '@etcd/host/tls';
import { NO_TLS_FILES, selfSignedFiles, TlsError, type TlsFiles, TlsSide } from '@etcd/host/tls';
import { tlsProtocol } from './grpc-proxy-flags.ts';

export const NODE_HOSTS: HostLookup = {
  reverse,
  lookup: async (name) => (await lookup(name, { all: true })).map(({ address }) => address),
};

/** Null: clients come in plain text. Rejects with {@link TlsError}. */
export async function openListenSide(
  flags: FlagValues,
  listenHost: string,
  clock: Clock,
  logger: Logger,
): Promise<TlsSide | null> {
  const files: TlsFiles = {
    ...NO_TLS_FILES,
    certFile: flags.text('cert-file'),
    keyFile: flags.text('key-file'),
    trustedCaFile: flags.text('trusted-ca-file'),
    crlFile: flags.text('client-crl-file'),
  };
  const isGiven = files.certFile !== '' || files.keyFile !== '' || files.trustedCaFile !== '';
  if (!isGiven && !flags.bool('auto-tls')) return null;
  const used = isGiven
    ? files
    : await selfSignedFiles({
        directory: join(flags.text('data-dir'), 'fixtures', 'proxy'),
        hosts: listenHost === '' ? [] : [listenHost],
        validityYears: flags.number('self-signed-cert-validity'),
        clock,
        logger,
      });
  const side = await TlsSide.open({
    files: { ...used, crlFile: files.crlFile },
    protocol: tlsProtocol(flags),
    clock,
    logger,
  });
  if (side.serverOptions === null) {
    throw new TlsError('setting', 'KeyFile and CertFile must both be present[key: , cert: ]');
  }
  logger.info('gRPC proxy server TLS', { 'tls-info': describe(used) });
  return side;
}

/** For connections to members. Rejects with {@link TlsError}. */
export async function openMemberSide(
  flags: FlagValues,
  clock: Clock,
  logger: Logger,
): Promise<{ readonly side: TlsSide; readonly isGiven: boolean }> {
  const skipsVerification = flags.bool('insecure-skip-tls-verify');
  const files: TlsFiles = {
    ...NO_TLS_FILES,
    certFile: flags.text('cert'),
    keyFile: flags.text('key'),
    trustedCaFile: flags.text('cacert'),
    isSelfSigned: skipsVerification,
  };
  const isGiven = [files.certFile, files.keyFile, files.trustedCaFile].some((path) => path !== '');
  const protocol = { cipherSuites: [], minVersion: 'TLS1.2', maxVersion: '' } as const;
  const side = await TlsSide.open({ files, protocol, clock, logger });
  refuseName(side, files.certFile);
  if (skipsVerification) {
    logger.warn(
      '--insecure-skip-tls-verify was given, this grpc proxy process skips authentication of etcd server TLS certificates. This option should be enabled only for testing purposes.',
    );
  }
  if (isGiven) logger.info('gRPC proxy client TLS', { 'tls-info': describe(files) });
  return { side, isGiven: isGiven || skipsVerification };
}

/** S13: members take the common name for a user's, and every client of the proxy would be that user. */
function refuseName(side: TlsSide, certFile: string): void {
  const [own] = side.certificates.filter(({ path }) => path === certFile);
  const name = /^CN=(.+)$/m.exec(own?.certificate.subject ?? '')?.[1];
  if (certFile === '' || name === undefined) return;
  throw new TlsError('setting', `cert has non empty Common Name (${name}): ${certFile}`);
}

function describe({ certFile, keyFile, trustedCaFile, crlFile }: TlsFiles): string {
  return (
    `cert = ${certFile}, key = ${keyFile}, client-cert=, client-key=, trusted-ca = ${trustedCaFile}, ` +
    `client-cert-auth = false, crl-file = ${crlFile}`
  );
}
