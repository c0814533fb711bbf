/** A machine on which a member can be started from nothing, or from what a former run has left, for tests: simulated clock and disk. */
import type { Message } from '@etcd/api/raftpb';
import { type Logger, SeededRandom, SILENT_LOGGER } from '@etcd/base';
import { type DiskOperation, SimClock, SimDisk, type SimDiskOptions } from '@etcd/testing';
import { type Config, loadConfig } from '../../config/index.ts';
import { Metrics } from '../../metrics/index.ts';
import type { PeerHost, PeerNetwork, PeerRequest, PeerResponse } from '../../peer/index.ts';
import { bootstrap, type MemberParts } from '../bootstrap.ts';
import type { Discover } from '../founding.ts';

const SEGMENT_BYTES = 256 * 1024;

/** A network that is what the test says: who answers, and what. */
class TestNetwork implements PeerNetwork {
  readonly did: string[] = [];
  /** By URL of a peer: its answer to a request; null: none. */
  readonly answers = new Map<string, (request: PeerRequest) => PeerResponse | null>();
  /** Members that are connected, and since when. */
  readonly connectedMs = new Map<bigint, number>();
  /** Told of what the member sends, in a turn of its own. */
  onMessage: (message: Message) => void = () => {};
  host: PeerHost | null = null;
  readonly #clock: SimClock;

  constructor(clock: SimClock) {
    this.#clock = clock;
  }

  start(host: PeerHost): void {
    this.host = host;
  }
  stop(): void {}
  addPeer(id: bigint): void {
    this.did.push(`add ${id.toString(16)}`);
  }
  updatePeer(): void {}
  removePeer(id: bigint): void {
    this.did.push(`remove ${id.toString(16)}`);
  }
  send(messages: readonly Message[]): void {
    for (const message of messages) this.#clock.defer(() => this.onMessage(message));
  }
  sendSnapshot(): void {}
  activeSinceMs(id: bigint): number | null {
    return this.connectedMs.get(id) ?? null;
  }

  request(
    url: string,
    request: PeerRequest,
    _timeoutMs: number,
    done: (response: PeerResponse | null, reason: string) => void,
  ): void {
    const response = this.answers.get(url)?.(request) ?? null;
    this.#clock.defer(() => done(response, 'nobody is there'));
  }
}

export class BootWorld {
  readonly clock = new SimClock();
  readonly disk: SimDisk;
  readonly network: TestNetwork;
  readonly metrics: Metrics;
  readonly config: Config;
  readonly random = new SeededRandom(1);
  logger: Logger = SILENT_LOGGER;
  /** What the backend could not go on after. */
  readonly backendFailures: Error[] = [];
  /** Sees what the disk is about to do; throws to make it fail. */
  onOperation: (operation: DiskOperation) => void = () => {};
  discover: Discover | null = null;
  listMembers: (() => Promise<string>) | null = null;

  private constructor(config: Config, disk: SimDisk | null) {
    this.config = config;
    const { clock } = this;
    const options: SimDiskOptions = {
      schedule: (_operation, complete) => clock.setTimer(1, complete),
      onOperation: (operation) => this.onOperation(operation),
    };
    this.disk = disk === null ? new SimDisk(options) : disk.afterKill(options);
    this.network = new TestNetwork(clock);
    this.metrics = new Metrics({ detail: config.metrics, featureGates: config.featureGates });
  }

  /** @param disk that of a former run; a new one unless given. */
  static async create(flags: readonly string[] = [], disk: SimDisk | null = null): Promise<BootWorld> {
    const request = await loadConfig(['--data-dir=/data', '--name=m1', ...flags], {
      environment: { ETCD_VERIFY: 'all' },
      readFile: (path) => {
        throw new Error(`no file ${path}`);
      },
      parseDocument: () => Promise.reject(new Error('no documents')),
      defaultHost: () => ({ error: 'no default route' }),
    });
    if (request.kind !== 'run') throw new Error(JSON.stringify(request));
    return new BootWorld(request.config, disk);
  }

  /** Starts a member, as far as its parts. */
  async boot(): Promise<MemberParts> {
    const booting = bootstrap({
      ...this,
      metrics: this.metrics.handles,
      walSegmentBytes: SEGMENT_BYTES,
      resolveHost: (host) => Promise.resolve(host),
      onBackendFatal: (error) => this.backendFailures.push(error),
    });
    let isOver = false;
    const settled = booting.then(
      () => (isOver = true),
      () => (isOver = true),
    );
    while (!isOver) {
      this.clock.advance(10);
      await Promise.race([settled, new Promise((resolve) => setImmediate(resolve))]);
    }
    return booting;
  }
}

/** Lets go of what {@link BootWorld.boot} has opened, as a run that ends before it has begun. */
export function closeParts({ backend, wal }: MemberParts): void {
  backend.close();
  wal.close();
}
