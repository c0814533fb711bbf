/** The operator with real members in network namespaces, before an API server that keeps whatever it is given. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SILENT_LOGGER } from '@etcd/base';
import { connect } from '@etcd/client/node';
import { Controller } from '@etcd/operator/controller';
import { kubernetesApi } from '@etcd/operator/kubernetes';
import { KubeConfig } from '@kubernetes/client-node';
import { FakeApiServer, type FakeObject } from '../../support/kubernetes/fake-api-server.ts';
import { Kubelet, WORKLOADS, writeHosts } from '../../support/kubernetes/kubelet.ts';
import { Namespaces, needsNamespaces } from '../../support/namespaces.ts';
import { needs, peer, SUBJECT } from '../../support/programs.ts';
import { eventually } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const CLUSTERS = '/apis/operator.etcd.io/v1alpha1/etcdclusters';
const SIZE = 5;

class World {
  readonly server = new FakeApiServer();
  readonly namespaces = new Namespaces(SIZE);
  readonly actions: string[] = [];
  readonly #places = Array.from({ length: SIZE }, (_, i) => this.namespaces.place(i));
  readonly #unnamed = this.#places.map(({ launcher }) =>
    writeHosts(
      launcher![3]!,
      this.#places.map(({ host }, i) => `${host} c-${i}.c.n.svc`),
    ),
  );
  readonly kubelet = new Kubelet({
    server: this.server,
    directory: temporaryDirectory(),
    places: this.#places,
    programOf: (image) => (image.startsWith('ours:') ? SUBJECT : peer('3.6', 'etcd')),
  });
  #controller: Controller | null = null;

  async start(): Promise<void> {
    const url = await this.server.start();
    const config = new KubeConfig();
    config.loadFromClusterAndUser({ name: 'fake', server: url, skipTLSVerify: true }, { name: 'operator' });
    this.#controller = new Controller({
      api: kubernetesApi(config),
      namespace: 'n',
      gateImage: 'operator:1',
      logger: SILENT_LOGGER,
      endpointOf: (_, ordinal) => this.endpoint(ordinal),
      onAction: (_, { kind }) => this.actions.push(kind),
    });
    await this.#controller.start();
  }

  async stop(): Promise<void> {
    await this.#controller?.stop();
    await this.kubelet.stop();
    await this.server.stop();
    for (const remove of this.#unnamed) remove();
    this.namespaces.remove();
  }

  endpoint(ordinal: number): string {
    return `http://${this.#places[ordinal]!.host}:2379`;
  }

  declare(spec: object): void {
    this.server.create(CLUSTERS, 'n', { metadata: { name: 'c' }, spec });
  }

  get cluster(): FakeObject {
    return this.server.get(CLUSTERS, 'n', 'c')!;
  }

  change(fields: object): void {
    this.server.change(CLUSTERS, 'n', 'c', (cluster) => Object.assign(cluster['spec'], fields));
  }

  /** Until the status speaks of the declaration as it stands. */
  async available(what: string): Promise<void> {
    await eventually(what, () => {
      const { metadata, status } = this.cluster as FakeObject & {
        status?: { phase: string; observedGeneration: number };
      };
      return status?.phase === 'Available' && status.observedGeneration === metadata.generation;
    });
  }
}

test('a cluster of Go etcd is made from its declaration, repaired, taken to this program and to another size, and unmade', {
  ...needs('etcd 3.6'),
  ...needsNamespaces(),
}, async () => {
  const world = new World();
  try {
    await world.start();
    const storageSpec = { volumeSizeRequest: '1Gi' };
    world.declare({ size: 3, version: 'v3.6.4', storageSpec, volumeReclaimPolicy: 'Delete' });
    await world.available('three members');
    assert.equal(world.cluster['status'].memberCount, 3);
    await using client = connect({ endpoints: [0, 1, 2].map((i) => world.endpoint(i)) });
    await client.kv.put('a', '1');
    const before = await client.cluster.memberList();

    world.kubelet.kill('c-1');
    await world.kubelet.loseMachine('n', 'c-2');
    await eventually('another member in its place', async () => {
      const { members } = await client.cluster.memberList();
      return !members.some(({ id }) => id === before.members.find(({ name }) => name === 'c-2')!.id);
    });
    await world.available('repaired');
    const repaired = await client.cluster.memberList();
    assert.deepEqual(repaired.members.map(({ name, isLearner }) => `${name} ${isLearner}`).sort(), [
      'c-0 false',
      'c-1 false',
      'c-2 false',
    ]);

    world.change({ imageRegistry: 'ours', version: 'v3.7.3' });
    await world.available('the next release');
    for (let i = 0; i < 3; i++) {
      await using member = connect({ endpoints: [world.endpoint(i)] });
      assert.match((await member.maintenance.status()).version, /^3\.7\./);
    }
    world.change({ version: 'v3.9.0' });
    await eventually('refused', () => world.cluster['status'].conditions[2].reason === 'UpgradeRefused');
    world.change({ version: 'v3.7.3', size: 1 });
    await world.available('one member');
    assert.equal((await client.cluster.memberList()).members.length, 1);
    assert.equal((await client.kv.get('a')).kvs.length, 1);

    world.server.delete(CLUSTERS, 'n', 'c');
    await eventually('gone', () => world.server.list(CLUSTERS).length === 0);
    assert.equal(world.server.list(WORKLOADS).length, 0);
    assert.equal(world.server.list('/api/v1/persistentvolumeclaims').length, 0);
  } finally {
    await world.stop();
  }
});
