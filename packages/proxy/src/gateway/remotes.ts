/**
 * The members that a gateway passes connections on to, and which of them is next. As SRV records have it: only the best priority that is
 * alive counts; among records with weights chance decides by weight, those without take turns.
 */
import type { Random } from '@etcd/base';

export interface RemoteAddress {
  /** Name or address, without brackets. */
  readonly host: string;
  readonly port: number;
  /** 0 to 65,535, the least is the best. */
  readonly priority: number;
  /** 0 to 65,535. */
  readonly weight: number;
  /** Whether its certificate has to be good before it is used. */
  readonly isVerified: boolean;
}

export class Remote {
  readonly address: RemoteAddress;
  /** `host:port`. */
  readonly text: string;
  isActive = true;

  constructor(address: RemoteAddress) {
    this.address = address;
    const { host, port } = address;
    this.text = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  }
}

/** A record without weight is taken so seldom while there are others with one. */
const UNWEIGHTED_ONE_IN = 100;

export class Remotes {
  readonly all: readonly Remote[];
  readonly #random: Random;
  #turn = 0;

  constructor(addresses: readonly RemoteAddress[], random: Random) {
    this.all = addresses.map((address) => new Remote(address));
    this.#random = random;
  }

  /** Null while none is active. */
  pick(): Remote | null {
    const active = this.all.filter(({ isActive }) => isActive);
    const best = active.reduce((least, { address }) => Math.min(least, address.priority), Infinity);
    const eligible = active.filter(({ address }) => address.priority === best);
    const weighted = eligible.filter(({ address }) => address.weight > 0);
    if (weighted.length === 0) return this.#next(eligible);
    const unweighted = eligible.filter(({ address }) => address.weight === 0);
    if (unweighted.length > 0 && this.#random.below(UNWEIGHTED_ONE_IN) === 0) return this.#next(unweighted);
    let chosen = this.#random.below(weighted.reduce((sum, { address }) => sum + address.weight, 0));
    return weighted.find(({ address }) => (chosen -= address.weight) < 0) ?? null;
  }

  #next(remotes: readonly Remote[]): Remote | null {
    return remotes[this.#turn++ % Math.max(1, remotes.length)] ?? null;
  }
}
