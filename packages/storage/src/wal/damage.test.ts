/** Which damage may be an interrupted write, told from logs that were laid out by hand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EMPTY_BYTES, SeededRandom } from '@etcd/base';
import { SimDisk } from '@etcd/testing';
import { classifyDamage } from './damage.ts';
import { RECORD_ENTRY, RECORD_SNAPSHOT, RECORD_STATE } from './frame.ts';
import { HandmadeLog, putFiles } from './testing/handmade-log.ts';

const SECTOR = 512;

/** What stands at `offset` of a file with these bytes. */
function classified(content: Uint8Array, offset: number): 'torn' | 'corrupt' {
  const disk = new SimDisk();
  putFiles(disk, '/wal', new Map([['x', content]]));
  return classifyDamage(disk.openFile('/wal/x', { access: 'read' }), content.length, offset);
}

/** Not zero anywhere. */
function filled(length: number): Uint8Array {
  return new Uint8Array(length).fill(0xa5);
}

/** An entry whose beginning, or a sector within it, has not been written, and behind it records of these types. */
function withHole(
  hole: 'head' | 'sector',
  types: readonly number[],
): { readonly content: Buffer; readonly at: number } {
  const log = new HandmadeLog(0x1234_5678).add(RECORD_ENTRY, filled(40)).add(RECORD_ENTRY, filled(1500));
  const at = log.offsets[1]!;
  for (const type of types) log.add(type, filled(20));
  const content = log.bytes();
  if (hole === 'head') content.fill(0, at, at + 16);
  else content.fill(0, 2 * SECTOR, 3 * SECTOR);
  return { content, at };
}

test('what stands behind a hole is of the same batch if all of it can be: states, entries, a state; or a snapshot, a state', () => {
  const letters: Readonly<Record<string, number>> = { S: RECORD_STATE, E: RECORD_ENTRY, N: RECORD_SNAPSHOT };
  const names = Object.keys(letters);
  for (let length = 2; length <= 5; length++) {
    for (let draw = 0; draw < 3 ** length; draw++) {
      const shape = Array.from({ length }, (_, i) => names[Math.floor(draw / 3 ** i) % 3]!).join('');
      // Where its beginning is there, the damaged record itself counts: the next one continues its checksum.
      for (const [hole, whole] of [
        ['head', shape],
        ['sector', `E${shape}`],
      ] as const) {
        const { content, at } = withHole(
          hole,
          [...shape].map((letter) => letters[letter]!),
        );
        const expected = /^S*(E*|N)S?$/.test(whole) ? 'torn' : 'corrupt';
        assert.equal(classified(content, at), expected, `${hole} ${shape}`);
      }
    }
  }
  for (const other of [1, 4, 6]) {
    const { content, at } = withHole('head', [RECORD_ENTRY, other]);
    assert.equal(classified(content, at), 'corrupt', `a record of type ${other} is in no batch`);
  }
});

test('a record behind the hole that nothing vouches for proves nothing, nor do records that do not continue each other', () => {
  for (const type of [RECORD_STATE, RECORD_ENTRY, RECORD_SNAPSHOT]) {
    const { content, at } = withHole('head', [type]);
    for (const tail of [0, 1, 8, 600]) {
      assert.equal(classified(Buffer.concat([content, Buffer.alloc(tail)]), at), 'torn');
    }
  }
  const { content, at } = withHole('head', [RECORD_SNAPSHOT, RECORD_SNAPSHOT]);
  assert.equal(classified(content, at), 'corrupt');
  const lastRecord = content.length - new HandmadeLog().add(RECORD_SNAPSHOT, filled(20)).length;
  content[lastRecord + 11]! ^= 1;
  assert.equal(classified(content, at), 'torn', 'its checksum was changed');
});

test('records behind two holes count together', () => {
  const log = new HandmadeLog(7).add(RECORD_ENTRY, filled(40)).add(RECORD_ENTRY, filled(1500));
  const at = log.offsets[1]!;
  log.add(RECORD_ENTRY, filled(9)).add(RECORD_STATE, filled(9)).add(RECORD_ENTRY, filled(1500));
  const second = log.offsets.at(-1)!;
  const check = (types: readonly number[], expected: string): void => {
    const more = new HandmadeLog(log.crc);
    for (const type of types) more.add(type, filled(9));
    const content = Buffer.concat([log.bytes(), more.bytes()]);
    content.fill(0, 2 * SECTOR, 3 * SECTOR);
    content.fill(0, second, second + 16);
    assert.equal(classified(content, at), expected, types.join());
  };
  check([], 'torn');
  check([RECORD_STATE], 'torn');
  check([RECORD_STATE, RECORD_STATE], 'corrupt');
  check([RECORD_ENTRY, RECORD_ENTRY], 'corrupt');
});

test('a record of which no sector is missing has been changed; one that has such, or ends too early, may be torn', () => {
  for (let seed = 1; seed <= 400; seed++) {
    const random = new SeededRandom(seed);
    const before = random.below(200) * 8;
    const log = new HandmadeLog(seed).add(RECORD_ENTRY, filled(1 + random.below(1800)));
    const content = Buffer.concat([Buffer.alloc(before, 0xee), log.bytes()]);
    const end = content.length;
    const from = before + 8 + random.below(end - before - 8);
    const to = Math.min(end, from + random.pick([1, 100, 511, 512, 513, 1023, 1024, 1500]));
    content.fill(0, from, to);
    // The part of a sector that the record reaches into counts as one.
    let isMissing = false;
    for (let sector = Math.floor(before / SECTOR) * SECTOR; sector < end; sector += SECTOR) {
      const part = content.subarray(Math.max(sector, before + 8), Math.min(sector + SECTOR, end));
      if (part.length > 0 && part.every((byte) => byte === 0)) isMissing = true;
    }
    assert.equal(classified(content, before), isMissing ? 'torn' : 'corrupt', `seed ${seed}`);
  }
});

test('a length that is not there, or reaches beyond the end, may be torn; one that no writer writes has been changed', () => {
  const record = new HandmadeLog().add(RECORD_ENTRY, filled(100)).bytes();
  for (let length = 0; length < record.length; length++) {
    assert.equal(classified(record.subarray(0, length), 0), 'torn', `${length} bytes`);
  }
  const whole = (bytes: Buffer, change: (copy: Buffer) => void): string => {
    const copy = Buffer.from(bytes);
    change(copy);
    return classified(copy, 0);
  };
  assert.equal(
    whole(record, () => {}),
    'corrupt',
  );
  assert.equal(
    whole(record, (copy) => copy.fill(0, 0, 8)),
    'torn',
  );
  assert.equal(
    whole(record, (copy) => copy.writeUInt8(0x80, 7)),
    'corrupt',
  );
  assert.equal(
    whole(record, (copy) => copy.writeUInt8(1, 6)),
    'torn',
    'longer than the file',
  );
  assert.equal(classified(EMPTY_BYTES, 0), 'torn');
  assert.equal(classified(record, record.length + 5), 'torn');
});
