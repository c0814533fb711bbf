/** What a client's flags say of where members are, of TLS, of the user that it comes as, and of how long it waits. */
import { readFileSync } from 'node:fs';
import { ExitError } from './exit-error.ts';
import type { FlagDefinition, FlagValues } from './flag-set.ts';
import { askSecret } from './prompt.ts';

/** Who comes, for a client to connect with: empty for nobody. */
export interface NamedCredentials {
  readonly credentials?: { readonly username: string; readonly password: string };
}

/** A user as `name`, or as `name:password`; without a password it is asked for. */
export async function namedCredentials(
  user: string,
  password: string,
  prompt: string,
): Promise<NamedCredentials> {
  if (user === '') return {};
  if (password !== '') return { credentials: { username: user, password } };
  const colon = user.indexOf(':');
  if (colon >= 0) return { credentials: { username: user.slice(0, colon), password: user.slice(colon + 1) } };
  const asked = await askSecret(prompt);
  if (asked === null) throw new ExitError(1, 'EOF');
  return { credentials: { username: user, password: asked } };
}

export interface TlsFlags {
  readonly cert: string;
  readonly key: string;
  readonly cacert: string;
  readonly serverName: string;
  readonly isInsecure: boolean;
  readonly skipsVerification: boolean;
}

/** What is in the files, for a client to connect with. */
export interface TlsMaterial {
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly ca?: Buffer;
  readonly serverName?: string;
  readonly insecureSkipVerify: boolean;
}

/** undefined where nothing asks for TLS. Throws an ExitError with `exitCode`. */
export function tlsFrom(flags: TlsFlags, exitCode: number): TlsMaterial | undefined {
  const { cert, key, cacert, serverName, isInsecure, skipsVerification } = flags;
  if ((cert === '') !== (key === '')) {
    const files = `[key: ${key}, cert: ${cert}]`;
    throw new ExitError(exitCode, `KeyFile and CertFile must both be present${files}`);
  }
  const isNamed = cert !== '' || cacert !== '' || serverName !== '';
  if (!isNamed && isInsecure && !skipsVerification) return undefined;
  return {
    ...(cert === '' ? {} : { cert: readTlsFile(cert, exitCode), key: readTlsFile(key, exitCode) }),
    ...(cacert === '' ? {} : { ca: readTlsFile(cacert, exitCode) }),
    ...(serverName === '' ? {} : { serverName }),
    insecureSkipVerify: skipsVerification,
  };
}

function readTlsFile(path: string, exitCode: number): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const reason =
      code === 'ENOENT' ? 'no such file or directory' : code === 'EACCES' ? 'permission denied' : code;
    throw new ExitError(exitCode, `open ${path}: ${reason}`);
  }
}

/** gRPC's servers take signs of life no more often. */
const MIN_KEEPALIVE_MS = 10_000;

/** Of a tool that speaks with members, beside `--endpoints`; {@link connectionOptions} reads them. */
export const CONNECTION_FLAGS: readonly FlagDefinition[] = [
  { name: 'dial-timeout', type: 'duration', default: '2s', usage: 'how long connecting may take' },
  { name: 'command-timeout', type: 'duration', default: '30s', usage: 'how long one request may take' },
  {
    name: 'keepalive-time',
    type: 'duration',
    default: '2s',
    usage: 'idle time before a sign of life is asked for',
  },
  { name: 'keepalive-timeout', type: 'duration', default: '6s', usage: 'how long a sign of life may take' },
  {
    name: 'insecure-transport',
    type: 'bool',
    default: 'true',
    usage: 'no TLS, unless an endpoint or a file asks for it',
  },
  {
    name: 'insecure-skip-tls-verify',
    type: 'bool',
    usage: 'take any certificate of a server (for tests only)',
  },
  {
    name: 'insecure-discovery',
    type: 'bool',
    default: 'true',
    usage: 'take SRV records of members without TLS',
  },
  { name: 'cert', type: 'string', usage: 'file with the certificate to show to servers' },
  { name: 'key', type: 'string', usage: 'file with the key of that certificate' },
  {
    name: 'cacert',
    type: 'string',
    usage: 'file with the authorities that servers must have their certificate from',
  },
  {
    name: 'user',
    type: 'string',
    usage: 'user to come as, as name or name:password (asked for without one)',
  },
  { name: 'password', type: 'string', usage: 'password of the user' },
  {
    name: 'discovery-srv',
    short: 'd',
    type: 'string',
    usage: 'domain whose SRV records name the endpoints',
  },
  { name: 'discovery-srv-name', type: 'string', usage: 'suffix of the service that is looked up there' },
];

/**
 * Where members are: by the records of `--discovery-srv`, or by `--endpoints` if no domain is given or it names none that may be taken;
 * `warn` hears of those without TLS that are passed over. Throws an ExitError with what the name servers say.
 */
export async function endpointsFrom(flags: FlagValues, warn: (text: string) => void): Promise<string[]> {
  const domain = flags.text('discovery-srv');
  const found = domain === '' ? [] : await discover(domain, flags, warn);
  return found.length > 0 ? found : flags.list('endpoints').map((endpoint) => endpoint.trim());
}

async function discover(domain: string, flags: FlagValues, warn: (text: string) => void): Promise<string[]> {
  // Loaded where a domain is asked for: a resolver is nothing for every start of a tool.
  const { lookUpClientEndpoints } = await import('../net/client-endpoints.ts');
  const endpoints = await lookUpClientEndpoints(domain, flags.text('discovery-srv-name')).catch(
    (error: Error) => {
      throw new ExitError(1, error.message);
    },
  );
  const takesPlain = flags.bool('insecure-discovery');
  return endpoints.flatMap(({ url }) => {
    if (takesPlain || url.startsWith('https:')) return [url];
    warn(`ignoring discovered insecure endpoint ${JSON.stringify(url)}`);
    return [];
  });
}

/** For a client to connect with. Asks for a password that is not given; throws an ExitError for files that can't be used. */
export async function connectionOptions(flags: FlagValues): Promise<
  NamedCredentials & {
    readonly tls: TlsMaterial | undefined;
    readonly timeoutMs: number;
    readonly dialTimeoutMs: number;
    readonly keepaliveIntervalMs: number;
    readonly keepaliveTimeoutMs: number;
    readonly healthChecks: false;
  }
> {
  const tls = tlsFrom(
    {
      cert: flags.text('cert'),
      key: flags.text('key'),
      cacert: flags.text('cacert'),
      serverName: flags.bool('insecure-discovery') ? '' : flags.text('discovery-srv'),
      isInsecure: flags.bool('insecure-transport'),
      skipsVerification: flags.bool('insecure-skip-tls-verify'),
    },
    1,
  );
  return {
    ...(await namedCredentials(flags.text('user'), flags.text('password'), 'Password: ')),
    tls,
    timeoutMs: Math.max(1, flags.durationMs('command-timeout')),
    healthChecks: false,
    dialTimeoutMs: flags.durationMs('dial-timeout'),
    keepaliveIntervalMs: Math.max(MIN_KEEPALIVE_MS, flags.durationMs('keepalive-time')),
    keepaliveTimeoutMs: flags.durationMs('keepalive-timeout'),
  };
}
