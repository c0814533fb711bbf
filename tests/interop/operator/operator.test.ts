/** The operator with real members in network namespaces, before an API server that keeps whatever it is given. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { SILENT_LOGGER } from '@etcd/base';
import type { EtcdClient } from '@etcd/client';
import { connect } from '@etcd/client/node';
import { Controller } from '@etcd/operator/controller';
import { KubernetesApi } from '@etcd/operator/kubernetes';
import { KubeConfig } from '@kubernetes/client-node';
import { FakeApiServer, type FakeObject } from '../../support/kubernetes/fake-api-server.ts';
import { Kubelet, WORKLOADS, writeHosts } from '../../support/kubernetes/kubelet.ts';
import { Namespaces, needsNamespaces } from '../../support/namespaces.ts';
import { needs, peer, SUBJECT } from '../../support/programs.ts';
import { eventually } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const CLUSTERS = '/apis/operator.etcd.io/v1alpha1/etcdclusters';
const SECRETS = '/api/v1/secrets';
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
      api: new KubernetesApi(config),
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
    return `https://${this.#places[ordinal]!.host}:2379`;
  }

  /** As users connect who have the secret that is made for them. */
  client(ordinals: readonly number[]): EtcdClient {
    const text = (key: string): string => this.secret('client', key);
    return connect({
      endpoints: ordinals.map((ordinal) => this.endpoint(ordinal)),
      tls: { ca: text('ca.crt'), cert: text('tls.crt'), key: text('tls.key') },
    });
  }

  /** Empty: there is none. */
  secret(role: string, key: string): string {
    const secret = this.server.get(SECRETS, 'n', `c-${role}-tls`);
    return Buffer.from(secret?.['data'][key] ?? '', 'base64').toString();
  }

  /** Whether all certificates are signed by an authority that is not `former`. */
  isSignedAnew(former: string): boolean {
    const pem = this.secret('ca', 'tls.crt');
    if (pem === '' || pem === former) return false;
    const { publicKey } = new X509Certificate(pem);
    const roles = ['server', 'peer', 'client', 'operator'];
    return roles.every((role) => new X509Certificate(this.secret(role, 'tls.crt')).verify(publicKey));
  }

  get addresses(): string[] {
    return this.#places.map(({ host }) => host!);
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
    const tls = { providerCfg: { autoCfg: { altNames: { ipAddresses: world.addresses } } } };
    world.declare({ size: 3, version: 'v3.6.4', storageSpec, tls, volumeReclaimPolicy: 'Delete' });
    await world.available('three members');
    assert.equal(world.cluster['status'].memberCount, 3);
    await using client = world.client([0, 1, 2]);
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

    // Another authority: members are restarted to trust it, and then show what it signs.
    const former = world.secret('ca', 'tls.crt');
    world.server.delete(SECRETS, 'n', 'c-ca-tls');
    await eventually('certificates by another authority', () => world.isSignedAnew(former));
    await world.available('with them');

    world.change({ imageRegistry: 'ours', version: 'v3.7.3' });
    await world.available('the next release');
    for (let i = 0; i < 3; i++) {
      await using member = world.client([i]);
      assert.match((await member.maintenance.status()).version, /^3\.7\./);
    }
    world.change({ version: 'v3.9.0' });
    await eventually('refused', () => world.cluster['status'].conditions[2].reason === 'UpgradeRefused');
    world.change({ version: 'v3.7.3', size: 1 });
    await world.available('one member');
    await using last = world.client([0]);
    assert.equal((await last.cluster.memberList()).members.length, 1);
    assert.equal((await last.kv.get('a')).kvs.length, 1);

    world.server.delete(CLUSTERS, 'n', 'c');
    await eventually('gone', () => world.server.list(CLUSTERS).length === 0);
    assert.equal(world.server.list(WORKLOADS).length, 0);
    assert.equal(world.server.list('/api/v1/persistentvolumeclaims').length, 0);
  } finally {
    await world.stop();
  }
});
