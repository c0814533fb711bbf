/** `etcd gateway start`: finds the members, refuses to point at itself, and serves until the process ends. */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { NodeRandom } from '@etcd/base/node';
import { ExitError, type Invocation } from '@etcd/host/cli';
import { lookUpClientEndpoints } from '@etcd/host/net';
import { systemErrorText } from '@etcd/host/process';
import { TlsError } from '@etcd/host/tls';
import { forever, ProxyProcess } from '../proxy-process.ts';
import { EndpointVerifier } from './endpoint-verifier.ts';
import type { RemoteAddress } from './remotes.ts';
import { splitHostPort, withoutScheme } from './split-address.ts';
import { TcpGateway } from './tcp-gateway.ts';

const FAILURE = 1;
/** What etcd waits where it is told to wait no time at all. */
const DEFAULT_RETRY_DELAY_MS = 5 * 60_000;
const MAX_PORT = 65_535;
const DESCRIPTORS_PER_CLIENT = 2;

export async function startGateway(invocation: Invocation): Promise<void> {
  const { flags, words } = invocation;
  const process = new ProxyProcess('info');
  const logger = process.logger.child({ caller: 'proxy/gateway' });
  logger.info('Running: ', { args: ['etcd', ...words] });
  const listen = splitHostPort(flags.text('listen-addr'));
  const verifier = await openVerifier(invocation, process);
  const addresses = await findAddresses(invocation, process, verifier);
  if (listen === null || !isPort(listen.port)) {
    return refuse(invocation, `failed to validate listen address: ${flags.text('listen-addr')}`);
  }
  await refuseItself(invocation, listen.host, Number(listen.port), addresses);
  if (addresses.length === 0) return refuse(invocation, 'no endpoints found');
  const retryDelayMs = flags.durationMs('retry-delay');
  const gateway = new TcpGateway({
    addresses,
    retryDelayMs: retryDelayMs > 0 ? retryDelayMs : DEFAULT_RETRY_DELAY_MS,
    connectionLimit: process.connectionLimit(DESCRIPTORS_PER_CLIENT),
    verify: (remote) => verifier?.verify(remote) ?? Promise.resolve(),
    clock: process.clock,
    logger,
    random: new NodeRandom(),
  });
  process.lifecycle.onShutdown(() => gateway.close());
  try {
    await gateway.listen(listen.host, Number(listen.port));
  } catch (error) {
    const text = `listen tcp ${flags.text('listen-addr')}: bind: ${systemErrorText(error)}`;
    invocation.io.error(text);
    throw new ExitError(FAILURE, '');
  }
  process.notifyReady();
  await forever();
}

async function openVerifier(
  { flags, io }: Invocation,
  { clock, logger }: ProxyProcess,
): Promise<EndpointVerifier | null> {
  const trustedCaFile = flags.text('trusted-ca-file');
  const domain = flags.text('discovery-srv');
  const checksDiscovered = domain !== '' && !flags.bool('insecure-discovery');
  if (trustedCaFile === '' && !checksDiscovered) return null;
  try {
    return await EndpointVerifier.open({ trustedCaFile, serverName: domain, clock, logger });
  } catch (error) {
    if (!(error instanceof TlsError)) throw error;
    io.error(error.message);
    throw new ExitError(FAILURE, '');
  }
}

/** Those that the domain names, or else those that the flag does. */
async function findAddresses(
  invocation: Invocation,
  process: ProxyProcess,
  verifier: EndpointVerifier | null,
): Promise<RemoteAddress[]> {
  const { flags } = invocation;
  const domain = flags.text('discovery-srv');
  if (domain !== '') {
    const found = await discoverAddresses(invocation, process, domain);
    if (found.length > 0) return found;
  }
  return flags.list('endpoints').map((endpoint) => {
    const at = splitHostPort(withoutScheme(endpoint));
    if (at === null) {
      invocation.io.out(`error parsing endpoint ${JSON.stringify(withoutScheme(endpoint))}`);
      throw new ExitError(FAILURE, '');
    }
    if (!isPort(at.port)) return refuse(invocation, `error parsing endpoint ${JSON.stringify(endpoint)}`);
    // Whoever names an authority wants members to have their certificate from it, unless he says that one has none.
    const isVerified =
      verifier !== null && flags.text('trusted-ca-file') !== '' && !endpoint.startsWith('http:');
    return { host: at.host, port: Number(at.port), priority: 0, weight: 0, isVerified };
  });
}

async function discoverAddresses(
  invocation: Invocation,
  { logger }: ProxyProcess,
  domain: string,
): Promise<RemoteAddress[]> {
  const { flags, io } = invocation;
  const isInsecure = flags.bool('insecure-discovery');
  try {
    const found = await lookUpClientEndpoints(domain, flags.text('discovery-srv-name'));
    logger.info('discovered cluster from SRV', {
      'srv-server': domain,
      endpoints: found.map(({ url }) => url),
    });
    const usable = found.filter(({ url }) => isInsecure || url.startsWith('https://'));
    for (const { url } of found.filter((endpoint) => !usable.includes(endpoint))) {
      const error = `${JSON.stringify(url)} is insecure`;
      logger.warn('failed to validate discovered endpoints', { 'srv-server': domain, error });
    }
    return usable.map(({ host, port, priority, weight }) => {
      return { host, port, priority, weight, isVerified: !isInsecure };
    });
  } catch (error) {
    io.error((error as Error).message);
    throw new ExitError(FAILURE, '');
  }
}

/** Ends the program if an endpoint is the address that the gateway listens on: it would connect to itself without end. */
async function refuseItself(
  invocation: Invocation,
  listenHost: string,
  listenPort: number,
  addresses: readonly RemoteAddress[],
): Promise<void> {
  const own = await resolve(listenHost).catch(() =>
    refuse(invocation, `failed to resolve listen host: ${listenHost}`),
  );
  for (const { host, port } of addresses) {
    const theirs = await resolve(host).catch(() =>
      refuse(invocation, `failed to resolve endpoint host: ${host}`),
    );
    if (port !== listenPort) continue;
    const same = theirs.find((address) => own.some((mine) => isSamePlace(mine, address)));
    if (same === undefined) continue;
    const where = `${host}:${port}->${same}:${port}`;
    const listens = invocation.flags.text('listen-addr');
    refuse(
      invocation,
      `SRV or endpoint (${where}) should not resolve to the gateway listen addr (${listens})`,
    );
  }
}

async function resolve(host: string): Promise<string[]> {
  if (host === '') return ['0.0.0.0'];
  if (isIP(host) !== 0) return [host];
  return (await lookup(host, { all: true })).map(({ address }) => address);
}

/** Who listens on every address listens on each that the machine has. */
function isSamePlace(listened: string, address: string): boolean {
  if (listened === address) return true;
  if (listened !== '0.0.0.0' && listened !== '::') return false;
  if (address === '0.0.0.0' || address === '::' || address.startsWith('127.')) return true;
  return Object.values(networkInterfaces()).some((list) => list?.some((own) => own.address === address));
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) <= MAX_PORT;
}

/** On standard output, where etcd has these lines. */
function refuse({ io }: Invocation, text: string): never {
  io.line(text);
  throw new ExitError(FAILURE, '');
}
