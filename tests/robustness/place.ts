/** Where the members of a round are: their network, their disks, and the flags that these ask for. What this machine does not allow is left out. */
import { join } from 'node:path';
import { TestAuthority } from '@etcd/host/testing';
import type { Kind, Place } from '../support/cluster.ts';
import { Namespaces, needsNamespaces } from '../support/namespaces.ts';
import { PeerProxies } from '../support/peer-proxies.ts';
import { temporaryDirectory } from '../support/temporary.ts';
import { MemberDisks, whyNoPowerCuts } from './member-disks.ts';
import { flagsOf } from './member-flags.ts';
import { tokenFlag } from './users.ts';

export interface PlaceOptions {
  readonly kinds: readonly Kind[];
  /** TLS between members, through proxies that damage bytes; else each is in a namespace. */
  readonly hasProxies: boolean;
  readonly hasUsers: boolean;
}

export class RoundPlace {
  readonly namespaces: Namespaces | null;
  readonly proxies: PeerProxies | null;
  readonly disks: MemberDisks | null;
  readonly #flags: readonly string[];

  private constructor({ kinds, hasProxies }: PlaceOptions, flags: readonly string[]) {
    const hasNamespaces = !hasProxies && needsNamespaces().skip === undefined;
    this.namespaces = hasNamespaces ? new Namespaces(kinds.length) : null;
    this.proxies = hasProxies ? new PeerProxies('https') : null;
    this.disks = whyNoPowerCuts() === null ? new MemberDisks() : null;
    this.#flags = flags;
  }

  static async open(options: PlaceOptions): Promise<RoundPlace> {
    const { kinds, hasProxies, hasUsers } = options;
    const secure = hasProxies ? await peerFlags(kinds) : [];
    return new RoundPlace(options, [...secure, ...(hasUsers ? [tokenFlag()] : [])]);
  }

  readonly flags = (kind: Kind): readonly string[] => [...flagsOf(kind), ...this.#flags];

  /** For `ClusterOptions.place`. */
  readonly place = async (position: number, peerPort: number): Promise<Place> => ({
    ...this.namespaces?.place(position),
    ...(await this.proxies?.place(position, peerPort)),
    ...this.disks?.place(position),
  });

  remove(): void {
    this.proxies?.close();
    this.namespaces?.remove();
    this.disks?.remove();
  }
}

/** Go's members do not start again with a certificate of their own of which a cut of power left half: beside them there is an authority. */
async function peerFlags(kinds: readonly Kind[]): Promise<string[]> {
  if (kinds.every((kind) => kind === 'ours')) return ['--peer-auto-tls'];
  const authority = await TestAuthority.create(join(temporaryDirectory(), 'ca'), 'members');
  const { certFile, keyFile } = await authority.issue('member', { hosts: ['127.0.0.1'] });
  const trust = [`--peer-trusted-ca-file=${authority.caFile}`, '--peer-client-cert-auth'];
  return [`--peer-cert-file=${certFile}`, `--peer-key-file=${keyFile}`, ...trust];
}
