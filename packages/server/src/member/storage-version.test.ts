import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  compareVersions,
  formatClusterVersion,
  parseVersion,
  type SemanticVersion,
} from '@etcd/storage/membership';
import { StorageVersion } from './storage-version.ts';

const v = (text: string): SemanticVersion => parseVersion(`${text}.0`)!;

/** A database and its cluster, with snapshots that are saved when the test says so. */
class Subject {
  readonly done: string[] = [];
  cluster: SemanticVersion | null;
  database: SemanticVersion;
  readonly storage: StorageVersion;
  #snapshots: (() => void)[] = [];

  constructor(cluster: string | null, database: string) {
    this.cluster = cluster === null ? null : v(cluster);
    this.database = v(database);
    this.storage = new StorageVersion({
      version: () => this.cluster,
      isAheadOf: (version) => compareVersions(this.database, version) > 0,
      follow: (version) => {
        if (compareVersions(version, v('3.5')) < 0 || compareVersions(version, this.database) === 0) return;
        this.database = version;
        this.done.push(`database at ${formatClusterVersion(version)}`);
      },
      appliedIndex: () => 41,
      onUnreadable: (index) => this.done.push(`leaves ${index} behind`),
      forceSnapshot: (done) => {
        this.done.push('snapshot begun');
        this.#snapshots.push(done);
      },
    });
  }

  set(version: string): void {
    this.cluster = v(version);
    this.storage.onClusterVersion(this.cluster);
  }

  saveSnapshots(): void {
    const snapshots = this.#snapshots;
    this.#snapshots = [];
    for (const done of snapshots) done();
  }
}

test('a database is raised with its cluster, at once', () => {
  const subject = new Subject(null, '3.5');
  subject.set('3.6');
  subject.set('3.7');
  assert.deepEqual(subject.done, ['database at 3.6', 'database at 3.7']);
});

test('a database is lowered when nothing is left in the log that the older release would not read', () => {
  const subject = new Subject('3.7', '3.7');
  subject.set('3.6');
  subject.storage.follow();
  assert.deepEqual(subject.done, ['leaves 42 behind', 'snapshot begun']);
  subject.saveSnapshots();
  assert.equal(subject.done.at(-1), 'database at 3.6');
});

test('a downgrade that the process did not survive goes on when it starts again', () => {
  const subject = new Subject('3.6', '3.7');
  subject.storage.follow();
  subject.saveSnapshots();
  assert.deepEqual(subject.done, ['snapshot begun', 'database at 3.6']);
});

test('a downgrade that is given up before its snapshot is saved leaves the database where it was', () => {
  const subject = new Subject('3.7', '3.7');
  subject.set('3.6');
  subject.set('3.7');
  subject.saveSnapshots();
  assert.deepEqual(subject.done, ['leaves 42 behind', 'snapshot begun']);
});

test('a cluster that goes down to 3.4 leaves its log behind, too', () => {
  const subject = new Subject('3.5', '3.5');
  subject.set('3.4');
  assert.deepEqual(subject.done, ['leaves 42 behind', 'snapshot begun']);
  subject.saveSnapshots();
});
