/** The operator at work on real members in network namespaces, before an API server that keeps whatever it is given. */
import { X509Certificate } from 'node:crypto';
import { SILENT_LOGGER } from '@etcd/base';
import type { EtcdClient } from '@etcd/client';
import { connect } from '@etcd/client/node';
import { Controller } from '@etcd/operator/controller';
import { KubernetesApi } from '@etcd/operator/kubernetes';
import { KubeConfig } from '@kubernetes/client-node';
import { Namespaces } from '../namespaces.ts';
import { peer, ROOT, SUBJECT } from '../programs.ts';
import { eventually } from '../run.ts';
import { temporaryDirectory } from '../temporary.ts';
import { FakeApiServer, type FakeObject, type FakeSpec } from './fake-api-server.ts';
import { Kubelet, writeHosts } from './kubelet.ts';

export const CLUSTERS = '/apis/operator.etcd.io/v1alpha1/etcdclusters';
const SECRETS = '/api/v1/secrets';
const SIZE = 5;

export class OperatorWorld {
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
    node: null,
    directory: temporaryDirectory(),
    places: this.#places,
    operator: `${ROOT}bin/etcd-operator`,
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
    return Buffer.from(secret?.data?.[key] ?? '', 'base64').toString();
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

  declare(spec: FakeSpec): void {
    this.server.create(CLUSTERS, 'n', { metadata: { name: 'c' }, spec });
  }

  get cluster(): FakeObject {
    return this.server.get(CLUSTERS, 'n', 'c')!;
  }

  change(fields: object): void {
    this.server.change(CLUSTERS, 'n', 'c', (cluster) => Object.assign(cluster.spec!, fields));
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
