import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { CompactionRequest, LeaseGrantRequest, PutRequest } from '@etcd/api/etcdserverpb';
import { type BackupMetadata, type ChangeRecord, openStore, readBackup, readChanges } from '@etcd/backup';
import { type Logger, SILENT_LOGGER } from '@etcd/base';
import { type BackupConfig, MemberStartError } from '../config/index.ts';
import { SingleMember } from '../member/testing/single-member.ts';
import type { BackedUpMember } from './backed-up-member.ts';
import { Backups } from './index.ts';

const root = mkdtempSync(join(tmpdir(), 'backups-'));
after(() => rmSync(root, { recursive: true }));

const NOBODY = { identities: [], passphrase: null };
const NOTHING_KEPT = { last: 0, withinMs: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0 };
const HOUR_MS = 3_600_000;
let count = 0;

class Run {
  readonly member: SingleMember;
  readonly backups: Backups;
  readonly store: string;
  readonly lines: string[];
  leads = true;

  private constructor(lines: string[], member: SingleMember, backups: Backups, store: string) {
    this.lines = lines;
    this.member = member;
    this.backups = backups;
    this.store = store;
  }

  static async start(overrides: Partial<BackupConfig> = {}, member?: SingleMember): Promise<Run> {
    const alone = member ?? (await SingleMember.start());
    const config: BackupConfig = {
      store: join(root, `store-${count++}`),
      schedule: '1h',
      recipients: [],
      recipientsFile: '',
      passphraseFile: '',
      isUnencrypted: true,
      compression: 'zstd',
      retention: NOTHING_KEPT,
      maxAgeMs: 0,
      changesIntervalMs: 0,
      ...overrides,
    };
    const { clock, metrics } = alone.world;
    const lines: string[] = [];
    const tell = (message: string): void => void lines.push(message);
    const logger: Logger = { ...SILENT_LOGGER, info: tell, warn: tell, child: () => logger };
    const options = { config, endpoint: 'http://m1', clock, logger, metrics: metrics.handles };
    const run = new Run(lines, alone, await Backups.open(options), config.store);
    run.backups.start(run.#facade());
    return run;
  }

  #facade(): BackedUpMember {
    const { server } = this.member;
    const run = this;
    return {
      clock: server.clock,
      memberId: server.memberId,
      clusterId: server.clusterId,
      isFenced: false,
      get isLeader() {
        return run.leads;
      },
      get store() {
        return server.store;
      },
      get backend() {
        return server.backend;
      },
      get watches() {
        return server.watches;
      },
      get lessor() {
        return server.lessor;
      },
      confirmLeadership: (then) => then(run.leads),
    };
  }

  /** Lets time go on until something is so. */
  async until(holds: () => boolean | Promise<boolean>, stepMs = 500): Promise<void> {
    while (!(await holds())) await this.pass(stepMs);
  }

  async pass(ms: number): Promise<void> {
    this.member.world.clock.advance(ms);
    await new Promise((resolve) => setImmediate(resolve));
  }

  async list(): Promise<BackupMetadata[]> {
    return existsSync(this.store) ? (await openStore(this.store)).list() : [];
  }

  async stop(): Promise<void> {
    let isStopped = false;
    const stopped = this.backups.stop().then(() => {
      isStopped = true;
    });
    await this.until(() => isStopped);
    await stopped;
  }

  put(key: string, lease = 0n): void {
    const bytes = Buffer.from(key);
    this.member.ask('put', new PutRequest({ key: bytes, value: bytes, lease }));
  }

  segments(): string[] {
    const path = join(this.store, 'changes');
    return existsSync(path)
      ? readdirSync(path)
          .filter((name) => !name.endsWith('.part'))
          .sort()
      : [];
  }

  async changesAfter(base: BackupMetadata): Promise<ChangeRecord[]> {
    const until = { kind: 'time', timeMs: Number.MAX_SAFE_INTEGER } as const;
    const signal = new AbortController().signal;
    const { changes } = await openStore(this.store);
    const records: ChangeRecord[] = [];
    for await (const record of readChanges(changes, { base, until, secrets: NOBODY, signal }))
      records.push(record);
    return records;
  }
}

test('the first backup comes at once, the next when it is due, and old ones go', async () => {
  const run = await Run.start({ retention: { ...NOTHING_KEPT, last: 1 } });
  run.put('a');
  await run.until(async () => (await run.list()).length === 1);
  const [first] = await run.list();
  assert.equal(first!.revision, 2);
  const path = join(root, 'first.db');
  const { signal } = new AbortController();
  await readBackup(await openStore(run.store), first!, path, { secrets: NOBODY, signal });
  assert.ok(readFileSync(path).includes('a'));
  // Nothing is due for an hour.
  for (let i = 0; i < 50; i++) await run.pass(HOUR_MS / 60);
  assert.equal((await run.list()).length, 1);
  // The one before goes when there is another.
  await run.until(async () => (await run.list())[0]?.name !== first!.name, HOUR_MS / 60);
  const [second, ...others] = await run.list();
  assert.deepEqual(others, []);
  assert.ok(Date.parse(second!.createdAt) - Date.parse(first!.createdAt) >= HOUR_MS);
  await run.stop();
  run.member.stop();
});

