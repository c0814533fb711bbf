import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseVersion } from '@etcd/storage/membership';
import fc from 'fast-check';
import { type EntryFormFacts, entryForm } from './entry-form.ts';

const version = (text: string) => parseVersion(`${text}.0`);
const FACTS: EntryFormFacts = {
  clusterVersion: null,
  lowest: null,
  hasNoV2: false,
  isComplete: true,
  isPatient: true,
};
const form = (facts: Partial<EntryFormFacts>) => entryForm({ ...FACTS, ...facts });

test('a cluster of 3.5 or later is spoken to in the new form, whoever is in it', () => {
  for (const at of ['3.5', '3.6', '3.7', '3.8']) {
    assert.equal(form({ clusterVersion: version(at), isComplete: false, hasNoV2: true }), 'v3');
  }
});

test('where etcd 3.4 is known to be, the old form is used', () => {
  assert.equal(form({ lowest: version('3.4') }), 'v2');
  assert.equal(form({ clusterVersion: version('3.0'), lowest: version('3.4'), isComplete: false }), 'v2');
  assert.equal(form({ clusterVersion: version('3.4'), lowest: version('3.4') }), 'v2');
});

test('a cluster of 3.4 stays one that etcd 3.4 can be given back', () => {
  assert.equal(form({ clusterVersion: version('3.4') }), 'v2', 'alone');
  assert.equal(form({ clusterVersion: version('3.4'), lowest: version('3.5') }), 'v2');
  assert.equal(form({ clusterVersion: version('3.4'), isComplete: false }), 'v2');
});

test('a member of Go etcd 3.7 in a cluster of 3.4 gets the new form, unless etcd 3.4 is or may be there', () => {
  const facts = { clusterVersion: version('3.4'), hasNoV2: true };
  assert.equal(form({ ...facts, lowest: version('3.7') }), 'v3');
  assert.equal(form({ ...facts, lowest: version('3.4') }), null);
  assert.equal(form({ ...facts, lowest: version('3.7'), isComplete: false }), null);
});

test('founders are waited for until they have said what they are, but not for ever', () => {
  assert.equal(form({ isComplete: false }), null);
  assert.equal(form({ isComplete: false, isPatient: false }), 'v3');
  assert.equal(form({ lowest: version('3.7'), hasNoV2: true }), 'v3');
  assert.equal(form({ clusterVersion: version('3.0'), isComplete: false }), null);
});

test('the old form is never used where a member does not read it, the new one never where etcd 3.4 is known', () => {
  const lowest = fc.constantFrom(null, ...['3.4', '3.5', '3.6', '3.7'].map(version));
  // Below 3.5 a cluster may have any member; from there on none that is older than itself.
  const facts = fc.record({
    clusterVersion: fc.constantFrom(null, ...['3.0', '3.4'].map(version)),
    lowest,
    hasNoV2: fc.boolean(),
    isComplete: fc.boolean(),
    isPatient: fc.boolean(),
  });
  fc.assert(
    fc.property(facts, (given) => {
      const found = entryForm(given);
      if (found === 'v2') assert.ok(!given.hasNoV2);
      if (found === 'v3') assert.ok(given.lowest === null || given.lowest.minor >= 5);
    }),
  );
});
