/**
 * What turns stateful sets into running members: makes their pods and volumes, and runs each pod's gate and member as processes, in
 * the network namespace of its ordinal, where the names of all pods are known.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { judgeStart } from '@etcd/operator/gate';
import type { Place } from '../cluster.ts';
import { adopt } from '../run.ts';
import type { FakeApiServer, FakeObject } from './fake-api-server.ts';

const PODS = '/api/v1/pods';
const CLAIMS = '/api/v1/persistentvolumeclaims';
const RECORDS = '/api/v1/configmaps';
const SECRETS = '/api/v1/secrets';
export const WORKLOADS = '/apis/apps/v1/statefulsets';

const WORK_LABEL = 'operator.etcd.io/work';

const TURN_MS = 100;
/** Before a container that ended is tried again. */
const BACK_OFF_MS = 2_000;
const MOUNT = '/var/lib/etcd';

/** Objects as they are just now. */
export type ObjectSource = Pick<FakeApiServer, 'list' | 'get' | 'change' | 'create' | 'delete' | 'mayEvict'>;

export interface NodeDuties {
  /** A pod is to run here. */
  bind(pod: FakeObject): void;
  /** The processes of a pod that was to go have ended. */
  remove(pod: FakeObject): void;
  /** @param isRunning whether the member's process is there. */
  report(pod: FakeObject, host: string, isRunning: boolean): void;
}

export interface KubeletOptions {
  readonly server: ObjectSource;
  /** What an API server asks of whoever runs its pods; null: it asks for nothing, and has no controllers. */
  readonly node: NodeDuties | null;
  readonly directory: string;
  readonly places: readonly Place[];
  /** The program of an image. */
  readonly programOf: (image: string) => string;
  /** The program that workers are. */
  readonly operator: string;
}

interface Running {
  readonly process: ChildProcess;
  readonly uid: string;
}

interface Container {
  readonly command: readonly string[];
  readonly image: string;
  readonly env?: readonly EnvVar[];
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
}

interface Volume {
  readonly name: string;
  readonly secret?: { readonly secretName: string };
  readonly persistentVolumeClaim?: { readonly claimName: string };
}

interface EnvVar {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: {
    readonly fieldRef?: unknown;
    readonly configMapKeyRef?: { readonly name: string; readonly key: string };
  };
}

export class Kubelet {
  readonly #options: KubeletOptions;
  /** By pod name. */
  readonly #running = new Map<string, Running>();
  readonly #notBefore = new Map<string, number>();
  /** Pods that work once. */
  readonly #worked = new Set<string>();
  /** By directory: the version of the secret that is in it. */
  readonly #written = new Map<string, string>();
  #turn: NodeJS.Timeout;
  #isStopped = false;

