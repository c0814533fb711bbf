/**
 * What a command needs of its surroundings: a client made of the flags, a printer, the deadline of short commands. The
 * client is loaded when it is needed, so that help and completion are quick.
 */
import type { ClientEvent, EtcdClient } from '@etcd/client';
import type { ConnectOptions } from '@etcd/client/node';
import {
  ExitError,
  endpointsFrom,
  type FlagValues,
  type Invocation,
  namedCredentials,
  type TlsMaterial,
  tlsFrom,
} from '@etcd/host/cli';
import { describeError } from './describe-error.ts';
import { EXIT } from './exit-codes.ts';
import { applyEnvironment, OUTPUT_FORMATS, type OutputFormat } from './global-flags.ts';
import { loadPrinter } from './printers/load-printer.ts';
import type { Printer, Results } from './printers/printer.ts';

/** gRPC's servers take signs of life no more often. */
const MIN_KEEPALIVE_MS = 10_000;
/** A deadline that has passed already is one all the same. */
const SHORTEST_TIMEOUT_MS = 0.001;

export class Session {
  readonly invocation: Invocation;
  readonly format: OutputFormat;
  readonly endpoints: readonly string[];
  readonly #printer: Printer;
  readonly #options: ConnectOptions;
  readonly #clients: EtcdClient[] = [];

  constructor(
    invocation: Invocation,
    format: OutputFormat,
    printer: Printer,
    endpoints: readonly string[],
    options: ConnectOptions,
  ) {
    this.invocation = invocation;
    this.format = format;
    this.#printer = printer;
    this.endpoints = endpoints;
    this.#options = options;
  }

  /** `inherited` are further flags that may come from the environment. */
  static async open(invocation: Invocation, inherited: readonly string[] = []): Promise<Session> {
    const { flags } = invocation;
    applyEnvironment(invocation, inherited);
    const endpoints = await endpointsFrom(flags, (text) => invocation.io.error(text));
    const credentials = await credentialsOf(flags);
    const format = OUTPUT_FORMATS.find((known) => known === flags.text('write-out'));
    if (format === undefined) throw new ExitError(EXIT.BAD_FEATURE, 'unsupported output format');
    const printer = await loadPrinter(format, flags.bool('hex'), invocation.io.outTerminal);
    const isDebugging = flags.bool('debug');
    const options: ConnectOptions = {
      ...credentials,
      ...limitsOf(flags),
      tls: tlsOf(flags),
      healthChecks: false,
      timeoutMs: timeoutOf(flags),
      dialTimeoutMs: flags.durationMs('dial-timeout'),
      keepaliveIntervalMs: Math.max(MIN_KEEPALIVE_MS, flags.durationMs('keepalive-time')),
      keepaliveTimeoutMs: flags.durationMs('keepalive-timeout'),
      onEvent: (event) => tell(event, isDebugging, invocation),
    };
    return new Session(invocation, format, printer, endpoints, options);
  }

  /** How long a short command may take. */
  get timeoutMs(): number {
    return timeoutOf(this.invocation.flags);
  }

  /** A client of the given endpoints, all of them unless told. Where there is a user, it has been let in. */
  async client(
    endpoints: readonly string[] = this.endpoints,
    more: ConnectOptions = {},
  ): Promise<EtcdClient> {
    if (endpoints.length === 0)
      throw new ExitError(EXIT.BAD_CONNECTION, 'etcdclient: no available endpoints');
    const { connect } = await import('@etcd/client/node');
    let client: EtcdClient;
    try {
      client = connect({ ...this.#options, ...more, endpoints });
    } catch (error) {
      throw new ExitError(EXIT.ERROR, describeError(error));
    }
    this.#clients.push(client);
    try {
      await client.authenticate();
    } catch (error) {
      throw new ExitError(EXIT.BAD_CONNECTION, describeError(error));
    }
    return client;
  }

  print<Kind extends keyof Results>(kind: Kind, result: Results[Kind]): void {
    this.invocation.io.out(this.#printer[kind](result));
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }
}

/** Runs `work` with a session that is closed afterwards, whose failures end the program with `exitCode`. */
export async function withSession(
  invocation: Invocation,
  work: (session: Session) => Promise<void>,
  exitCode: number = EXIT.ERROR,
  inherited: readonly string[] = [],
): Promise<void> {
  const session = await Session.open(invocation, inherited);
  try {
    await work(session);
  } catch (error) {
    if (error instanceof ExitError) throw error;
    throw new ExitError(exitCode, describeError(error));
  } finally {
    session.close();
  }
}

/** As {@link withSession}, with a client of all endpoints. */
export function withClient(
  invocation: Invocation,
  work: (client: EtcdClient, session: Session) => Promise<void>,
  exitCode: number = EXIT.ERROR,
): Promise<void> {
  return withSession(invocation, async (session) => work(await session.client(), session), exitCode);
}

/** On a terminal, that a watch was interrupted; with `--debug` everything. */
function tell(event: ClientEvent, isDebugging: boolean, { io }: Invocation): void {
  if (isDebugging) {
    io.error(JSON.stringify(event, (_key, value) => (value instanceof Error ? String(value) : value)));
  } else if (event.kind === 'watch-resumed' && io.errorTerminal.isTerminal) {
    io.error(`watch: the connection was lost; going on from revision ${event.revision}`);
  }
}

function timeoutOf(flags: FlagValues): number {
  return Math.max(SHORTEST_TIMEOUT_MS, flags.durationMs('command-timeout'));
}

function limitsOf(flags: FlagValues): ConnectOptions {
  const sendBytes = flags.number('max-request-bytes');
  const receiveBytes = flags.number('max-recv-bytes');
  if (sendBytes > 0 && receiveBytes > 0 && receiveBytes < sendBytes) {
    const sizes = `${receiveBytes} bytes) must be greater than send limit (${sendBytes} bytes`;
    throw new ExitError(EXIT.BAD_CONNECTION, `gRPC message recv limit (${sizes})`);
  }
  return {
    ...(sendBytes > 0 ? { maxSendMessageBytes: sendBytes } : {}),
    ...(receiveBytes > 0 ? { maxReceiveMessageBytes: receiveBytes } : {}),
  };
}

async function credentialsOf(flags: FlagValues): Promise<ConnectOptions> {
  const token = flags.text('auth-jwt-token');
  if (token !== '') return { token };
  return namedCredentials(flags.text('user'), flags.text('password'), 'Password: ');
}

function tlsOf(flags: FlagValues): TlsMaterial | undefined {
  for (const name of ['cert', 'key', 'cacert']) {
    if (flags.isSet(name) && flags.text(name) === '') {
      throw new ExitError(EXIT.BAD_ARGS, `empty string is passed to --${name} option`);
    }
  }
  const serverName = flags.bool('insecure-discovery') ? '' : flags.text('discovery-srv');
  return tlsFrom(
    {
      cert: flags.text('cert'),
      key: flags.text('key'),
      cacert: flags.text('cacert'),
      serverName,
      isInsecure: flags.bool('insecure-transport'),
      skipsVerification: flags.bool('insecure-skip-tls-verify'),
    },
    EXIT.BAD_ARGS,
  );
}
