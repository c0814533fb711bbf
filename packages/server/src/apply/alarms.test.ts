import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AlarmType } from '@etcd/api/etcdserverpb';
import { Alarms } from './alarms.ts';
import { SingleLog } from './testing/single-log.ts';

const { CORRUPT, NONE, NOSPACE } = AlarmType;

test('alarms are those of the database, after a restart too', () => {
  const { backend } = new SingleLog();
  const alarms = new Alarms(backend);
  assert.deepEqual([alarms.hasNoSpace, alarms.hasCorrupt], [false, false]);
  alarms.activate(1n, NOSPACE);
  alarms.activate(2n, CORRUPT);
  const again = new Alarms(backend);
  assert.deepEqual([again.hasNoSpace, again.hasCorrupt], [true, true]);
  assert.equal(again.list(NONE).length, 2);
  again.deactivate(2n, CORRUPT);
  assert.deepEqual(
    new Alarms(backend).list(NONE).map(({ memberId, alarm }) => [memberId, alarm]),
    [[1n, NOSPACE]],
  );
});

test('an alarm is up as long as any member has raised it', () => {
  const alarms = new Alarms(new SingleLog().backend);
  for (const member of [1n, 2n]) alarms.activate(member, NOSPACE);
  alarms.deactivate(1n, NOSPACE);
  assert.ok(alarms.hasNoSpace);
  alarms.deactivate(2n, NOSPACE);
  assert.ok(!alarms.hasNoSpace);
});

test('an alarm of a kind that is not known yet is kept and changes nothing', () => {
  const { backend } = new SingleLog();
  const alarms = new Alarms(backend);
  assert.equal(alarms.activate(1n, 9)?.alarm, 9);
  assert.deepEqual([alarms.hasNoSpace, alarms.hasCorrupt], [false, false]);
  assert.equal(new Alarms(backend).list(9).length, 1);
});
