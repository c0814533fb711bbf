/** Data directories of members of one cluster, which `snapshot restore` has made. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { run } from './run.ts';
import { freePort, temporaryDirectory } from './temporary.ts';

export interface RestoredMember {
  readonly name: string;
  readonly clientPort: number;
  readonly peerPort: number;
  readonly dataDir: string;
}

export function peerUrlOf({ peerPort }: RestoredMember): string {
  return `http://127.0.0.1:${peerPort}`;
}

/** Members `r0`, `r1` and so on, made of the snapshot by a tool that has the command: etcdutl, or etcdctl of earlier releases. */
export async function restoreMembers(
  tool: string,
  snapshot: string,
  size: number,
  flags: readonly string[] = [],
): Promise<RestoredMember[]> {
  const members: RestoredMember[] = [];
  for (let i = 0; i < size; i++) {
    const name = `r${i}`;
    const dataDir = join(temporaryDirectory(), name);
    members.push({ name, clientPort: await freePort(), peerPort: await freePort(), dataDir });
  }
  const cluster = members.map((member) => `${member.name}=${peerUrlOf(member)}`).join();
  for (const member of members) {
    const args = [
      `--name=${member.name}`,
      `--initial-cluster=${cluster}`,
      `--initial-advertise-peer-urls=${peerUrlOf(member)}`,
      '--initial-cluster-token=restored',
      `--data-dir=${member.dataDir}`,
      ...flags,
    ];
    // Tools up to 3.5 have two sets of commands.
    const env = { ETCDCTL_API: '3' };
    const { code, stderr } = await run(tool, ['snapshot', 'restore', snapshot, ...args], { env });
    assert.equal(code, 0, stderr);
  }
  return members;
}