test('who does not lead makes none, and who leads anew goes by what is in the store', async () => {
  const run = await Run.start();
  run.leads = false;
  for (let i = 0; i < 20; i++) await run.pass(1000);
  assert.deepEqual(await run.list(), []);
  run.leads = true;
  await run.until(async () => (await run.list()).length === 1);
  await run.stop();
  const again = await Run.start({ store: run.store }, run.member);
  for (let i = 0; i < 20; i++) await again.pass(1000);
  assert.equal((await again.list()).length, 1, 'the one before is young enough');
  await again.stop();
  run.member.stop();
});

test('a backup is given up when another member leads, or this one stops, and nothing of it stays', async () => {
  for (const end of ['leader', 'stop'] as const) {
    const member = await SingleMember.start();
    for (let i = 0; i < 20; i++) {
      member.ask('put', new PutRequest({ key: Buffer.from(`k${i}`), value: new Uint8Array(100_000) }));
    }
    const run = await Run.start({ compression: 'none' }, member);
    const isAtWork = (): boolean =>
      existsSync(run.store) && readdirSync(run.store).some((name) => name.endsWith('.part'));
    await run.until(isAtWork, 1);
    run.leads = end === 'stop';
    if (end === 'leader') await run.until(() => !isAtWork());
    await run.stop();
    const left = readdirSync(run.store).filter((name) => name.endsWith('.part'));
    assert.deepEqual(left, []);
    run.member.stop();
  }
});

test('what changes after a backup is in the store a moment later, with the leases of its keys', async () => {
  const run = await Run.start({ changesIntervalMs: 1000 });
  await run.until(async () => (await run.list()).length === 1);
  run.member.ask('leaseGrant', new LeaseGrantRequest({ id: 7n, ttl: 99_999 }));
  run.put('a');
  run.put('b', 7n);
  run.put('c');
  const [base] = await run.list();
  const told = async (): Promise<string[]> =>
    (await run.changesAfter(base!)).flatMap((record) =>
      record.kind === 'lease'
        ? [`lease ${record.id} ${record.ttl}`]
        : record.events.map(({ kv }) => `${kv!.modRevision} ${Buffer.from(kv!.key)}`),
    );
  await run.until(async () => (await told()).includes('4 c'));
  const all = await told();
  assert.deepEqual(
    all.filter((line) => !line.startsWith('lease')),
    ['2 a', '3 b', '4 c'],
  );
  const lease = all.indexOf('lease 7 99999');
  assert.ok(lease >= 0 && lease < all.indexOf('3 b'), all.join());
  await run.stop();
  const before = run.segments().length;
  // Whoever leads next goes on behind it, and tells nothing twice.
  const next = await Run.start({ changesIntervalMs: 1000, store: run.store }, run.member);
  next.put('d');
  await next.until(() => next.segments().length > before);
  assert.match(next.segments().at(-1)!, /-0000000000000005-0000000000000005-/);
  assert.equal((await next.list()).length, 1);
  await next.stop();
  run.member.stop();
});

test('a store that can not be reached is told of and tried again, and an old backup is warned about', async () => {
  const blocked = join(root, 'blocked');
  writeFileSync(blocked, '');
  const run = await Run.start({ store: blocked, maxAgeMs: 60_000 });
  await run.until(
    () => run.lines.filter((line) => line === 'failed to look at the store of backups').length === 2,
  );
  rmSync(blocked);
  await run.until(() => run.lines.includes('backed up'));
  // Nothing is made for an hour, and the limit is a minute.
  await run.until(() => run.lines.includes('the newest backup is too old'), 10_000);
  await run.stop();
  run.member.stop();
});

test('settings and files that are wrong end the start with the flag that they belong to', async () => {
  const refused = (overrides: Partial<BackupConfig>, problem: RegExp): Promise<void> =>
    assert.rejects(Run.start(overrides), (error: Error) => {
      assert.ok(error instanceof MemberStartError);
      assert.match(error.message, problem);
      return true;
    });
  await refused({ schedule: 'often' }, /^--backup-schedule: often: neither an interval/);
  await refused({ schedule: '61 * * * *' }, /^--backup-schedule: 61/);
  await refused({ store: 'ftp://x' }, /^--backup-store: /);
  await refused({ isUnencrypted: false, recipients: ['age1x'] }, /^--backup-recipients: not a recipient/);
  await refused({ isUnencrypted: false, passphraseFile: '/nowhere' }, /^--backup-recipients: ENOENT/);
});

test('where changes were compacted before the store had them, a new backup begins another log', async () => {
  const run = await Run.start({ changesIntervalMs: 1000 });
  await run.until(async () => (await run.list()).length === 1);
  await run.stop();
  // Nobody brings these to the store.
  for (let i = 0; i < 5; i++) run.put(`k${i}`);
  run.member.ask('compaction', new CompactionRequest({ revision: 5 }));
  const next = await Run.start({ changesIntervalMs: 1000, store: run.store }, run.member);
  await next.until(async () => (await next.list()).length === 2);
  next.put('after');
  await next.until(() => next.segments().length > 0);
  const [first, second] = await next.list();
  assert.equal(second!.revision, 6);
  assert.deepEqual(
    (await next.changesAfter(second!)).flatMap((one) => (one.kind === 'events' ? one.events.length : [])),
    [1],
  );
  await assert.rejects(next.changesAfter(first!), /no changes of revisions 2 to 6 are there/);
  await next.stop();
  run.member.stop();
});
