/**
 * Brings what the tests of whole programs need beside npm's packages: real etcd 3.4 to 3.7, an HTTP/2 conformance
 * suite, and clients of other makers. `npm test` runs this first. What is there already is kept, and looking costs
 * milliseconds.
 *
 * Packages come through apt when we are root. Etcd 3.4 and 3.5 come from Debian too, but are only downloaded and
 * unpacked into a directory of their own (`ETCD_PEERS`, by default `/opt/etcd-peers`) with package lists of their own:
 * the machine's package configuration stays as it is. Etcd 3.6 and 3.7 are built into the same directory, once, as the
 * tools of the Go modules in `tests/peers`. What can't be had is never a silent skip: `npm test` names and
 * counts it at its end, and fails for it when `CI` is set.
 *
 *   node tools/test-requirements.ts [DIRECTORY]     prints what there is; a directory overrides ETCD_PEERS
 */
import { spawnSync } from 'node:child_process';
import {
  accessSync,
  chmodSync,
  constants,
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

export type RequirementName =
  | 'etcd 3.4'
  | 'etcd 3.5'
  | 'etcd 3.6'
  | 'etcd 3.7'
  | 'h2load'
  | 'nghttp'
  | 'curl'
  | 'python3'
  | 'python3-grpcio'
  | 'python3-etcd3'
  | 'python3-etcd3gw'
  | 'chromium'
  | 'h2spec'
  | 'bbolt'
  | 'fish'
  | 'zsh'
  | 'iproute2'
  | 'strace'
  | 'promtool'
  | 'go'
  | 'etcd-discovery'
  | 'haproxy'
  | 'nginx'
  | 'systemd-analyze'
  | 'systemd-socket-activate'
  | 'age'
  | 'zstd';

interface Requirement {
  readonly name: RequirementName;
  readonly purpose: string;
  /** The path by which the tests use it (for a set of programs, their directory), or null. */
  readonly find: () => string | null;
  /** Tries to bring it; throws with the reason if it can't. */
  readonly bring: () => void;
}

export interface Missing {
  readonly name: RequirementName;
  readonly purpose: string;
  readonly reason: string;
}

const DEFAULT_PEERS_DIR = '/opt/etcd-peers';
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const NGINX_STREAM_MODULE = '/usr/lib/nginx/modules/ngx_stream_module.so';
/** apt waits long for a mirror that does not answer; a test run must not. */
const APT_OPTIONS = ['-o', 'Acquire::Retries=1', '-o', 'Acquire::http::Timeout=30', '-qq'];

const peersDir = (): string => process.env['ETCD_PEERS'] ?? DEFAULT_PEERS_DIR;

const REQUIREMENTS: readonly Requirement[] = [
  {
    name: 'etcd 3.4',
    purpose: 'real etcd and etcdctl of the oldest supported release',
    find: () => findPeer('3.4', ['etcd', 'etcdctl']),
    bring: () => bringPeer('3.4', ['bookworm'], ['etcd', 'etcdctl']),
  },
  {
    name: 'etcd 3.5',
    purpose: 'real etcd, etcdctl and etcdutl, the judge of most tests',
    find: () => findPeer('3.5', ['etcd', 'etcdctl', 'etcdutl']),
    bring: () => bringPeer('3.5', ['forky', 'trixie', 'sid'], ['etcd', 'etcdctl', 'etcdutl']),
  },
  {
    name: 'etcd 3.6',
    purpose: 'real etcd, etcdctl and etcdutl of a release between 3.5 and ours',
    find: () => findPeer('3.6', ['etcd', 'etcdctl', 'etcdutl']),
    bring: () => buildPeer('3.6'),
  },
  {
    name: 'etcd 3.7',
    purpose: 'real etcd, etcdctl and etcdutl of the release that this program behaves as',
    find: () => findPeer('3.7', ['etcd', 'etcdctl', 'etcdutl']),
    bring: () => buildPeer('3.7'),
  },
  {
    name: 'h2load',
    purpose: 'HTTP/2 load, and the benchmarks',
    find: () => findOnPath('h2load'),
    bring: () => installPackages('nghttp2-client'),
  },
  {
    name: 'nghttp',
    purpose: 'an HTTP/2 client that prints frames',
    find: () => findOnPath('nghttp'),
    bring: () => installPackages('nghttp2-client'),
  },
  {
    name: 'curl',
    purpose: 'an HTTP client',
    find: () => findOnPath('curl'),
    bring: () => installPackages('curl'),
  },
  {
    name: 'python3',
    purpose: 'pseudo-terminals, on which programs ask for passwords',
    find: () => findOnPath('python3'),
    bring: () => installPackages('python3'),
  },
  {
    name: 'python3-grpcio',
    purpose: 'a gRPC client on the C core',
    find: () => findPythonWith('grpc'),
    bring: () => installPackages('python3-grpcio'),
  },
  {
    name: 'python3-etcd3',
    purpose: 'an etcd client in Python, on gRPC',
    find: () => findPythonWith('etcd3'),
    bring: () => installPackages('python3-etcd3'),
  },
  {
    name: 'python3-etcd3gw',
    purpose: 'an etcd client in Python, on the JSON gateway',
    find: () => findPythonWith('etcd3gw'),
    bring: () => installPackages('python3-etcd3gw'),
  },
  {
    name: 'chromium',
    purpose: 'a browser: WebSockets, server-sent events and origins as pages have them',
    find: () => findOnPath('chromium') ?? findOnPath('chromium-browser') ?? findOnPath('google-chrome'),
    bring: () => installPackages('chromium'),
  },
  {
    name: 'h2spec',
    purpose: 'the HTTP/2 conformance suite',
    find: () => (isExecutable(`${peersDir()}/h2spec`) ? `${peersDir()}/h2spec` : findOnPath('h2spec')),
    bring: bringH2spec,
  },
  {
    name: 'bbolt',
    purpose: "bbolt's own tool, which prints single pages",
    find: () => (isExecutable(`${peersDir()}/bbolt`) ? `${peersDir()}/bbolt` : null),
    bring: bringBbolt,
  },
  {
    name: 'fish',
    purpose: 'a shell that completes command lines',
    find: () => findOnPath('fish'),
    bring: () => installPackages('fish'),
  },
  {
    name: 'zsh',
    purpose: 'a shell that completes command lines',
    find: () => findOnPath('zsh'),
    bring: () => installPackages('zsh'),
  },
  {
    name: 'age',
    purpose: 'what else opens encrypted backups',
    find: () => findOnPath('age'),
    bring: () => installPackages('age'),
  },
  {
    name: 'zstd',
    purpose: 'what else opens compressed backups',
    find: () => findOnPath('zstd'),
    bring: () => installPackages('zstd'),
  },
  {
    name: 'iproute2',
    purpose: 'network namespaces, in which packets between members are lost',
    find: () => findOnPath('ip'),
    bring: () => installPackages('iproute2'),
  },
  {
    name: 'strace',
    purpose: 'disks that fail under a running program',
    find: () => findOnPath('strace'),
    bring: () => installPackages('strace'),
  },
  {
    name: 'promtool',
    purpose: "Prometheus's judge of metrics and rules",
    find: () => findOnPath('promtool'),
    bring: () => installPackages('prometheus'),
  },
  {
    name: 'etcd-discovery',
    purpose: 'a discovery service of the older kind',
    find: () => findOnPath('discovery.etcd.io'),
    bring: () => installPackages('etcd-discovery'),
  },
  {
    name: 'systemd-analyze',
    purpose: "systemd's judge of its units",
    find: () => findOnPath('systemd-analyze'),
    bring: () => installPackages('systemd'),
  },
  {
    name: 'systemd-socket-activate',
    purpose: 'sockets that are handed over',
    find: () => findOnPath('systemd-socket-activate'),
    bring: () => installPackages('systemd'),
  },
  {
    name: 'haproxy',
    purpose: 'a TCP balancer',
    find: () => findProgram('haproxy'),
    bring: () => installPackages('haproxy'),
  },
  {
    name: 'nginx',
    purpose: 'a TCP balancer, with its stream module',
    find: () => (existsSync(NGINX_STREAM_MODULE) ? findProgram('nginx') : null),
    bring: () => installPackages('nginx-light', 'libnginx-mod-stream'),
  },
  {
    name: 'go',
    purpose: 'the tools of Go, which read profiles',
    find: () => findOnPath('go'),
    bring: () => installPackages('golang-go', 'ca-certificates'),
  },
];

/** Where a requirement is on this machine, or null. Brings nothing. */
export function findRequirement(name: RequirementName): string | null {
  return REQUIREMENTS.find((requirement) => requirement.name === name)!.find();
}

/** Brings whatever is not there, and says what could not be had and why. */
export function bringRequirements(): Missing[] {
  const missing: Missing[] = [];
  for (const { name, purpose, find, bring } of REQUIREMENTS) {
    if (find() !== null) continue;
    process.stderr.write(`bringing ${name} (${purpose})\n`);
    let reason = 'it was installed but can not be found';
    try {
      bring();
    } catch (error) {
      reason = error instanceof Error ? error.message : String(error);
    }
    if (find() === null) missing.push({ name, purpose, reason });
  }
  return missing;
}

// --- finding

function findPeer(version: string, programs: readonly string[]): string | null {
  const directory = `${peersDir()}/${version}`;
  return programs.every((program) => isExecutable(`${directory}/${program}`)) ? directory : null;
}

function findOnPath(program: string): string | null {
  for (const directory of (process.env['PATH'] ?? '').split(delimiter)) {
    if (directory !== '' && isExecutable(`${directory}/${program}`)) return `${directory}/${program}`;
  }
  return null;
}

/** Also where only root has it on the path. */
function findProgram(program: string): string | null {
  return findOnPath(program) ?? (isExecutable(`/usr/sbin/${program}`) ? `/usr/sbin/${program}` : null);
}

const pythonsWith = new Map<string, string>();

/** An interpreter that has the module. */
function findPythonWith(module: string): string | null {
  // Debian's packages serve Debian's interpreter, which need not be the first on the PATH. A positive answer lasts.
  const known = pythonsWith.get(module);
  if (known !== undefined) return known;
  const candidates = ['/usr/bin/python3', findOnPath('python3')].filter((path) => path !== null);
  const found = candidates.find(
    (path) => spawnSync(path, ['-c', `import ${module}`], { stdio: 'ignore' }).status === 0,
  );
  if (found !== undefined) pythonsWith.set(module, found);
  return found ?? null;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

// --- bringing

function runOrThrow(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: object; timeoutMs?: number } = {},
): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    encoding: 'utf8',
    timeout: options.timeoutMs ?? 600_000,
  });
  if (error !== undefined) throw new Error(`${command}: ${error.message}`);
  if (status !== 0) {
    const lastLine = `${stdout}\n${stderr}`.trim().split('\n').at(-1);
    throw new Error(`${command} ${args[0]} failed: ${lastLine}`);
  }
  return stdout;
}

