/** Defragmentation by rule, by hand and as the CronJob in deploy/ does it. */
import assert from 'node:assert/strict';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { TestAuthority } from '@etcd/host/testing';
import { parse } from 'yaml';
import { ROOT } from '../../support/programs.ts';
import { temporaryDirectory } from '../../support/temporary.ts';
import { ADDRESSES, needsTestNetwork, TestNetwork } from './test-network.ts';

const PKI = '/etc/kubernetes/pki';
const VALUES = 3000;

interface PodSpec {
  readonly containers: readonly {
    readonly command: readonly string[];
    readonly args: readonly string[];
    readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  }[];
  readonly volumes: readonly { readonly name: string; readonly hostPath: { readonly path: string } }[];
}

interface CronJob {
  readonly kind: string;
  readonly spec: {
    readonly concurrencyPolicy: string;
    readonly jobTemplate: { readonly spec: { readonly template: { readonly spec: PodSpec } } };
  };
}

/** The command line of a job's container, with files where they are on the host. */
function commandOf(job: CronJob): string[] {
  const { containers, volumes } = job.spec.jobTemplate.spec.template.spec;
  const { command, args, volumeMounts } = containers[0]!;
  const paths = volumeMounts.map(({ name, mountPath }) => {
    const volume = volumes.find((one) => one.name === name);
    assert.ok(volume !== undefined, name);
    return [mountPath, volume.hostPath.path] as const;
  });
  return [...command, ...args].map((word) => {
    const path = paths.find(([mountPath]) => word.endsWith(`=${mountPath}`));
    return path === undefined ? word : word.replace(path[0], path[1]);
  });
}

describe('a cluster with certificates as kubeadm makes them', needsTestNetwork(), () => {
  let network: TestNetwork;
  const flags = `--cacert ${PKI}/etcd/ca.crt --cert ${PKI}/apiserver-etcd-client.crt --key ${PKI}/apiserver-etcd-client.key`;

  before(async () => {
    network = await TestNetwork.make();
    const directory = temporaryDirectory();
    const authority = await TestAuthority.create(directory, 'ca');
    const place = (path: string): string => join(network.etc, path);
    cpSync(authority.caFile, place('kubernetes/pki/etcd/ca.crt'));
    for (const name of ['etcd/server', 'apiserver-etcd-client']) {
      const { certFile, keyFile } = await authority.issue(name.replace('/', '-'), {
        hosts: [...ADDRESSES, '127.0.0.1'],
      });
      cpSync(certFile, place(`kubernetes/pki/${name}.crt`));
      cpSync(keyFile, place(`kubernetes/pki/${name}.key`));
    }
    await network.serve(`etcd --name infra0 --listen-client-urls https://127.0.0.1:2379,https://10.0.0.1:2379 --advertise-client-urls https://10.0.0.1:2379 \
--cert-file=${PKI}/etcd/server.crt --key-file=${PKI}/etcd/server.key --trusted-ca-file=${PKI}/etcd/ca.crt --client-cert-auth`);
    await network.ok(
      `export ETCDCTL_ENDPOINTS=127.0.0.1:2379; for i in 1 2 3; do head -c 300000 /dev/urandom | base64 -w0 | etcdctl ${flags} put k$i; done; etcdctl ${flags} del k --prefix`,
    );
  });
  after(() => network.close());

  async function sizes(): Promise<{ readonly dbSize: number; readonly dbSizeInUse: number }> {
    const told = await network.ok(`etcdctl --endpoints 127.0.0.1:2379 ${flags} endpoint status -w json`);
    const [{ Status }] = JSON.parse(told) as [{ Status: { dbSize: number; dbSizeInUse: number } }];
    return Status;
  }

  test('a rule decides, and what is free is given back', async () => {
    const before = await sizes();
    assert.ok(before.dbSize > VALUES * 300);
    const common = `etcd-defrag --endpoints https://127.0.0.1:2379 ${flags} --cluster`;
    const idle = await network.run(
      `${common} --defrag-rule "dbSize > dbQuota*80/100 || dbSize - dbSizeInUse > 200*1024*1024"`,
    );
    assert.equal(idle.code, 0, idle.stderr);
    // The compaction may have made the file a little longer; a defragmentation would have made it much shorter.
    assert.ok((await sizes()).dbSize >= before.dbSize, 'the rule says no');
    const done = await network.run(`${common} --defrag-rule "dbSize - dbSizeInUse > 100*1024"`);
    assert.equal(done.code, 0, done.stderr);
    assert.match(done.stderr + done.stdout, /The defragmentation is successful\./);
    assert.ok((await sizes()).dbSize < 500_000);
    const wrong = await network.run(`${common} --defrag-rule "dbSize - 1"`);
    assert.equal(wrong.code, 1);
  });

  test('the CronJob names files that kubeadm makes, a rule and flags that there are', async () => {
    const job = parse(readFileSync(`${ROOT}deploy/etcd-defrag-cronjob.yaml`, 'utf8')) as CronJob;
    assert.equal(job.kind, 'CronJob');
    assert.equal(job.spec.concurrencyPolicy, 'Forbid');
    const words = commandOf(job).map((word) => `'${word}'`);
    const ended = await network.run(words.join(' '));
    assert.equal(ended.code, 0, ended.stderr);
    assert.match(ended.stderr + ended.stdout, /1 endpoint\(s\)/);
  });
});
