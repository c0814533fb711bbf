/** What has to be done, and where, until a whole cluster runs on what was restored. Pure. */

export const INIT_SYSTEMS = ['systemd', 'kubelet'] as const;
export type InitSystem = (typeof INIT_SYSTEMS)[number];

export interface PlannedMember {
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly dataDir: string;
  /** Of its log, where that is not in the data directory; else empty. */
  readonly walDir: string;
  /** That makes its data directory. */
  readonly command: string;
}

export interface RestorePlan {
  /** What is restored. */
  readonly title: string;
  readonly members: readonly PlannedMember[];
  readonly initSystem: InitSystem;
  /** That every host needs a copy of; null: all of them reach the store. */
  readonly file: { readonly path: string; readonly sha256: string } | null;
}

interface InitCommands {
  readonly stopClients: string;
  readonly startClients: string;
  readonly stop: readonly string[];
  readonly start: string;
}

const MANIFESTS = '/etc/kubernetes/manifests';
const STOPPED = '/etc/kubernetes/stopped';

const COMMANDS: Readonly<Record<InitSystem, InitCommands>> = {
  systemd: {
    stopClients: 'stop what writes to the cluster: API servers, clients',
    startClients:
      'start API servers and clients; restart what has watched: schedulers, controllers, kubelets',
    stop: ['systemctl stop etcd'],
    start: 'systemctl start etcd',
  },
  kubelet: {
    stopClients: `mkdir -p ${STOPPED} && mv ${MANIFESTS}/kube-apiserver.yaml ${STOPPED}/`,
    startClients: `mv ${STOPPED}/kube-apiserver.yaml ${MANIFESTS}/ && systemctl restart kubelet`,
    stop: [
      `mv ${MANIFESTS}/etcd.yaml ${STOPPED}/`,
      'while crictl ps -q --name etcd | grep -q .; do sleep 1; done',
    ],
    start: `mv ${STOPPED}/etcd.yaml ${MANIFESTS}/`,
  },
};

/** A word as a shell reads it. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

export function planText({ title, members, initSystem, file }: RestorePlan): string {
  const { stopClients, startClients, stop, start } = COMMANDS[initSystem];
  const steps: string[][] = [
    ['On every host, before anything is restored:', `  ${stopClients}`],
    ['On every host: stop the member, and keep what it had.', ...stop.map((line) => `  ${line}`)],
  ];
  const places = new Set(members.flatMap(placesOf));
  for (const place of places) steps[1]!.push(`  mv -T ${shellWord(place)} ${shellWord(`${place}.old`)}`);
  if (file !== null) {
    const check = `  echo ${shellWord(`${file.sha256}  ${file.path}`)} | sha256sum --check`;
    steps.push([`To every host: copy ${file.path}, and see that it is the same.`, check]);
  }
  for (const member of members) {
    const owners = placesOf(member).map(
      (place) => `  chown -R --reference=${shellWord(`${place}.old`)} ${shellWord(place)}`,
    );
    steps.push([
      `On the host of ${member.name} (${member.peerUrls.join(', ')}):`,
      `  ${member.command}`,
      ...owners,
    ]);
  }
  steps.push(
    [
      'On every host: start the member; they wait for each other. Flags --initial-… may stay as they are, for there are data; where',
      'addresses are new, --listen-…, --advertise-client-urls and the --etcd-servers of API servers have to name them.',
      `  ${start}`,
    ],
    [
      'On one host: all are healthy, and have the same hash.',
      '  etcdctl endpoint health --cluster && etcdctl endpoint hashkv --cluster',
    ],
    ['On every host:', `  ${startClients}`],
    ['When the next backup is made: remove what the members had.'],
  );
  const numbered = steps.map(([first, ...rest], i) => [`${i + 1}. ${first}`, ...rest].join('\n   '));
  return `${title}\n\n${numbered.join('\n')}\n`;
}

/** The directories that a restore makes, and finds in its way. */
function placesOf({ dataDir, walDir }: PlannedMember): string[] {
  return walDir === '' || walDir.startsWith(`${dataDir}/`) ? [dataDir] : [dataDir, walDir];
}
