import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { CompactionRequest, LeaseGrantRequest, PutRequest } from '@etcd/api/etcdserverpb';
import { ChangesSink, parseChanges, revisionOf } from '@etcd/backup';
import { SILENT_LOGGER } from '@etcd/base';
import { SingleMember } from '../member/testing/single-member.ts';
import { ChangeLog } from './change-log.ts';

const VALUE = new Uint8Array(1 << 20);

interface Written {
  readonly first: number;
  readonly last: number;
  readonly revisions: readonly number[];
}

/** A log whose store is a list, and fails or waits when told. */
class Run {
  readonly member: SingleMember;
  readonly written: Written[] = [];
  readonly leases: bigint[] = [];
  readonly log: ChangeLog;
  failing = 0;
  gate: Promise<void> | null = null;
  reached = 0;

  constructor(member: SingleMember, from: number) {
    this.member = member;
    type Write = ChangesSink['write'];
    const write: Write = async ({ firstRevision, lastRevision }, pieces) => {
      await this.gate;
      if (this.failing > 0) {
        this.failing--;
        throw new Error('the store is away');
      }
      const records = parseChanges(Buffer.concat(pieces));
      const revisions = records.flatMap((record) =>
        record.kind === 'events' ? record.events.map(revisionOf) : [],
      );
      for (const record of records) if (record.kind === 'lease') this.leases.push(record.id);
      this.written.push({ first: firstRevision, last: lastRevision, revisions });
    };
    const sink = Object.assign(Object.create(ChangesSink.prototype) as ChangesSink, { write });
    this.log = new ChangeLog(
      {
        member: member.server,
        intervalMs: 1000,
        logger: SILENT_LOGGER,
        sink,
        onWritten: (revision) => {
          this.reached = revision;
        },
      },
      from,
    );
  }

  put(value = new Uint8Array(1)): number {
    this.member.ask('put', new PutRequest({ key: Buffer.from('k'), value }));
    return this.member.server.store.revision;
  }

  async reaches(revision: number): Promise<void> {
    while (this.reached < revision) await this.pass();
  }

  async pass(): Promise<void> {
    this.member.world.clock.advance(1000);
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** Whatever happened, each revision is told once, and each segment begins behind the one before. */
  check(first: number, last: number): void {
    const all = this.written.flatMap(({ revisions }) => revisions);
    assert.deepEqual(
      all,
      Array.from({ length: last - first + 1 }, (_, i) => first + i),
    );
    let next = first;
    for (const segment of this.written) {
      assert.equal(segment.first, next);
      next = segment.last + 1;
    }
  }
}

test('what could not be written is written with what came since', async () => {
  const member = await SingleMember.start();
  const run = new Run(member, 2);
  run.failing = 2;
  run.put();
  await run.pass();
  run.put();
  await run.pass();
  assert.deepEqual(run.written, []);
  await run.reaches(run.put());
  run.check(2, 4);
  await run.log.stop();
  run.put();
  await run.pass();
  assert.equal(run.reached, 4, 'after its end it tells nothing');
  assert.ok(member.stop());
});

test('what can not be told is tried again, and ends neither the log nor the member', async () => {
  const member = await SingleMember.start();
  const run = new Run(member, 2);
  const { lessor } = member.server;
  const unwell = mock.method(lessor, 'lookup', () => {
    throw new Error('not now');
  });
  member.ask('leaseGrant', new LeaseGrantRequest({ id: 7n, ttl: 60 }));
  member.ask('put', new PutRequest({ key: Buffer.from('k'), value: VALUE.subarray(0, 1), lease: 7n }));
  await run.pass();
  await run.pass();
  assert.ok(unwell.mock.callCount() >= 2);
  assert.deepEqual(run.written, []);
  unwell.mock.restore();
  await run.reaches(run.put());
  run.check(2, 3);
  assert.deepEqual(run.leases, [7n], 'a lease that was not told of is told of with the next attempt');
  await run.log.stop();
  assert.ok(member.stop());
});

test('while the store is slow no more than a bound waits, and nothing is lost', async () => {
  const member = await SingleMember.start();
  const run = new Run(member, 2);
  let open = (): void => {};
  run.gate = new Promise((resolve) => {
    open = resolve;
  });
  let last = 0;
  for (let i = 0; i < 30; i++) last = run.put(VALUE);
  assert.equal(member.server.watches.laggingCount, 1, 'the watcher waits for its stream');
  open();
  await run.reaches(last);
  run.check(2, last);
  assert.ok(run.written.length > 1);
  await run.log.stop();
  assert.ok(member.stop());
});

test('a log that would begin with what is compacted is broken, and says so', async () => {
  const member = await SingleMember.start();
  const before = new Run(member, 2);
  for (let i = 0; i < 5; i++) before.put();
  await before.log.stop();
  member.ask('compaction', new CompactionRequest({ revision: 4 }));
  const run = new Run(member, 3);
  while (!run.log.isBroken) await run.pass();
  assert.deepEqual(run.written, []);
  await run.log.stop();
  const next = new Run(member, 5);
  await next.reaches(6);
  next.check(5, 6);
  await next.log.stop();
  assert.ok(member.stop());
});
