/**
 * A network and a file system of a test's own, for command lines that name addresses and paths of somebody's cluster: they run as they
 * are written. The addresses are on an interface that leads nowhere; `/etc` and `/var/lib` are copies. Needs root.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from '../../support/programs.ts';
import { type Ended, eventually, Running } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

/** Those of the documents, and one that a load balancer has. */
export const ADDRESSES = [...[1, 2, 3, 4, 5, 6, 7, 8, 9].map((last) => `10.0.0.${last}`), '10.2.0.9'];

const SETUP = `
set -e
ip link set lo up
ip link add test0 type bridge
${ADDRESSES.map((address) => `ip addr add ${address}/16 dev test0`).join('\n')}
ip link set test0 up
mkdir "$1/etc"
cp -a /etc/. "$1/etc" 2>/dev/null || true
mount --bind "$1/etc" /etc
mkdir -p /etc/kubernetes/pki/etcd
mount -t tmpfs tmpfs /var/lib
mkdir -m 700 /var/lib/etcd
echo ready
exec sleep infinity
`;

/** Test options: skipped, with the reason, where the kernel or the user's rights don't allow it. */
export function needsTestNetwork(): { skip?: string } {
  if (process.getuid?.() !== 0) return { skip: 'a network of its own needs root' };
  const command = [
    '--net',
    '--mount',
    '--propagation',
    'private',
    'ip',
    'link',
    'add',
    'test0',
    'type',
    'bridge',
  ];
  const tried = spawnSync('unshare', command, { encoding: 'utf8' });
  return tried.status === 0 ? {} : { skip: `no network of its own: ${tried.error?.message ?? tried.stderr}` };
}

export class TestNetwork {
  /** Where command lines run unless told. */
  readonly home = temporaryDirectory();
  readonly #holder: Running;
  readonly #servers = new Set<Running>();
  #pid = -1;

  readonly #directory = temporaryDirectory();

  private constructor() {
    const flags = ['--net', '--mount', '--propagation', 'private'];
    this.#holder = new Running('unshare', [...flags, 'bash', '-c', SETUP, 'bash', this.#directory], {
      timeoutMs: 2 ** 31 - 1,
    });
  }

  /** Where its `/etc` is out here. */
  get etc(): string {
    return join(this.#directory, 'etc');
  }

  static async make(): Promise<TestNetwork> {
    const network = new TestNetwork();
    await network.#holder.waitForStdout((text) => text.includes('ready'));
    network.#pid = network.#holder.pid;
    return network;
  }

  /** Runs a command line as it stands in a document, with our programs on the path. */
  async run(line: string, more: CommandOptions = {}): Promise<Ended> {
    return await this.#start(line, more).ended;
  }

  /** {@link run} of a line that must end well; its standard output. */
  async ok(line: string, more: CommandOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(line, more);
    if (code !== 0) throw new Error(`${line}\nended with ${code}:\n${stdout}${stderr}`);
    return stdout;
  }

  /** Starts a server, and waits until it serves unless told otherwise. */
  async serve(line: string, more: ServeOptions = {}): Promise<Running> {
    const running = this.#start(line.startsWith('export ') ? line : `exec ${line}`, {
      ...more,
      timeoutMs: 2 ** 31 - 1,
    });
    this.#servers.add(running);
    if (more.waits !== false) {
      await eventually(`it serves: ${line}\n${running.stderr.slice(-2000)}`, () =>
        /ready to serve client requests|serving client traffic/.test(running.stderr),
      );
    }
    return running;
  }

  async close(): Promise<void> {
    for (const server of this.#servers) server.kill('SIGKILL');
    await Promise.all([...this.#servers].map(({ ended }) => ended));
    this.#holder.kill('SIGKILL');
    await this.#holder.ended;
  }

  #start(line: string, { cwd = this.home, env = {}, path = '', timeoutMs }: CommandOptions): Running {
    const PATH = [path, `${ROOT}bin`, process.env['PATH'] ?? ''].filter((part) => part !== '').join(':');
    const inside = ['-t', String(this.#pid), '-n', '-m', 'bash', '-c', `cd "$0" && ${line}`, cwd];
    return new Running('nsenter', inside, { env: { ...env, PATH }, stdin: '', timeoutMs });
  }
}

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** In front of where our programs are. */
  readonly path?: string;
  readonly timeoutMs?: number | undefined;
}

export interface ServeOptions extends CommandOptions {
  readonly waits?: boolean;
}

/** Ends a server as systemd does. */
export async function stop(server: Running): Promise<void> {
  server.kill();
  await server.ended;
}
