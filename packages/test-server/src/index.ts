/**
 * etcd for tests: {@link startTestEtcd} starts a member in this process, with its data in memory, on a free port of the loopback
 * interface. Whoever starts one stops it, best by `await using`: until then it keeps the process alive.
 */
import { SILENT_LOGGER } from '@etcd/base';
import { NodeClock, NodeRandom } from '@etcd/base/node';
import { type Config, loadConfig, nodeStartWorld } from '@etcd/server/config';
import { Metrics } from '@etcd/server/metrics';
import { type Member, startMember } from '@etcd/server/serve';
import { SimDisk } from '@etcd/testing';
import { freePort } from '@etcd/testing/free-port';

export interface TestEtcdOptions {
  /** Flags of etcd, as `--quota-backend-bytes=1000000`. Files that they name are real ones. */
  readonly flags?: readonly string[] | undefined;
}

export interface TestEtcd extends AsyncDisposable {
  /** `127.0.0.1:port`. */
  readonly endpoint: string;
  /** Stops it, and starts it anew on the same port with the same data; connections are lost meanwhile. */
  restart(): Promise<void>;
  /** Ends it; its data is gone. Ending it twice is ending it once. */
  stop(): Promise<void>;
}

const HOST = '127.0.0.1';
/** A port that was free may be taken by somebody else before it is used. */
const MAX_PORT_TRIES = 10;
/** Alone, a member need not wait for others before it leads. */
const QUICK_START = ['--heartbeat-interval=10', '--election-timeout=100', '--unsafe-no-fsync'];

/** Resolves when it serves. Rejects for flags that etcd refuses. */
export async function startTestEtcd(options: TestEtcdOptions = {}): Promise<TestEtcd> {
  const disk = new SimDisk();
  for (let tries = 1; ; tries++) {
    const port = await freePort();
    const config = await configOf(port, options.flags ?? []);
    try {
      const member = await startReady(config, disk);
      return new RunningEtcd(`${HOST}:${port}`, config, disk, member);
    } catch (error) {
      if (tries === MAX_PORT_TRIES || !/EADDRINUSE|address already in use/.test(String(error))) throw error;
    }
  }
}

class RunningEtcd implements TestEtcd {
  readonly endpoint: string;
  readonly #config: Config;
  readonly #disk: SimDisk;
  #member: Member | null;
  /** One start or stop after the other. */
  #last: Promise<void> = Promise.resolve();

  constructor(endpoint: string, config: Config, disk: SimDisk, member: Member) {
    this.endpoint = endpoint;
    this.#config = config;
    this.#disk = disk;
    this.#member = member;
  }

  restart(): Promise<void> {
    return this.#then(async () => {
      if (this.#member === null) throw new Error('the server has been stopped');
      await this.#member.stop();
      this.#member = null;
      this.#member = await startReady(this.#config, this.#disk);
    });
  }

  stop(): Promise<void> {
    return this.#then(async () => {
      const member = this.#member;
      this.#member = null;
      await member?.stop();
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #then(work: () => Promise<void>): Promise<void> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }
}

async function startReady(config: Config, disk: SimDisk): Promise<Member> {
  const member = await startMember({
    config,
    logger: SILENT_LOGGER,
    metrics: new Metrics({ detail: config.metrics, featureGates: config.featureGates }),
    clock: new NodeClock(),
    disk,
    random: new NodeRandom(),
    connectionLimit: null,
  });
  const failure = await Promise.race([member.ready, member.failed]);
  if (failure === undefined) return member;
  await member.stop();
  throw failure;
}

async function configOf(port: number, flags: readonly string[]): Promise<Config> {
  const url = `http://${HOST}:${port}`;
  const isSecure = flags.some((flag) => /^--?(cert-file|auto-tls)\b/.test(flag));
  const clientUrl = isSecure ? url.replace('http:', 'https:') : url;
  const own = [
    '--name=test',
    '--data-dir=/test.etcd',
    `--listen-client-urls=${clientUrl}`,
    `--advertise-client-urls=${clientUrl}`,
    `--listen-peer-urls=http://${HOST}:0`,
    ...QUICK_START,
  ];
  // The environment of a test run configures other servers.
  const request = await loadConfig([...own, ...flags], nodeStartWorld({}));
  if (request.kind === 'run') return request.config;
  throw request.kind === 'refused' ? request.error : new Error(`--${request.kind} starts no server`);
}
