/** What runs the member on this host, and which program it runs: that of the unit or pod, or another one in its place. */

export interface Program {
  /** A path, or an image. */
  readonly name: string;
  /** Its release, as `3.7.1`; null where it does not say. */
  readonly version: string | null;
  /** Whether it is this project's; null where it does not say. */
  readonly isOurs: boolean | null;
}

/** What stands in the unit's place: another program, for a certain member. */
export interface Exchange {
  readonly program: string;
  /** Whose it is, also while it does not run. */
  readonly memberId: bigint;
  /** Of the other members: whom to ask while this one does not run. */
  readonly others: readonly string[];
}

export interface MemberHost {
  /** For people. */
  readonly title: string;
  /** That the unit or pod names by itself. Throws `ClusterError` where there is none. */
  original(): Promise<string>;
  /** Null while the original runs. */
  exchange(): Exchange | null;
  /** What the next start runs; null: the original. Changes nothing that runs. */
  setExchange(exchange: Exchange | null): Promise<void>;
  /** What is known of a program before it runs. Throws `ClusterError` where it is none. */
  describe(program: string): Promise<Program>;
  isActive(): Promise<boolean>;
  stop(signal: AbortSignal): Promise<void>;
  start(): Promise<void>;
}
