/**
 * What a kubelet does with static pods, as far as a procedure depends on it: the command of a pod's container runs as a process as long as its manifest
 * is in the directory. With it come stand-ins for `crictl ps`, and for what `oc` does with pods.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { type Running, sleep } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';
import type { TestNetwork } from './test-network.ts';

interface Pod {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly containers: readonly { readonly name: string; readonly command: readonly string[] }[];
  };
}

const LOOK_MS = 50;

const CRICTL = `#!/bin/sh
[ "$1 $2 $3" = "ps -q --name" ] || exit 1
ls "$RUNNING" | grep -e "$4" || true
`;

const OC = `#!/bin/bash
case "$1" in
  login | project) ;;
  get)
    echo "NAME READY STATUS RESTARTS AGE"
    cat "$RUNNING"/* | sed 's| .*| 1/1 Running 0 1h|'
    ;;
  exec)
    pod=$2
    [ "$3 $5" = "-c --" ] && grep -qx "$pod $4" "$RUNNING"/* || { echo "no container $4 in $pod" >&2; exit 1; }
    shift 5
    exec "$@"
    ;;
  *) exit 1 ;;
esac
`;

export class StaticPods {
  /** Directory with `crictl` and `oc`, for the path. */
  readonly programs = temporaryDirectory();
  readonly #network: TestNetwork;
  readonly #manifests: string;
  readonly #running = temporaryDirectory();
  readonly #processes = new Map<string, Running>();
  readonly #watching: Promise<void>;
  #isClosed = false;

  /** @param manifests the directory of manifests, as a path out here. */
  constructor(network: TestNetwork, manifests: string) {
    this.#network = network;
    this.#manifests = manifests;
    mkdirSync(manifests, { recursive: true });
    for (const [name, text] of Object.entries({ crictl: CRICTL, oc: OC })) {
      writeFileSync(join(this.programs, name), text, { mode: 0o755 });
    }
    this.#watching = this.#watch();
  }

  /** For commands on the host. */
  get env(): Readonly<Record<string, string>> {
    return { RUNNING: this.#running };
  }

  /** What the container of a pod has said; empty if it does not run. */
  said(pod: string): string {
    return this.#processes.get(pod)?.stderr ?? '';
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#watching;
    for (const name of [...this.#processes.keys()]) await this.#stop(name);
  }

  async #watch(): Promise<void> {
    while (!this.#isClosed) {
      const wanted = new Map(this.#wanted().map((pod) => [pod.metadata.name, pod]));
      for (const name of [...this.#processes.keys()]) if (!wanted.has(name)) await this.#stop(name);
      for (const [name, pod] of wanted) if (!this.#processes.has(name)) await this.#start(name, pod);
      await sleep(LOOK_MS);
    }
  }

  #wanted(): Pod[] {
    return readdirSync(this.#manifests)
      .filter((name) => name.endsWith('.yaml'))
      .map((name) => parse(readFileSync(join(this.#manifests, name), 'utf8')) as Pod);
  }

  async #start(name: string, pod: Pod): Promise<void> {
    const [container] = pod.spec.containers;
    const words = container!.command.map((word) => `'${word.replaceAll("'", "'\\''")}'`);
    this.#processes.set(name, await this.#network.serve(words.join(' '), { waits: false }));
    writeFileSync(join(this.#running, container!.name), `${name} ${container!.name}\n`);
  }

  async #stop(name: string): Promise<void> {
    const process = this.#processes.get(name)!;
    process.kill();
    await process.ended;
    this.#processes.delete(name);
    for (const file of readdirSync(this.#running)) {
      const path = join(this.#running, file);
      if (readFileSync(path, 'utf8').startsWith(`${name} `)) rmSync(path);
    }
  }
}
