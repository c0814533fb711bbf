import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SILENT_LOGGER } from '@etcd/base';
import { SimClock, SimDisk } from '@etcd/testing';
import { config } from '../config/testing/starts.ts';
import { ClusterFinding } from './cluster-finding.ts';

const FLAGS = [
  '--name=m1',
  '--discovery-srv=example.test',
  '--initial-advertise-peer-urls=http://127.0.0.1:2380',
];
const FOUND = 'm1=http://127.0.0.1:2380,0=http://127.0.0.2:2380';

test('the records of a domain are looked up once for a start, whoever asks for its members', async () => {
  const asked: string[] = [];
  const finding = new ClusterFinding({
    config: await config(FLAGS),
    clock: new SimClock(),
    disk: new SimDisk(),
    logger: SILENT_LOGGER,
    lookUp: (name) => {
      asked.push(name);
      if (name !== '_etcd-server._tcp.example.test') return Promise.reject(new Error('no such host'));
      return Promise.resolve(['127.0.0.1', '127.0.0.2'].map((host) => ({ host, port: 2380 })));
    },
  });
  assert.equal((await finding.configure()).initialCluster, FOUND);
  assert.equal(await finding.listMembers!(), FOUND);
  assert.deepEqual(asked, ['_etcd-server-ssl._tcp.example.test', '_etcd-server._tcp.example.test']);
});
