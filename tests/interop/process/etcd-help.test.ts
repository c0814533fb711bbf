/** What real etcd of each release lists in its help is a flag here: under its name, or as a spelling of an older release. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needs, type PeerVersion, peer, SUBJECT } from '../../support/programs.ts';
import { run } from '../../support/run.ts';

/** Flags that stand at the beginning of a line or behind a comma, as `--name` or `-name`. */
function flagsIn(help: string): string[] {
  return [...help.matchAll(/^\s+--?([a-z][a-z0-9-]*)/gm)].map((match) => match[1]!);
}

const RELEASES: readonly PeerVersion[] = ['3.4', '3.5', '3.6', '3.7'];

for (const release of RELEASES) {
  test(`every flag in the help of etcd ${release} is known`, needs(`etcd ${release}`), async () => {
    const theirs = await run(peer(release, 'etcd'), ['--help']);
    const ours = await run(SUBJECT, ['--help']);
    assert.equal(ours.code, 0);
    const known = new Set([...ours.stdout.matchAll(/--([a-z][a-z0-9.-]*)/g)].map((match) => match[1]));
    const listed = flagsIn(theirs.stdout + theirs.stderr);
    assert.ok(listed.length > 70, `${listed.length} flags`);
    assert.deepEqual(
      listed.filter((name) => !known.has(name) && name !== 'help' && name !== 'h'),
      [],
    );
  });
}
