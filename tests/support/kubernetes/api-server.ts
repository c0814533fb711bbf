/** Kubernetes' own API server on an etcd of this checkout, with the controllers that stateful sets, budgets and owners need. */
import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { closeSync, existsSync, openSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { KubernetesApi } from '@etcd/operator/kubernetes';
import { KubeConfig } from '@kubernetes/client-node';
import { EtcdServer } from '../etcd-server.ts';
import { PEERS_DIR } from '../programs.ts';
import { adopt, eventually } from '../run.ts';
import { freePort, temporaryDirectory } from '../temporary.ts';

const PROGRAMS = `${PEERS_DIR}/kubernetes`;
const START_PATIENCE_MS = 180_000;
const CONTROLLERS = [
  'statefulset-controller',
  'disruption-controller',
  'garbage-collector-controller',
  'persistentvolumeclaim-protection-controller',
];

export interface ManifestObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly [field: string]: unknown;
}

function pluralOf(kind: string): string {
  const word = kind.toLowerCase();
  if (word.endsWith('y')) return `${word.slice(0, -1)}ies`;
  return word.endsWith('s') ? `${word}es` : `${word}s`;
}

/** Test options for a test that needs Kubernetes' own programs, which take a quarter of an hour to build. */
export function needsApiServer(): { skip?: string } {
  const isThere = ['kube-apiserver', 'kube-controller-manager'].every((name) =>
    existsSync(`${PROGRAMS}/${name}`),
  );
  return isThere ? {} : { skip: `${PROGRAMS} has no kube-apiserver and kube-controller-manager` };
}

export class ApiServer {
  readonly directory: string;
  readonly config: KubeConfig;
  /** As an administrator. */
  readonly api: KubernetesApi;
  readonly #etcd: EtcdServer;
  readonly #url: string;
  readonly #token: string;
  readonly #processes: ChildProcess[] = [];

  private constructor(directory: string, etcd: EtcdServer, url: string, token: string) {
    this.directory = directory;
    this.#etcd = etcd;
    this.#url = url;
    this.#token = token;
    this.config = new KubeConfig();
    this.config.loadFromClusterAndUser(
      { name: 'real', server: url, skipTLSVerify: true },
      { name: 'admin', token },
    );
    this.api = new KubernetesApi(this.config);
    writeFileSync(join(directory, 'kubeconfig'), this.config.exportConfig());
  }

  /** @param withControllers whether the controller manager runs, too. */
  static async start(withControllers: boolean): Promise<ApiServer> {
    const directory = temporaryDirectory();
    const etcd = await EtcdServer.start();
    const port = await freePort();
    const token = randomBytes(16).toString('hex');
    writeFileSync(join(directory, 'tokens.csv'), `${token},admin,admin,"system:masters"\n`);
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const key = join(directory, 'accounts.key');
    writeFileSync(key, privateKey.export({ type: 'pkcs1', format: 'pem' }));
    const server = new ApiServer(directory, etcd, `https://127.0.0.1:${port}`, token);
    server.#run('kube-apiserver', [
      `--etcd-servers=http://${etcd.address}`,
      '--bind-address=127.0.0.1',
      `--secure-port=${port}`,
      `--cert-dir=${directory}`,
      `--token-auth-file=${join(directory, 'tokens.csv')}`,
      '--authorization-mode=RBAC',
      '--service-cluster-ip-range=10.96.0.0/16',
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${key}`,
      `--service-account-signing-key-file=${key}`,
      '--endpoint-reconciler-type=none',
      // Pods here have no rights of their own, nobody makes accounts for namespaces, and a server built from its
      // sources does not know its minor release, which the second stumbles over.
      '--disable-admission-plugins=ServiceAccount,PodSecurity',
    ]);
    try {
      await eventually('the API server', () => server.#isReady(), START_PATIENCE_MS);
      if (withControllers) {
        server.#run('kube-controller-manager', [
          `--kubeconfig=${join(directory, 'kubeconfig')}`,
          `--controllers=${CONTROLLERS.join(',')}`,
          '--leader-elect=false',
          '--bind-address=127.0.0.1',
          `--secure-port=${await freePort()}`,
          `--cert-dir=${directory}`,
        ]);
      }
      return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  /** Applies an object as `kubectl apply --server-side --validate=strict` does. Rejects with the server's refusal. */
  async apply(object: ManifestObject): Promise<void> {
    const { apiVersion, kind, metadata } = object;
    const group = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`;
    const within = metadata.namespace === undefined ? '' : `/namespaces/${metadata.namespace}`;
    const query = 'fieldManager=test&force=true&fieldValidation=Strict';
    const path = `${group}${within}/${pluralOf(kind)}/${metadata.name}?${query}`;
    const answer = await this.send('PATCH', path, 'application/apply-patch+yaml', JSON.stringify(object));
    if (answer.code >= 300) {
      const { message } = JSON.parse(answer.body) as { readonly message?: string };
      throw new Error(message ?? `${kind} ${metadata.name}: ${answer.code}`);
    }
  }

  /** As an administrator. */
  async send(
    method: string,
    path: string,
    type: string,
    body: string,
  ): Promise<{ code: number; body: string }> {
    const headers = {
      authorization: `Bearer ${this.#token}`,
      'content-type': type,
      // Without it Node sends no body with a DELETE.
      'content-length': Buffer.byteLength(body),
    };
    const options = { method, headers, rejectUnauthorized: false };
    return await new Promise((resolve, reject) => {
      const call = request(this.#url + path, options, (response) => {
        text(response).then((answer) => resolve({ code: response.statusCode ?? 0, body: answer }), reject);
      });
      call.on('error', reject);
      call.end(body);
    });
  }

  /** The configuration of a service account, with its rights and no others. */
  async configOf(namespace: string, account: string): Promise<KubeConfig> {
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`;
    const answer = await this.send('POST', path, 'application/json', '{"spec":{}}');
    const { status } = JSON.parse(answer.body) as { readonly status: { readonly token: string } };
    const config = new KubeConfig();
    const cluster = { name: 'real', server: this.#url, skipTLSVerify: true };
    config.loadFromClusterAndUser(cluster, { name: account, token: status.token });
    return config;
  }

  async stop(): Promise<void> {
    for (const child of this.#processes.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    }
    await this.#etcd.stop();
  }

  #run(program: string, flags: readonly string[]): void {
    const log = openSync(join(this.directory, `${program}.log`), 'w');
    const child = spawn(`${PROGRAMS}/${program}`, flags, { stdio: ['ignore', log, log] });
    adopt(child);
    this.#processes.push(child);
    closeSync(log);
  }

  async #isReady(): Promise<boolean> {
    const [process] = this.#processes;
    if (process!.exitCode !== null) throw new Error(`kube-apiserver ended: see the log in ${this.directory}`);
    try {
      const namespaces = await this.api.list({ group: '/api/v1', plural: 'namespaces' }, null);
      return namespaces.items.some(({ metadata }) => metadata?.name === 'default');
    } catch {
      return false;
    }
  }
}
