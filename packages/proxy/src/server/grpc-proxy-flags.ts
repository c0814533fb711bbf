/** The flags of `etcd grpc-proxy start`: those of etcd 3.5 to 3.7, and what they come to. */
import type { FlagDefinition, FlagValues } from '@etcd/host/cli';
import { protocolProblem, type TlsVersion } from '@etcd/host/tls';

const UINT32_MAX = 4_294_967_295;

export const GRPC_PROXY_FLAGS: readonly FlagDefinition[] = [
  { name: 'listen-addr', type: 'string', default: '127.0.0.1:23790', usage: 'where to listen' },
  { name: 'discovery-srv', type: 'string', usage: 'domain whose SRV records name the members' },
  { name: 'discovery-srv-name', type: 'string', usage: 'suffix of the service that is looked up there' },
  { name: 'insecure-discovery', type: 'bool', usage: 'take SRV records of members without TLS' },
  {
    name: 'metrics-addr',
    type: 'string',
    usage: 'URL of one more listener, for metrics and health alone',
  },
  {
    name: 'endpoints',
    type: 'strings',
    default: '127.0.0.1:2379',
    usage: 'where the members listen for clients, separated by commas',
  },
  {
    name: 'endpoints-auto-sync-interval',
    type: 'duration',
    usage: 'how often the members are asked for the list of members (0: never)',
  },
  {
    name: 'dial-keepalive-time',
    type: 'duration',
    usage: 'idle time before a member is asked for a sign of life (0: ten seconds)',
  },
  {
    name: 'dial-keepalive-timeout',
    type: 'duration',
    default: '20s',
    usage: 'how long that sign of life may take',
  },
  {
    name: 'permit-without-stream',
    type: 'bool',
    usage: 'ask members for signs of life also while no call is open',
  },
  {
    name: 'advertise-client-url',
    type: 'string',
    default: '127.0.0.1:23790',
    usage: 'address that clients are told when they ask for the members',
  },
  {
    name: 'resolver-prefix',
    type: 'string',
    usage: 'prefix under which the proxies of the cluster register themselves',
  },
  { name: 'resolver-ttl', type: 'int', usage: 'seconds that a registration outlives its proxy' },
  { name: 'namespace', type: 'string', usage: 'prefix of all keys that clients see' },
  { name: 'enable-pprof', type: 'bool', usage: 'serve profiles of the process under /debug/pprof/' },
  {
    name: 'data-dir',
    type: 'string',
    default: 'default.proxy',
    usage: 'directory of the certificates that the proxy makes for itself',
  },
  {
    name: 'max-send-bytes',
    type: 'int',
    default: '1572864',
    usage: 'limit of a message to a member, in bytes',
  },
  {
    name: 'max-recv-bytes',
    type: 'int',
    default: '2147483647',
    usage: 'limit of a message from a member, in bytes',
  },
  {
    name: 'grpc-keepalive-min-time',
    type: 'duration',
    default: '5s',
    usage: 'how often clients may ask for signs of life',
  },
  {
    name: 'grpc-keepalive-interval',
    type: 'duration',
    default: '2h0m0s',
    usage: 'idle time before a client is asked for a sign of life (0: never)',
  },
  {
    name: 'grpc-keepalive-timeout',
    type: 'duration',
    default: '20s',
    usage: 'how long that sign of life may take',
  },
  { name: 'cert', type: 'string', usage: 'certificate that is shown to members' },
  { name: 'key', type: 'string', usage: 'key of that certificate' },
  { name: 'cacert', type: 'string', usage: 'authorities that members must have their certificate from' },
  {
    name: 'insecure-skip-tls-verify',
    type: 'bool',
    usage: 'take any certificate of a member (for tests only)',
  },
  { name: 'cert-file', type: 'string', usage: 'certificate that is shown to clients' },
  { name: 'key-file', type: 'string', usage: 'key of that certificate' },
  {
    name: 'trusted-ca-file',
    type: 'string',
    usage: 'authorities that clients must have their certificate from',
  },
  {
    name: 'listen-cipher-suites',
    type: 'strings',
    usage: 'cipher suites that clients may use, separated by commas',
  },
  { name: 'auto-tls', type: 'bool', usage: 'use TLS with a certificate that the proxy makes for itself' },
  { name: 'client-crl-file', type: 'string', usage: 'certificates of clients that have been revoked' },
  {
    name: 'self-signed-cert-validity',
    type: 'uint',
    default: '1',
    usage: 'years that a certificate of --auto-tls is good for',
  },
  { name: 'tls-min-version', type: 'string', default: 'TLS1.2', usage: 'oldest TLS: TLS1.2 or TLS1.3' },
  {
    name: 'tls-max-version',
    type: 'string',
    usage: 'newest TLS: TLS1.2 or TLS1.3 (empty: the newest there is)',
  },
  {
    name: 'experimental-serializable-ordering',
    type: 'bool',
    usage: 'never give an answer that is older than one given before',
  },
  {
    name: 'experimental-leasing-prefix',
    type: 'string',
    usage: 'prefix of the keys by which proxies own what they may answer by themselves',
  },
  {
    name: 'experimental-enable-grpc-logging',
    type: 'bool',
    usage: 'log all requests and answers (passwords and tokens are masked)',
  },
  { name: 'debug', type: 'bool', usage: 'log in detail' },
  {
    name: 'max-concurrent-streams',
    type: 'uint',
    default: String(UINT32_MAX),
    usage: 'calls that a client may have open at a time',
  },
];

/** The first thing that is wrong with the flags, in etcd's words; null for nothing. */
export function flagProblem(flags: FlagValues): string | null {
  const prefix = flags.text('resolver-prefix');
  const ttl = flags.number('resolver-ttl');
  if (prefix !== '' && ttl < 1) return `invalid resolver-ttl ${ttl}`;
  if (prefix === '' && ttl > 0) return `invalid resolver-prefix ${JSON.stringify(prefix)}`;
  if (prefix !== '' && flags.text('advertise-client-url') === '') return 'invalid advertise-client-url ""';
  if (flags.bool('auto-tls') && flags.number('self-signed-cert-validity') === 0) {
    return 'selfSignedCertValidity is invalid,it should be greater than 0';
  }
  const { minVersion, maxVersion, cipherSuites } = tlsProtocol(flags);
  for (const [name, version] of [
    ['tls-min-version', minVersion],
    ['tls-max-version', maxVersion],
  ]) {
    const problem = protocolProblem({ cipherSuites: [], minVersion: version!, maxVersion: '' });
    if (problem !== null) return `${name} is invalid: ${problem}`;
  }
  return protocolProblem({ minVersion, maxVersion, cipherSuites });
}

/** For what {@link flagProblem} has found good. */
export function tlsProtocol(flags: FlagValues): {
  readonly cipherSuites: readonly string[];
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
} {
  return {
    cipherSuites: flags.list('listen-cipher-suites'),
    minVersion: flags.text('tls-min-version') as TlsVersion,
    maxVersion: flags.text('tls-max-version') as TlsVersion,
  };
}
