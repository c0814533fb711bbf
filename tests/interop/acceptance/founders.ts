/** Members as the documents found them: `member1` at 10.0.0.1, and so on. */

export interface Founder {
  readonly name: string;
  readonly host: string;
}

export const FOUNDERS: readonly Founder[] = [1, 2, 3, 4, 5].map((i) => ({
  name: `member${i}`,
  host: `10.0.0.${i}`,
}));

export function memberLine({ name, host }: Founder, more: string): string {
  return `etcd --name ${name} --data-dir ${name}.etcd --listen-client-urls http://${host}:2379 --advertise-client-urls http://${host}:2379 --listen-peer-urls http://${host}:2380 ${more}`;
}

export function foundingFlags(
  { host }: Founder,
  members: readonly Founder[],
  token = 'etcd-cluster-1',
): string {
  const cluster = members.map((member) => `${member.name}=http://${member.host}:2380`).join();
  return `--initial-advertise-peer-urls http://${host}:2380 --initial-cluster ${cluster} --initial-cluster-token ${token}`;
}