let aptListsAreFresh = false;

function installPackages(...packages: string[]): void {
  if (process.getuid?.() !== 0) throw new Error(`needs root: apt-get install ${packages.join(' ')}`);
  if (findOnPath('apt-get') === null) throw new Error('there is no apt-get on this machine');
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  if (!aptListsAreFresh) runOrThrow('apt-get', [...APT_OPTIONS, 'update'], { env });
  aptListsAreFresh = true;
  runOrThrow('apt-get', [...APT_OPTIONS, 'install', '-y', '--no-install-recommends', ...packages], { env });
}

/** Takes the programs of the first suite whose etcd is of the wanted release. */
function bringPeer(version: string, suites: readonly string[], programs: readonly string[]): void {
  for (const program of ['apt-get', 'dpkg-deb']) {
    if (findOnPath(program) === null) throw new Error(`there is no ${program} on this machine`);
  }
  // Before anything is downloaded: may we write there at all?
  mkdirSync(`${peersDir()}/${version}`, { recursive: true });
  const reasons: string[] = [];
  for (const suite of suites) {
    const work = mkdtempSync(join(tmpdir(), 'etcd-peer-'));
    try {
      const found = downloadSuite(suite, work);
      if (found.startsWith(`${version}.`)) {
        installPrograms(`${work}/root/usr/bin`, `${peersDir()}/${version}`, programs);
        return;
      }
      reasons.push(`${suite} has etcd ${found}`);
    } catch (error) {
      reasons.push(`${suite}: ${error instanceof Error ? error.message : error}`);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }
  throw new Error(reasons.join('; '));
}

/** Downloads and unpacks a suite's etcd into `work`/root, with package lists of its own. Returns its version. */
function downloadSuite(suite: string, work: string): string {
  mkdirSync(`${work}/lists/partial`, { recursive: true });
  mkdirSync(`${work}/cache/archives/partial`, { recursive: true });
  const signedBy = existsSync(KEYRING) ? `[signed-by=${KEYRING}] ` : '';
  writeFileSync(`${work}/sources.list`, `deb ${signedBy}${mirror()} ${suite} main\n`);
  const options = [
    ...APT_OPTIONS,
    ...['-o', `Dir::Etc::sourcelist=${work}/sources.list`, '-o', 'Dir::Etc::sourceparts=/dev/null'],
    ...['-o', `Dir::State::Lists=${work}/lists`, '-o', `Dir::Cache=${work}/cache`],
    ...['-o', 'APT::Sandbox::User=root', '-o', 'Acquire::Check-Valid-Until=false'],
  ];
  runOrThrow('apt-get', [...options, 'update'], { cwd: work });
  runOrThrow('apt-get', [...options, 'download', 'etcd-server', 'etcd-client'], { cwd: work });
  for (const deb of globSync('*.deb', { cwd: work })) {
    runOrThrow('dpkg-deb', ['-x', deb, `${work}/root`], { cwd: work });
  }
  const answer = runOrThrow(`${work}/root/usr/bin/etcd`, ['--version']);
  return /etcd Version: (\S+)/.exec(answer)?.[1] ?? 'unknown';
}

/** The Debian mirror that the machine itself uses. */
function mirror(): string {
  const sources = [...globSync('/etc/apt/sources.list.d/*.sources'), '/etc/apt/sources.list'];
  for (const path of sources.filter((source) => existsSync(source))) {
    for (const line of readFileSync(path, 'utf8').split('\n')) {
      const uri = /^URIs:\s*(\S+)/.exec(line)?.[1] ?? /^deb\s+(?:\[[^\]]*\]\s*)?(\S+)/.exec(line)?.[1];
      if (uri !== undefined && /debian/.test(uri) && !/security/.test(uri)) return uri;
    }
  }
  throw new Error("no Debian mirror in the machine's apt configuration");
}

