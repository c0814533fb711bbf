/** `etcdadm info`: the member on this host, as JSON. */
import type { Member } from '@etcd/api/etcdserverpb';
import { ClusterError } from './cluster-error.ts';
import { type PhaseContext, withCluster } from './phase.ts';

export async function info(context: PhaseContext): Promise<string> {
  const { loopbackUrl } = context.settings;
  return await withCluster(context, [loopbackUrl], async ({ client }) => {
    // What the member itself knows: it may be a learner, or alone.
    const { header, members } = await client.cluster
      .memberList({ serializable: true })
      .catch((error: Error) => {
        throw new ClusterError(`[info] no member answers at ${loopbackUrl}: ${error.message}`);
      });
    const self = members.find(({ id }) => id === header?.memberId);
    if (self === undefined) throw new ClusterError('[info] the cluster does not have this member any more');
    return memberJson(self);
  });
}

/** The id is a number beyond what JSON.stringify can write. */
export function memberJson({ id, name, peerUrls, clientUrls, isLearner }: Member): string {
  const fields = [
    `"ID": ${id}`,
    ...(name === '' ? [] : [`"name": ${JSON.stringify(name)}`]),
    `"peerURLs": ${list(peerUrls)}`,
    ...(clientUrls.length === 0 ? [] : [`"clientURLs": ${list(clientUrls)}`]),
    ...(isLearner ? ['"isLearner": true'] : []),
  ];
  return `{\n${fields.map((field) => `  ${field}`).join(',\n')}\n}`;
}

function list(urls: readonly string[]): string {
  return `[\n${urls.map((url) => `    ${JSON.stringify(url)}`).join(',\n')}\n  ]`;
}
