/** The flags that every command has, and the environment variables that stand for them. */
import { ExitError, type FlagDefinition, type Invocation } from '@etcd/host/cli';
import { EXIT } from './exit-codes.ts';

export const OUTPUT_FORMATS = ['fields', 'json', 'protobuf', 'simple', 'table'] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

const ENVIRONMENT_PREFIX = 'ETCDCTL_';
/** Variables that mean something without being a flag. */
const OTHER_VARIABLES: ReadonlySet<string> = new Set([
  'ETCDCTL_API',
  'ETCDCTL_WATCH_KEY',
  'ETCDCTL_WATCH_RANGE_END',
]);

export const GLOBAL_FLAGS: readonly FlagDefinition[] = (
  [
    {
      name: 'endpoints',
      type: 'strings',
      default: '127.0.0.1:2379',
      usage: 'where the members listen for clients',
    },
    { name: 'debug', type: 'bool', usage: 'tell on stderr what the client does' },
    {
      name: 'write-out',
      short: 'w',
      type: 'string',
      default: 'simple',
      usage: `how answers are printed: ${OUTPUT_FORMATS.join(', ')}`,
      values: OUTPUT_FORMATS,
    },
    { name: 'hex', type: 'bool', usage: 'print byte strings in hexadecimal' },
    { name: 'dial-timeout', type: 'duration', default: '2s', usage: 'how long connecting may take' },
    { name: 'command-timeout', type: 'duration', default: '5s', usage: 'how long a short command may take' },
    {
      name: 'keepalive-time',
      type: 'duration',
      default: '2s',
      usage: 'idle time before a sign of life is asked for',
    },
    { name: 'keepalive-timeout', type: 'duration', default: '6s', usage: 'how long a sign of life may take' },
    { name: 'max-request-bytes', type: 'int', usage: 'limit of a request (0 for 2 MiB)' },
    { name: 'max-recv-bytes', type: 'int', usage: 'limit of an answer (0 for 2 GiB)' },
    {
      name: 'insecure-transport',
      type: 'bool',
      default: 'true',
      usage: 'no TLS, unless an endpoint or a file asks for it',
    },
    {
      name: 'insecure-discovery',
      type: 'bool',
      default: 'true',
      usage: 'take SRV records of members without TLS',
    },
    {
      name: 'insecure-skip-tls-verify',
      type: 'bool',
      usage: 'take any certificate of a server (for tests only)',
    },
    { name: 'cert', type: 'string', usage: 'file with the certificate to show to servers' },
    { name: 'key', type: 'string', usage: 'file with the key of that certificate' },
    {
      name: 'cacert',
      type: 'string',
      usage: 'file with the authorities that servers must have their certificate from',
    },
    { name: 'auth-jwt-token', type: 'string', usage: 'token to come with, instead of a user and a password' },
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
  ] satisfies FlagDefinition[]
).map((flag) => ({ ...flag, isHidden: true }));

function variableOf(flag: string): string {
  return ENVIRONMENT_PREFIX + flag.toUpperCase().replaceAll('-', '_');
}

/**
 * Sets the flags that are not given from the environment. A variable for a flag that is given as well ends the program: one
 * of the two is a mistake.
 */
export function applyEnvironment({ flags, io }: Invocation, more: readonly string[] = []): void {
  const names = [...GLOBAL_FLAGS.map(({ name }) => name), ...more];
  const known = new Set<string>(OTHER_VARIABLES);
  for (const name of names) {
    const variable = variableOf(name);
    const value = io.env[variable];
    known.add(variable);
    if (value === undefined) continue;
    if (flags.isSet(name)) {
      const problem = 'conflicting environment variable is shadowed by corresponding command-line flag';
      throw new ExitError(
        EXIT.ERROR,
        `${problem} (either unset environment variable or disable flag): ${variable}`,
      );
    }
    if (value === '') continue;
    const error = flags.set(name, value);
    if (error !== '') io.error(`warning: invalid value ${JSON.stringify(value)} for ${variable}: ${error}`);
  }
  for (const variable of Object.keys(io.env)) {
    if (!variable.startsWith(ENVIRONMENT_PREFIX) || known.has(variable)) continue;
    io.error(`warning: unrecognized environment variable ${variable}`);
  }
  if (flags.bool('debug')) {
    for (const name of [...names].sort()) io.error(`${variableOf(name)}=${flags.written(name)}`);
  }
}