/** Copies programs so that a test that starts meanwhile sees a whole program or none. */
function installPrograms(from: string, to: string, programs: readonly string[]): void {
  mkdirSync(to, { recursive: true });
  for (const program of programs) {
    copyFileSync(`${from}/${program}`, `${to}/${program}.new`);
    chmodSync(`${to}/${program}.new`, 0o755);
    renameSync(`${to}/${program}.new`, `${to}/${program}`);
  }
}

/** Where each later etcd is described as the tools of a Go module, with the checksum of everything that goes into it. */
const GO_MODULES = new URL('../tests/peers', import.meta.url).pathname;
const PROGRAM_PACKAGES = { etcd: 'server', etcdctl: 'etcdctl', etcdutl: 'etcdutl' };
/** Compiling an etcd for the first time takes minutes, on a busy machine many. */
const BUILD_TIMEOUT_MS = 1_800_000;

/** Builds the releases that no Debian has from their Go modules. */
function buildPeer(version: string): void {
  mkdirSync(`${peersDir()}/${version}`, { recursive: true });
  bringGo(`${GO_MODULES}/${version}/go.mod`);
  const work = mkdtempSync(join(tmpdir(), 'etcd-peer-'));
  try {
    for (const [program, path] of Object.entries(PROGRAM_PACKAGES)) {
      const args = ['build', '-trimpath', '-o', `${work}/${program}`, `go.etcd.io/etcd/${path}/v3`];
      const env = { CGO_ENABLED: '0', GOFLAGS: '-mod=readonly', GOTOOLCHAIN: 'local' };
      runOrThrow('go', args, { cwd: `${GO_MODULES}/${version}`, env, timeoutMs: BUILD_TIMEOUT_MS });
    }
    installPrograms(work, `${peersDir()}/${version}`, Object.keys(PROGRAM_PACKAGES));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The Go that a module asks for; one that is too old is as good as none. */
function bringGo(moduleFile: string): void {
  if (findOnPath('go') === null) installPackages('golang-go', 'ca-certificates');
  const wanted = /^go (\d+)\.(\d+)/m.exec(readFileSync(moduleFile, 'utf8'));
  const answer = runOrThrow('go', ['env', 'GOVERSION'], { env: { GOTOOLCHAIN: 'local' } });
  const found = /go(\d+)\.(\d+)/.exec(answer);
  const numbers = [wanted, found].map((match) => Number(match?.[1]) * 1000 + Number(match?.[2]));
  if (!(numbers[1]! >= numbers[0]!)) {
    throw new Error(`needs Go ${wanted?.[1]}.${wanted?.[2]} or later; here is ${answer.trim()}`);
  }
}

/** Builds h2spec with dependencies pinned to versions that the Go of a current Debian compiles. */
function bringH2spec(): void {
  const manifest = `module h2spec-build

go 1.17

require (
	github.com/fatih/color v1.16.0
	github.com/spf13/cobra v1.8.0
	github.com/summerwind/h2spec v2.2.1+incompatible
	golang.org/x/net v0.17.0
)
`;
  buildTool('h2spec', manifest, 'github.com/summerwind/h2spec/cmd/h2spec');
}

function bringBbolt(): void {
  const manifest = `module bbolt-build

go 1.23

require (
	github.com/spf13/cobra v1.8.1
	github.com/spf13/pflag v1.0.6
	go.etcd.io/bbolt v1.4.3
)
`;
  buildTool('bbolt', manifest, 'go.etcd.io/bbolt/cmd/bbolt');
}

function buildTool(name: string, manifest: string, path: string): void {
  if (findOnPath('go') === null) installPackages('golang-go', 'ca-certificates');
  const work = mkdtempSync(join(tmpdir(), `${name}-`));
  try {
    writeFileSync(`${work}/go.mod`, manifest);
    runOrThrow('go', ['build', '-o', `${work}/${name}`, path], {
      cwd: work,
      env: { GOFLAGS: '-mod=mod', CGO_ENABLED: '0' },
    });
    installPrograms(work, peersDir(), [name]);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  if (process.argv[2] !== undefined) process.env['ETCD_PEERS'] = process.argv[2];
  const missing = bringRequirements();
  for (const { name, find } of REQUIREMENTS) {
    const reason = missing.find((one) => one.name === name)?.reason;
    process.stdout.write(`${name.padEnd(16)} ${find() ?? `MISSING: ${reason}`}\n`);
  }
  process.exitCode = missing.length === 0 ? 0 : 1;
}
