/**
 * A scenario is a sequence of etcdctl commands. It runs against the program under test and against the reference,
 * each freshly started, and what the commands print must be the same on both once identifiers, durations, sizes and
 * versions have names instead of values. Exit codes and the `Error:` lines count too.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, type PeerVersion, peer, REFERENCE, SUBJECT } from '../../support/programs.ts';
import { decode } from '../../support/proto.ts';
import { type Ended, Running, type RunOptions, run } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

export interface Scenario {
  readonly name: string;
  /** Server flags beside the usual ones; some are spelled differently from release to release. */
  readonly flags?: (program: string) => readonly string[];
  /** The etcdctl releases that have these commands; both if not given. */
  readonly releases?: readonly PeerVersion[];
  readonly play: (session: Session) => Promise<void>;
}

const RELEASES: readonly PeerVersion[] = ['3.4', '3.5'];

export interface Judges {
  /** The etcdctl releases that have the commands of the group. */
  readonly releases?: readonly PeerVersion[];
  /** The etcd that answers what ours has to; etcd 3.5 if not given. */
  readonly reference?: string;
}

/** Declares one test per scenario and etcdctl release. */
export function testScenarios(group: string, scenarios: readonly Scenario[], judges: Judges = {}): void {
  for (const scenario of scenarios) {
    for (const release of scenario.releases ?? judges.releases ?? RELEASES) {
      test(`etcdctl ${release}: ${group}: ${scenario.name}`, needs('etcd 3.4', 'etcd 3.5'), async () => {
        const [ours, theirs] = await Promise.all([
          play(scenario, release, SUBJECT),
          play(scenario, release, judges.reference ?? REFERENCE),
        ]);
        if (process.env['ETCD_TEST_PRINT'] !== undefined) process.stdout.write(`${theirs.join('\n')}\n`);
        assert.deepEqual(ours, theirs);
      });
    }
  }
}

async function play(scenario: Scenario, release: PeerVersion, program: string): Promise<string[]> {
  const server = await EtcdServer.start({
    program,
    flags: [...FAST_ELECTION, ...(scenario.flags?.(program) ?? [])],
  });
  const session = new Session(server, release);
  try {
    await session.learnIdentity();
    await scenario.play(session);
    return session.transcript;
  } finally {
    session.close();
    await server.stop();
  }
}

export class Session {
  readonly server: EtcdServer;
  readonly release: PeerVersion;
  readonly rpc: EtcdRpc;
  readonly transcript: string[] = [];
  readonly #names: { value: string; name: string }[] = [];
  #directory: string | null = null;

  constructor(server: EtcdServer, release: PeerVersion) {
    this.server = server;
    this.release = release;
    this.rpc = new EtcdRpc(server.address);
  }

  close(): void {
    this.rpc.close();
  }

  /** A directory for the files of the command lines. */
  get directory(): string {
    this.#directory ??= temporaryDirectory();
    return this.#directory;
  }

  /** Learns the ids that differ from server to server. */
  async learnIdentity(): Promise<void> {
    const { header, version } = await this.rpc.call('Maintenance.Status', {});
    this.nameId('member', header.member_id);
    this.nameId('cluster', header.cluster_id);
    this.name('version', version);
    this.name('client-url', this.server.clientUrl);
    this.name('peer-url', this.server.peerUrl);
    this.name('endpoint', this.server.address);
  }

  /** From now on `<name>` stands for `value` in the transcript. */
  name(name: string, value: string): void {
    this.#names.push({ value, name });
    // Longer values first, so that one contained in another doesn't spoil it.
    this.#names.sort((a, b) => b.value.length - a.value.length);
  }

  /** Names a 64-bit id in all the forms in which it is printed. */
  nameId(name: string, id: bigint): void {
    const hex = id.toString(16);
    this.name(name, hex.padStart(16, '0'));
    if (hex.length < 16) this.name(name, hex);
    this.name(name, id.toString());
  }

  /** Runs etcdctl and records what came of it. */
  ctl(...args: string[]): Promise<Ended> {
    return this.ctlWith({}, ...args);
  }

  async ctlWith(options: RunOptions, ...args: string[]): Promise<Ended> {
    const ended = await this.quiet(options, ...args);
    this.record(args.map(shorten).join(' '), ended);
    return ended;
  }

  /** Runs etcdctl with its binary output, and records the message. */
  async protobuf(type: string, ...args: string[]): Promise<void> {
    const ended = await this.quiet({ encoding: 'latin1' }, ...args, '-w', 'protobuf');
    const message = inspect(decode(type, Buffer.from(ended.stdout, 'latin1')), { depth: 10 });
    this.record(`${args.join(' ')} -w protobuf`, { ...ended, stdout: message });
  }

  /** Runs etcdctl without recording. */
  quiet(options: RunOptions, ...args: string[]): Promise<Ended> {
    return run(peer(this.release, 'etcdctl'), this.#arguments(args), options);
  }

  /** Grants a lease and gives it a name. Returns its id as etcdctl takes it. */
  async grant(name: string, ttl = 600): Promise<string> {
    const { stdout } = await this.quiet({}, 'lease', 'grant', String(ttl));
    const id = /lease ([0-9a-f]+) granted/.exec(stdout)?.[1];
    assert(id !== undefined, `no lease in: ${stdout}`);
    this.nameId(name, BigInt(`0x${id}`));
    return id;
  }

  /** Starts an etcdctl command that lasts. */
  start(...args: string[]): Running {
    return new Running(peer(this.release, 'etcdctl'), this.#arguments(args));
  }

  record(what: string, ended: Ended): void {
    const errors = ended.stderr.split('\n').filter((line) => /^Error:|is unhealthy|^watch was/.test(line));
    this.note(`$ ${what}`);
    this.note(ended.stdout);
    if (errors.length > 0) this.note(errors.join('\n'));
    this.note(`exit ${ended.code ?? ended.signal}`);
  }

  note(text: string): void {
    this.transcript.push(this.normalize(text));
  }

  normalize(text: string): string {
    let result = text;
    for (const { value, name } of this.#names) result = result.replaceAll(value, `<${name}>`);
    // A table's columns are as wide as what is in them.
    if (/^(┌|\+-)/m.test(result)) result = result.replace(/─+/g, '─').replace(/-+/g, '-').replace(/ +/g, ' ');
    return (
      result
        .replace(/("raft_term":|"RaftTerm" : |raft_term: )\d+/g, '$1<term>')
        .replace(/took = [0-9.]+[µmn]?s/g, 'took = <time>')
        .replace(/"took":"[^"]*"/g, '"took":"<time>"')
        .replace(/remaining\(\d+s\)/g, 'remaining(<time>)')
        // What is left of a lease, where what was granted follows.
        .replace(/"TTL" : \d+(?=\n"GrantedTTL")/g, '"TTL" : <time>')
        .replace(/"ttl":\d+(?=,"granted-ttl")/g, '"ttl":<time>')
    );
  }

  #arguments(args: readonly string[]): string[] {
    return [`--endpoints=${this.server.address}`, ...args];
  }
}

function shorten(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}…(${text.length})` : text;
}
