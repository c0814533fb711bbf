import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseBackupSpec, parseScheduleSpec } from './backup-spec.ts';

const PLAIN = { clusterName: 'c', encryption: { none: true } };

function problemsOf(spec: object): string[] {
  const parsed = parseScheduleSpec(spec);
  return parsed.ok ? [] : parsed.problems.map(({ field, problem }) => `${field} ${problem}`);
}

test('a store is a directory of a volume, or a bucket with its settings', () => {
  const volume = parseBackupSpec({
    ...PLAIN,
    store: { persistentVolumeClaim: { claimName: 'b', path: 'a/' } },
  });
  assert(volume.ok);
  assert.deepEqual(volume.spec.store, { claimName: 'b', address: '/backup/a', credentialsSecret: null });
  const s3 = {
    bucket: 'b',
    prefix: 'p/q',
    endpoint: 'https://minio.example:9000',
    region: 'eu',
    pathStyle: true,
    credentialsSecret: 'keys',
  };
  const bucket = parseBackupSpec({ ...PLAIN, store: { s3 } });
  assert(bucket.ok);
  assert.deepEqual(bucket.spec.store, {
    claimName: null,
    address: 's3://b/p/q?endpoint=https%3A%2F%2Fminio.example%3A9000&region=eu&path-style=true',
    credentialsSecret: 'keys',
  });
});

test('what is wrong with a schedule is told at once, and a backup that anybody can read has to be asked for', () => {
  assert.deepEqual(
    problemsOf({
      clusterName: 'c',
      schedule: 'often',
      historyLimit: 0,
      store: { persistentVolumeClaim: { claimName: 'b', path: '../x' }, s3: undefined },
      encryption: { recipients: ['age1x', 'ssh-rsa x'] },
      retention: { last: 0 },
      compression: 'rar',
    }),
    [
      'spec.encryption.recipients ssh-rsa x is no key of age',
      'spec.encryption.identitySecret is needed to verify; or set verify to false',
      'spec.store.persistentVolumeClaim.path must stay inside of the volume',
      'spec.compression must be zstd, gzip or none',
      'spec.retention must say what is to stay: last, within, hourly, daily, …',
      "spec.schedule often: neither an interval as 6h nor a cron expression: invalid configuration format ('often'), exactly five, six, or seven space separated parts are required.",
      'spec.historyLimit must be an integer from 1 to 1000',
    ],
  );
  const store = { s3: { bucket: 'b', endpoint: 'minio' } };
  assert.deepEqual(problemsOf({ clusterName: 'c', schedule: '6h', store }), [
    'spec.encryption must have one of recipients, passphraseSecret and none',
    'spec.store.s3 s3://b/: the endpoint minio is no URL of http or https',
  ]);
});
