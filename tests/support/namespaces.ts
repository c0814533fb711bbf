/**
 * Network namespaces, one for each member, on a bridge that this machine is on too: between members packets can be lost, silently
 * as on a real network, while clients reach all of them. Needs root and iproute2.
 */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import type { Place } from './cluster.ts';

const FIRST_HOST = 11;
/** An address of nobody: what is sent there is gone. */
const NOWHERE = '02:00:00:00:00:01';

/**
 * Test options for tests in namespaces: skipped, with the reason, where the kernel or the user's rights don't allow them, which no
 * package can change.
 *
 * @param disturbs whether the test delays and loses packets at random.
 */
export function needsNamespaces(disturbs = false): { skip?: string } {
  if (process.getuid?.() !== 0) return { skip: 'network namespaces need root' };
  try {
    const namespaces = new Namespaces(1);
    const can = !disturbs || namespaces.disturb(1, 1);
    namespaces.remove();
    return can ? {} : { skip: 'this kernel can not delay packets (netem)' };
  } catch (error) {
    return { skip: `no network namespaces: ${(error as Error).message}` };
  }
}

let networks = 0;
const living = new Set<Namespaces>();
process.on('exit', () => {
  for (const namespaces of living) namespaces.remove();
});

export interface NamespacesOptions {
  /** The first three numbers of the addresses; of the range for tests of network devices, which nothing real uses, unless told. */
  readonly subnet?: string;
  /** The last number of the first one's address. */
  readonly firstHost?: number;
  /** Process in whose network all of it is made: there addresses may be those of somebody's real network. */
  readonly within?: number;
}

export class Namespaces {
  readonly #count: number;
  readonly #firstHost: number;
  readonly #enter: readonly string[];
  /** The kernel takes its time with removing an interface: no name is used twice. */
  readonly #prefix = `e${process.pid}${String.fromCharCode(97 + (networks++ % 26))}`;
  readonly #subnet: string;

  /** Makes the network for so many members. Throws if that is not allowed. */
  constructor(count: number, options: NamespacesOptions = {}) {
    this.#count = count;
    this.#firstHost = options.firstHost ?? FIRST_HOST;
    this.#subnet = options.subnet ?? `198.18.${Math.floor(Math.random() * 254)}`;
    this.#enter = options.within === undefined ? [] : ['nsenter', '-t', String(options.within), '-n'];
    living.add(this);
    const bridge = `${this.#prefix}br`;
    const ip = (...args: string[]): void => this.#ip(...args);
    ip('link', 'add', bridge, 'type', 'bridge');
    ip('addr', 'add', `${this.#subnet}.1/24`, 'dev', bridge);
    ip('link', 'set', bridge, 'up');
    for (let i = 0; i < count; i++) {
      const [name, outside] = [this.#name(i), `${this.#prefix}v${i}`];
      ip('netns', 'add', name);
      ip('link', 'add', outside, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
      ip('link', 'set', outside, 'master', bridge, 'up');
      ip('-n', name, 'addr', 'add', `${this.#address(i)}/24`, 'dev', 'eth0');
      ip('-n', name, 'link', 'set', 'eth0', 'up');
      ip('-n', name, 'link', 'set', 'lo', 'up');
    }
  }

  /** For {@link ClusterOptions.place}. */
  readonly place = (position: number): Place => ({
    host: this.#address(position),
    launcher: ['ip', 'netns', 'exec', this.#name(position)],
  });

  /** Loses whatever `from` sends to `to`. */
  lose(from: number, to: number): void {
    const address = this.#address(to);
    this.#ip(
      '-n',
      this.#name(from),
      'neigh',
      'replace',
      address,
      'lladdr',
      NOWHERE,
      'dev',
      'eth0',
      'nud',
      'permanent',
    );
  }

  /** Cuts a member off from all others, but not from clients. */
  isolate(position: number): void {
    for (let other = 0; other < this.#count; other++) {
      if (other === position) continue;
      this.lose(position, other);
      this.lose(other, position);
    }
  }

  heal(): void {
    for (let i = 0; i < this.#count; i++)
      this.#ip('-n', this.#name(i), 'neigh', 'flush', 'dev', 'eth0', 'nud', 'permanent');
  }

  /** Delays and loses packets of all members at random, from now on; false if this kernel can't. */
  disturb(delayMs: number, lossPercent: number): boolean {
    const disturbance = ['delay', `${delayMs}ms`, `${delayMs}ms`, 'loss', `${lossPercent}%`];
    for (let i = 0; i < this.#count; i++) {
      const args = ['-n', this.#name(i), 'qdisc', 'add', 'dev', 'eth0', 'root', 'netem', ...disturbance];
      if (this.#spawn('tc', args).status !== 0) return false;
    }
    return true;
  }

  remove(): void {
    living.delete(this);
    for (let i = 0; i < this.#count; i++) {
      // A namespace lives on as long as a connection in it does; the way to it need not.
      this.#spawn('ip', ['link', 'del', `${this.#prefix}v${i}`]);
      this.#spawn('ip', ['netns', 'del', this.#name(i)]);
    }
    this.#spawn('ip', ['link', 'del', `${this.#prefix}br`]);
  }

  #name(position: number): string {
    return `${this.#prefix}n${position}`;
  }

  #address(position: number): string {
    return `${this.#subnet}.${this.#firstHost + position}`;
  }

  #ip(...args: string[]): void {
    const { status, stderr, error } = this.#spawn('ip', args);
    if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
  }

  #spawn(program: string, args: readonly string[]): SpawnSyncReturns<string> {
    const [first, ...rest] = [...this.#enter, program, ...args];
    return spawnSync(first!, rest, { encoding: 'utf8' });
  }
}