  constructor(options: KubeletOptions) {
    this.#options = options;
    options.server.mayEvict = (pod) => this.#isAlone(pod);
    this.#turn = setInterval(() => this.#step(), TURN_MS);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#turn);
    await Promise.all([...this.#running.values()].map(({ process }) => end(process, 'SIGKILL')));
  }

  /** Ends a container as the kernel does, and nobody else notices. */
  kill(pod: string): void {
    this.#running.get(pod)?.process.kill('SIGKILL');
  }

  /** The machine of a pod is gone, with the disk. */
  async loseMachine(namespace: string, pod: string): Promise<void> {
    const { server } = this.#options;
    const claim = `data-${pod}`;
    const volume = server.get(CLAIMS, namespace, claim);
    const running = this.#running.get(pod);
    if (running !== undefined) await end(running.process, 'SIGKILL');
    this.#running.delete(pod);
    if (volume !== undefined) rmSync(this.#diskOf(volume), { recursive: true, force: true });
    server.delete(CLAIMS, namespace, claim);
    server.delete(PODS, namespace, pod);
  }

  #step(): void {
    const { server } = this.#options;
    const { node } = this.#options;
    if (node === null) for (const set of server.list(WORKLOADS)) this.#control(set);
    for (const pod of server.list(PODS)) {
      this.#writeSecrets(pod);
      if (node !== null) this.#serveNode(node, pod);
      if (pod.metadata.deletionTimestamp !== undefined) continue;
      if (pod.metadata.labels?.[WORK_LABEL] === undefined) this.#run(pod);
      else this.#work(pod);
    }
    for (const [name, { process, uid }] of this.#running) {
      const isWanted = server
        .list(PODS)
        .some(({ metadata }) => metadata.uid === uid && metadata.deletionTimestamp === undefined);
      if (!isWanted && !process.killed) process.kill('SIGTERM');
      if (process.exitCode !== null || process.signalCode !== null) this.#running.delete(name);
    }
  }

  #serveNode(node: NodeDuties, pod: FakeObject): void {
    const { name, deletionTimestamp, labels } = pod.metadata;
    const isRunning = this.#running.get(name)?.uid === pod.metadata.uid;
    if (pod.spec?.nodeName === undefined) node.bind(pod);
    else if (deletionTimestamp !== undefined && !isRunning) node.remove(pod);
    else if (labels?.[WORK_LABEL] === undefined) {
      const ordinal = Number(/\d+$/.exec(name)?.[0] ?? 0);
      node.report(pod, this.#options.places[ordinal]!.host!, isRunning);
    }
  }

  /** The controller of stateful sets. */
  #control(set: FakeObject): void {
    const { server } = this.#options;
    const { name, namespace = '' } = set.metadata;
    const { replicas = 0, template, volumeClaimTemplates = [] } = set.spec ?? {};
    const ordinal = (pod: FakeObject): number => Number(pod.metadata.name.slice(name.length + 1));
    for (const pod of server.list(PODS)) {
      const isMine = pod.metadata.ownerReferences?.some(({ uid }) => uid === set.metadata.uid) === true;
      if (isMine && ordinal(pod) >= replicas) server.delete(PODS, namespace, pod.metadata.name);
    }
    for (let i = 0; i < replicas; i++) {
      const pod = `${name}-${i}`;
      // The old one's process has to end first.
      if (server.get(PODS, namespace, pod) !== undefined || this.#running.has(pod)) continue;
      for (const claim of volumeClaimTemplates) {
        const volume = `${claim.metadata.name}-${pod}`;
        if (server.get(CLAIMS, namespace, volume) === undefined) {
          const labels = template?.metadata?.labels ?? {};
          server.create(CLAIMS, namespace, {
            metadata: { name: volume, labels },
            status: { phase: 'Bound' },
          });
        }
      }
      server.create(PODS, namespace, {
        metadata: {
          name: pod,
          labels: template?.metadata?.labels ?? {},
          annotations: template?.metadata?.annotations ?? {},
          ownerReferences: [{ uid: set.metadata.uid!, controller: true }],
        },
        spec: template?.spec ?? {},
        status: {},
      });
    }
  }

  #run(pod: FakeObject): void {
    const { name, namespace = '', uid } = pod.metadata;
    if (this.#isStopped || this.#running.has(name) || (this.#notBefore.get(name) ?? 0) > Date.now()) return;
    const { server } = this.#options;
    const claim = `data-${name}`;
    const volume = server.get(CLAIMS, namespace, claim);
    // Seen later than its pod, perhaps: a member on another disk would lose it with the pod.
    if (volume === undefined && claimsOf(pod).includes(claim)) return;
    this.#notBefore.set(name, Date.now() + BACK_OFF_MS);
    const disk = volume === undefined ? join(this.#options.directory, uid!) : this.#diskOf(volume);
    const [member] = (pod.spec?.containers ?? []) as readonly Container[];
    const [gate] = (pod.spec?.initContainers ?? []) as readonly Container[];
    const mayStart = this.#environment(gate!, pod)['MAY_START_EMPTY'] ?? '';
    if (!judgeStart(join(disk, 'data'), name, mayStart).opens) return;
    this.#running.set(name, { process: this.#spawn(member!, pod, disk), uid: uid! });
    if (this.#options.node !== null) return;
    const state = { running: { startedAt: new Date().toISOString() } };
    server.change('/api/v1/pods', namespace, name, (changed) => {
      changed.status = { containerStatuses: [{ name: 'etcd', state }] };
    });
  }

  #spawn(container: Container, pod: FakeObject, disk: string): ChildProcess {
    const { name } = pod.metadata;
    mkdirSync(disk, { recursive: true });
    const [, ...flags] = container.command.map((word) =>
      (container.volumeMounts ?? [])
        .reduce(
          (text, mount) => text.replaceAll(`${mount.mountPath}/`, `${this.#secretsOf(pod, mount.name)}/`),
          word.replaceAll(MOUNT, disk),
        )
        .replaceAll('$(POD_NAME)', name),
    );
    const place = this.#options.places[Number(/\d+$/.exec(name)![0])]!;
    const [launcher, ...launched] = [...place.launcher!, this.#options.programOf(container.image), ...flags];
    const process = spawn(launcher!, launched, {
      stdio: 'ignore',
      env: { PATH: globalThis.process.env['PATH'], ...this.#environment(container, pod) },
    });
    adopt(process);
    // Where the program is missing the container ends, as everywhere.
    process.on('error', () => {});
    return process;
  }

  /** A pod that does one thing, and ends. */
  #work(pod: FakeObject): void {
    const { name, namespace = '', uid } = pod.metadata;
    if (this.#isStopped || this.#running.has(name) || this.#worked.has(uid!)) return;
    this.#worked.add(uid!);
    const { server, directory, operator, places } = this.#options;
    const [worker] = (pod.spec?.containers ?? []) as readonly Container[];
    const scratch = join(directory, `${uid}-scratch`);
    const result = join(directory, `${uid}-result`);
    mkdirSync(scratch, { recursive: true });
    const located = (text: string): string =>
      (worker!.volumeMounts ?? []).reduce(
        (path, mount) => path.replaceAll(mount.mountPath, this.#mounted(pod, mount.name, scratch)),
        text.replaceAll('/dev/termination-log', result),
      );
    const environment = Object.fromEntries(
      (worker!.env ?? []).map(({ name: variable, value = '' }) => [variable, located(value)]),
    );
    const [launcher, ...launched] = [...places[0]!.launcher!, operator, 'work'];
    const child = spawn(launcher!, launched, {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { PATH: process.env['PATH'], ...environment },
    });
    adopt(child);
    this.#running.set(name, { process: child, uid: uid! });
    child.on('error', () => {});
    child.on('exit', (code) => {
      if (this.#isStopped || server.get(PODS, namespace, name)?.metadata.uid !== uid) return;
      const message = existsSync(result) ? readFileSync(result, 'utf8') : '';
      server.change(PODS, namespace, name, (changed) => {
        const terminated = { message, finishedAt: new Date().toISOString() };
        changed.status = {
          phase: code === 0 ? 'Succeeded' : 'Failed',
          containerStatuses: [
            {
              name: 'worker',
              image: 'operator:1',
              imageID: 'operator:1',
              ready: false,
              restartCount: 0,
              state: { terminated: { ...terminated, exitCode: code ?? 1 } },
            },
          ],
        };
      });
    });
  }

  #mounted(pod: FakeObject, name: string, scratch: string): string {
    const volume = ((pod.spec?.volumes ?? []) as readonly Volume[]).find((each) => each.name === name);
    if (volume?.secret !== undefined) return this.#secretsOf(pod, name);
    const claimName = volume?.persistentVolumeClaim?.claimName;
    if (claimName === undefined) return scratch;
    const claim = this.#options.server.get(CLAIMS, pod.metadata.namespace!, claimName)!;
    const disk = this.#diskOf(claim);
    mkdirSync(disk, { recursive: true });
    return disk;
  }

  #secretsOf({ metadata }: FakeObject, volume: string): string {
    return join(this.#options.directory, `${metadata.uid}-${volume}`);
  }

  /** A secret that changes changes in its pods, too: each file at once. */
  #writeSecrets(pod: FakeObject): void {
    const { server } = this.#options;
    for (const volume of (pod.spec?.volumes ?? []) as readonly Volume[]) {
      if (volume.secret === undefined) continue;
      const secret = server.get(SECRETS, pod.metadata.namespace!, volume.secret.secretName);
      if (secret === undefined) continue;
      const directory = this.#secretsOf(pod, volume.name);
      const { resourceVersion = '' } = secret.metadata;
      if (this.#written.get(directory) === resourceVersion) continue;
      mkdirSync(directory, { recursive: true });
      for (const [name, content] of Object.entries(secret.data ?? {})) {
        writeFileSync(join(directory, `${name}.new`), Buffer.from(content, 'base64'));
        renameSync(join(directory, `${name}.new`), join(directory, name));
      }
      this.#written.set(directory, resourceVersion);
    }
  }

  #environment(container: Container, pod: FakeObject): Record<string, string> {
    const { server } = this.#options;
    const environment: Record<string, string> = {};
    for (const { name, value, valueFrom } of container.env ?? []) {
      const reference = valueFrom?.configMapKeyRef;
      if (reference === undefined) environment[name] = value ?? pod.metadata.name;
      else
        environment[name] =
          server.get(RECORDS, pod.metadata.namespace!, reference.name)?.data?.[reference.key] ?? '';
    }
    return environment;
  }

  #diskOf(volume: FakeObject): string {
    return join(this.#options.directory, volume.metadata.uid!);
  }

  /** Whether no other pod of the cluster is away: what its budget allows. */
  #isAlone(pod: FakeObject): boolean {
    const { server } = this.#options;
    const owner = pod.metadata.ownerReferences?.[0]?.uid;
    const set = server.list(WORKLOADS).find(({ metadata }) => metadata.uid === owner);
    const others = server
      .list(PODS)
      .filter((each) => each !== pod && each.metadata.ownerReferences?.[0]?.uid === owner);
    return (
      others.length === (set?.spec?.replicas ?? 0) - 1 &&
      others.every(({ metadata }) => this.#running.has(metadata.name))
    );
  }
}

function claimsOf(pod: FakeObject): string[] {
  const volumes = (pod.spec?.volumes ?? []) as readonly Volume[];
  return volumes.flatMap(({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName ?? []);
}

/** Writes the names of a cluster's pods for a namespace: `ip netns exec` shows them to what it runs. */
export function writeHosts(netns: string, entries: readonly string[]): () => void {
  const directory = `/etc/netns/${netns}`;
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'hosts'), ['127.0.0.1 localhost', ...entries, ''].join('\n'));
  return () => rmSync(directory, { recursive: true, force: true });
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await ended;
}
