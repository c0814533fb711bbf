/**
 * The same random operations against the program under test and against real etcd must get the same answers.
 *
 *   ETCD_TEST_SEED=n         replays a run (the seed is printed)
 *   ETCD_TEST_OPERATIONS=n   how many operations, by default 2000
 */
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { PEERS_DIR, REFERENCE, SUBJECT } from '../../support/programs.ts';
import { compare, startBoth } from './comparison.ts';
import { Replica } from './replica.ts';

const NEWEST = `${PEERS_DIR}/3.7/etcd`;

/** Both releases that are in use, unless one is named. */
const REFERENCES = process.env['ETCD_REFERENCE'] === undefined ? [REFERENCE, NEWEST] : [REFERENCE];

for (const reference of REFERENCES) {
  const isMissing = !existsSync(reference) && process.env['CI'] === undefined;
  const options = isMissing ? { skip: `missing: ${reference}` } : {};
  test(
    `random operations get the answers of ${reference.split('/').slice(-2).join(' ')}`,
    options,
    async (t) =>
      compare(
        await startBoth(
          () => Replica.start(SUBJECT),
          () => Replica.start(reference),
        ),
        t,
      ),
  );
}
